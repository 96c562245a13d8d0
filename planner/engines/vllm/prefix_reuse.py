"""Whether vLLM keeps the prefixes of prompts, and in blocks of how many tokens."""

from planner.engines.vllm.cache_specs import DEFAULT_BLOCK, STATE_CACHED
from planner.engines.vllm.settings import FIRST_V1, VllmSettings
from planner.errors import MissingFactError
from planner.model.network import Network


def prefix_block_tokens(network: Network, settings: VllmSettings) -> int:
    """Tokens of a block; raises MissingFactError where these settings keep no prefixes.

    V1 keeps them by default, but those of recurrent layers only since 0.26.
    """
    keeps = settings.prefix_caching
    has_states = any(group.mixer is not None and group.mixer.state_elements for group in network.groups)
    since = STATE_CACHED if has_states else FIRST_V1
    if keeps is None:
        keeps = settings.version >= since
    if not keeps:
        raise MissingFactError(
            f"vLLM {settings.version} keeps no prefixes of this model as it is told; leave --prefix-tokens out, switch "
            f"prefix caching on, or take a version from {since} on"
        )
    return settings.block_size or DEFAULT_BLOCK
