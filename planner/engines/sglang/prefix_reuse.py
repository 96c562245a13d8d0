"""Whether SGLang keeps the prefixes of prompts in its radix tree, and in pages of how many tokens."""

from planner.engines.sglang.settings import SglangSettings
from planner.errors import MissingFactError


def prefix_page_tokens(settings: SglangSettings) -> int:
    """Tokens of a page, one by default; raises MissingFactError where the radix cache is switched off."""
    if not settings.radix_cache:
        raise MissingFactError(
            "SGLang keeps no prefixes with --disable-radix-cache; leave it or --prefix-tokens out"
        )
    return settings.page_size or 1
