"""Which builder reads which `model_type`: one line per architecture file, one entry per name."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from planner.readers.config.architectures import (
    arctic,
    bailing_hybrid,
    deepseek_v4,
    delta_hybrid,
    dots3,
    falcon,
    falcon_h1,
    gemma3n,
    gemma4,
    glm5_next,
    grok,
    hy_v4,
    inkling,
    jetmoe,
    kimi_linear,
    latent_decoder,
    lfm2,
    longcat,
    mamba_hybrid,
    mimo_v2,
    minimax_hybrid,
    minimax_m3,
    mistral_large4,
    mllama,
    mosaic,
    muse_spark,
    nemotron_h,
    nemotron_nas,
    olmo_hybrid,
    openelm,
    pure_mamba,
    qwen4_exp,
    recurrent_gemma,
    rwkv4,
    rwkv7,
    step3,
    xlstm,
    zamba,
    zaya,
)
from planner.readers.config.architectures.decoder import decoder_network
from planner.readers.config.architectures.dialects import DIALECTS
from planner.readers.config.architectures.reference_fields import Builder, with_reference_defaults

_BUILDERS: Final[Mapping[str, Builder]] = MappingProxyType(
    {name: partial(decoder_network, dialect=dialect) for name, dialect in DIALECTS.items()}
    | dict.fromkeys(latent_decoder.MODEL_TYPES, latent_decoder.latent_network)
    | dict.fromkeys(delta_hybrid.MODEL_TYPES, delta_hybrid.delta_hybrid_network)
    | dict.fromkeys(nemotron_h.MODEL_TYPES, nemotron_h.nemotron_h_network)
    | dict.fromkeys(nemotron_nas.MODEL_TYPES, nemotron_nas.nemotron_nas_network)
    | dict.fromkeys(falcon.MODEL_TYPES, falcon.falcon_network)
    | dict.fromkeys(falcon_h1.MODEL_TYPES, falcon_h1.falcon_h1_network)
    | dict.fromkeys(lfm2.MODEL_TYPES, lfm2.lfm2_network)
    | dict.fromkeys(mamba_hybrid.GRANITE_TYPES, mamba_hybrid.granite_hybrid_network)
    | dict.fromkeys(mamba_hybrid.BAMBA_TYPES, mamba_hybrid.bamba_network)
    | dict.fromkeys(mamba_hybrid.JAMBA_TYPES, mamba_hybrid.jamba_network)
    | dict.fromkeys(pure_mamba.MODEL_TYPES, pure_mamba.pure_mamba_network)
    | dict.fromkeys(recurrent_gemma.MODEL_TYPES, recurrent_gemma.recurrent_gemma_network)
    | dict.fromkeys(minimax_hybrid.MODEL_TYPES, minimax_hybrid.minimax_hybrid_network)
    | dict.fromkeys(rwkv7.MODEL_TYPES, rwkv7.rwkv7_network)
    | dict.fromkeys(arctic.MODEL_TYPES, arctic.arctic_network)
    | dict.fromkeys(step3.MODEL_TYPES, step3.step3_network)
    | dict.fromkeys(gemma3n.MODEL_TYPES, gemma3n.gemma3n_network)
    | dict.fromkeys(gemma4.MODEL_TYPES, gemma4.gemma4_network)
    | dict.fromkeys(mimo_v2.MODEL_TYPES, mimo_v2.mimo_v2_network)
    | dict.fromkeys(deepseek_v4.MODEL_TYPES, deepseek_v4.deepseek_v4_network)
    | dict.fromkeys(kimi_linear.MODEL_TYPES, kimi_linear.kimi_linear_network)
    | dict.fromkeys(longcat.MODEL_TYPES, longcat.longcat_network)
    | dict.fromkeys(bailing_hybrid.MODEL_TYPES, bailing_hybrid.bailing_hybrid_network)
    | dict.fromkeys(olmo_hybrid.MODEL_TYPES, olmo_hybrid.olmo_hybrid_network)
    | dict.fromkeys(minimax_m3.MODEL_TYPES, minimax_m3.minimax_m3_network)
    | dict.fromkeys(mllama.MODEL_TYPES, mllama.mllama_network)
    | dict.fromkeys(dots3.MODEL_TYPES, dots3.dots3_network)
    | dict.fromkeys(glm5_next.MODEL_TYPES, glm5_next.glm5_next_network)
    | dict.fromkeys(hy_v4.MODEL_TYPES, hy_v4.hy_v4_network)
    | dict.fromkeys(inkling.MODEL_TYPES, inkling.inkling_network)
    | dict.fromkeys(muse_spark.MODEL_TYPES, muse_spark.muse_spark_network)
    | dict.fromkeys(qwen4_exp.MODEL_TYPES, qwen4_exp.qwen4_exp_network)
    | dict.fromkeys(mistral_large4.MODEL_TYPES, mistral_large4.mistral_large4_network)
    | dict.fromkeys(jetmoe.MODEL_TYPES, jetmoe.jetmoe_network)
    | dict.fromkeys(rwkv4.MODEL_TYPES, rwkv4.rwkv4_network)
    | dict.fromkeys(xlstm.MODEL_TYPES, xlstm.xlstm_network)
    | dict.fromkeys(zaya.MODEL_TYPES, zaya.zaya_network)
    | dict.fromkeys(mosaic.MPT_TYPES, mosaic.mpt_network)
    | dict.fromkeys(mosaic.DBRX_TYPES, mosaic.dbrx_network)
    | dict.fromkeys(openelm.MODEL_TYPES, openelm.openelm_network)
    | dict.fromkeys(grok.MODEL_TYPES, grok.grok_network)
    | dict.fromkeys(zamba.ZAMBA_TYPES, zamba.zamba_network)
    | dict.fromkeys(zamba.ZAMBA2_TYPES, zamba.zamba2_network)
)

BUILDERS: Final[Mapping[str, Builder]] = MappingProxyType(
    {name: with_reference_defaults(builder) for name, builder in _BUILDERS.items()}
)
