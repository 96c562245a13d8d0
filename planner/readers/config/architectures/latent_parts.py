"""What configs with latent attention say in the same words: its ranks, its sparse index, which layers own one."""

from collections.abc import Mapping

from planner.errors import MalformedError
from planner.model.latent import Indexer, LatentAttention
from planner.model.weight import Weight, vector
from planner.readers.config.fields import ConfigFields


def latent_attention(
    fields: ConfigFields, *, output_gate: bool = False, own: Mapping[str, int] | None = None
) -> LatentAttention:
    """MLA without an index; `own` holds a layer's own values of the same fields."""
    changed = own or {}

    def size(name: str) -> int:
        return changed[name] if name in changed else fields.count(name)

    # Configs repeat the head count and a head width here; MLA has neither KV heads nor one head width.
    fields.unused("num_key_value_heads", "head_dim", "qk_head_dim")
    rope = changed.get("qk_rope_head_dim", fields.maybe_count("qk_rope_head_dim"))
    return LatentAttention(
        n_heads=size("num_attention_heads"),
        q_lora_rank=changed.get("q_lora_rank", fields.positive("q_lora_rank")),
        kv_lora_rank=size("kv_lora_rank"),
        qk_nope_head_dim=size("qk_nope_head_dim"),
        qk_rope_head_dim=fields.count("qk_rope_head_dim") if rope is None else rope,
        v_head_dim=size("v_head_dim"),
        output_gate=output_gate,
    )


def sparse_index(fields: ConfigFields) -> tuple[Indexer | None, int | None]:
    """The indexer of DeepSeek sparse attention and how many tokens it picks; None for a model without."""
    # How the list of indexers was made, and how extra prediction layers use one.
    fields.unused("index_topk_freq", "index_topk_pattern", "index_skip_topk_offset")
    fields.unused("index_share_for_mtp_iteration")
    n_heads = fields.positive("index_n_heads")
    if n_heads is None:
        return None, None
    return Indexer(n_heads=n_heads, head_dim=fields.count("index_head_dim")), fields.count("index_topk")


def owns_index(fields: ConfigFields, n_layers: int) -> tuple[bool, ...]:
    """Whether a layer has an index of its own or follows an earlier layer's; all own one when nothing is said.

    The kinds are listed by name, by a text of F and S, or by a period and where it starts.
    """
    kinds = fields.words("indexer_types")
    if kinds is not None:
        if len(kinds) < n_layers or not set(kinds) <= {"full", "shared"}:
            raise MalformedError("config.json: indexer_types must say full or shared for every layer")
        return tuple(kind == "full" for kind in kinds[:n_layers])
    if fields.has("index_topk_pattern"):
        pattern = fields.text("index_topk_pattern") or ""
        if len(pattern) < n_layers or not set(pattern) <= {"F", "S"}:
            raise MalformedError("config.json: index_topk_pattern must say F or S for every layer")
        return tuple(letter == "F" for letter in pattern[:n_layers])
    period = fields.positive("index_topk_freq") or 1
    offset = fields.maybe_count("index_skip_topk_offset")
    start = (2 if offset is None else offset) - 1
    return tuple(max(i - start, 0) % period == 0 for i in range(n_layers))


def latent_biases(fields: ConfigFields, hidden_size: int) -> tuple[Weight, ...]:
    """Biases of the projections from and to the hidden size, where `attention_bias` is on."""
    if not fields.flag("attention_bias"):
        return ()
    found = (
        vector("attn_kv_a_mqa.bias", fields.count("kv_lora_rank") + fields.count("qk_rope_head_dim")),
        vector("attn_output.bias", hidden_size),
    )
    rank = fields.positive("q_lora_rank")
    return found if rank is None else (vector("attn_q_a.bias", rank), *found)
