"""LongCat-Flash: two latent attentions and two dense MLPs a layer, experts on a shortcut, some of them empty."""

from planner.model.feed_forward import FeedForward
from planner.model.latent import LatentAttention
from planner.model.network import Network, embeddings
from planner.model.shortcut import ShortcutExperts, TwinMixers
from planner.model.weight import Weight, matrix, vector
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("longcat_flash",)
_ONE_EXTRA = 1
_NOTE = "one extra prediction layer counted, which the published files hold and the config does not mention"


def longcat_network(fields: ConfigFields) -> Network:
    """The network of a LongCat-Flash config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    # MLA has neither KV heads nor one head width.
    fields.unused("num_key_value_heads", "head_dim", "qk_head_dim", "mla_scale_q_lora", "mla_scale_kv_lora")
    fields.unused("zero_expert_type")
    attention = LatentAttention(
        n_heads=fields.count("num_attention_heads"),
        q_lora_rank=fields.positive("q_lora_rank"),
        kv_lora_rank=fields.count("kv_lora_rank"),
        qk_nope_head_dim=fields.count("qk_nope_head_dim"),
        qk_rope_head_dim=fields.count("qk_rope_head_dim"),
        v_head_dim=fields.count("v_head_dim"),
    )
    dense = FeedForward(intermediate_size=fields.count("ffn_hidden_size", "intermediate_size"))
    experts = ShortcutExperts(
        dense=dense,
        n_experts=fields.count("n_routed_experts"),
        n_zero_experts=fields.maybe_count("zero_expert_num") or 0,
        n_picked=fields.count("moe_topk"),
        intermediate_size=fields.count("expert_ffn_hidden_size", "moe_intermediate_size"),
        router_bias=fields.flag("router_bias"),
    )
    biases: tuple[Weight, ...] = ()
    if fields.flag("attention_bias"):
        biases = (
            vector("attn_kv_a_mqa.bias", attention.kv_lora_rank + attention.qk_rope_head_dim),
            vector("attn_output.bias", hidden_size),
        )
        if attention.q_lora_rank is not None:
            biases += (vector("attn_q_a.bias", attention.q_lora_rank),)
    norms = (*norm_vectors(hidden_size, 4), *biases * 2)
    layer = PlannedLayer(TwinMixers(each=attention), experts, norms)
    tied = tie(fields, default=False)
    mtp, notes = _extra(fields, attention, dense, hidden_size, vocab_size)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers([layer] * n_layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
        mtp=mtp,
        context_tokens=fields.positive("max_position_embeddings"),
        notes=notes,
    )


def _extra(
    fields: ConfigFields, attention: LatentAttention, dense: FeedForward, hidden_size: int, vocab_size: int
) -> tuple[tuple[Weight, ...], tuple[str, ...]]:
    """The extra prediction layer: one attention, one dense MLP, five norms, a projection, a table of its own."""
    told = fields.has("num_nextn_predict_layers")
    n = fields.few("num_nextn_predict_layers") if told else _ONE_EXTRA
    one = (
        *attention.weights(hidden_size),
        *dense.weights(hidden_size),
        *norm_vectors(hidden_size, 2),
        *(vector(role, hidden_size) for role in ("nextn.enorm", "nextn.hnorm", "nextn.shared_head_norm")),
        matrix("nextn.eh_proj", 2 * hidden_size, hidden_size),
        matrix("nextn.embed_tokens", hidden_size, vocab_size),
    )
    return one * n, () if told else (_NOTE,)
