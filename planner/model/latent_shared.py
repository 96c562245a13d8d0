"""Latent attention whose layers may read an earlier layer's cache, with an index fed by the hidden state (Mistral Large 4)."""

from dataclasses import dataclass, replace

from planner.model.latent import LatentAttention
from planner.model.token_cache import TokenCache
from planner.model.weight import Weight, vector

_OF_THE_CACHE = {"attn_kv_a_mqa", "attn_kv_a_norm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLatentAttention(LatentAttention):
    """MLA with learned scales of its scores; without `owns_cache` it keeps no latent of its own."""

    owns_cache: bool = True

    @property
    def k_elements_per_token(self) -> int:
        """The latent and the rotary key, in the layer that owns them."""
        return self.kv_lora_rank + self.qk_rope_head_dim if self.owns_cache else 0

    @property
    def token_caches(self) -> tuple[TokenCache, ...]:
        """The latent, if its own, and the keys of the index, if it has one."""
        found: tuple[TokenCache, ...] = ()
        if self.owns_cache:
            found += (
                TokenCache(
                    name="latent",
                    k_elements=self.k_elements_per_token,
                    entries_read_at_most=self.top_k_tokens,
                ),
            )
        if self.indexer is not None:
            found += (TokenCache(name="index", k_elements=self.indexer.head_dim),)
        return found

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """Those of MLA, less what only fills the cache, with scales of scores and the wider index."""
        # dataclass(slots=True) makes the class anew, so a bare super() would look at the wrong one.
        found = [
            weight
            for weight in LatentAttention.weights(replace(self, indexer=None), hidden_size)
            if self.owns_cache or weight.role not in _OF_THE_CACHE
        ]
        found += [vector("attn_scale", self.n_heads), vector("attn_scale.bias", self.n_heads)]
        if self.indexer is not None:
            found += self.indexer.weights(hidden_size, hidden_size)
            for name, width in (("q_norm", hidden_size), ("scale", self.indexer.n_heads)):
                found += [vector(f"indexer.{name}", width), vector(f"indexer.{name}.bias", width)]
        return tuple(found)
