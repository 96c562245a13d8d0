"""Every text architecture of llama.cpp that the planner reads, and the others with the reason why not.

A new architecture is one name in a group here, or one row where its windows or caches follow rules of their own;
parts it brings are files in planner/model. Names are those of src/llama-arch.cpp.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from planner.readers.gguf.architectures.windows import NO_WINDOWS, WindowRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What an architecture does beside what its tensors show."""

    windows: WindowRule = NO_WINDOWS
    cached: bool = True  # False: writes by denoising blocks, keeps nothing
    indexed: bool = False  # has a sparse index beside grouped-query attention
    index_stores_values: bool = False
    first_shared_kv_layer: int | Literal["key"] | None = None  # layers from here on read an earlier cache
    repeats: Literal["none", "loops", "cycles"] = "none"
    adapter_router: bool = False  # a cache of one head behind the last layer says which adapter is on


_LISTED = WindowRule(required=True)

_PLAIN: Final = """
    llama deci falcon grok gpt2 gptneox mpt baichuan starcoder refact bloom stablelm qwen qwen2 qwen2moe qwen2vl
    qwen3 qwen3moe qwen3vl qwen3vlmoe phi2 phi3 phimoe plamo codeshell orion internlm2 minicpm minicpm3 gemma
    starcoder2 xverse command-r dbrx olmo olmoe openelm arctic deepseek deepseek2 deepseek2-ocr chatglm glm4
    glm4moe bitnet jais jais2 nemotron exaone granite granitemoe chameleon plm bailingmoe bailingmoe2 dots1
    arcee ernie4_5 ernie4_5-moe hunyuan-moe hunyuan-dense hunyuan_vl hy_v3 smollm3 seed_oss grovemoe apertus
    minimax-m2 cogvlm pangu-embedded mistral3 mistral4 paddleocr maincoder talkie
    deepseek32 glm-dsa hy_v4 deepseek4
    mamba mamba2 jamba falcon-h1 plamo2 granitehybrid nemotron_h nemotron_h_moe lfm2moe rwkv6 rwkv6qwen2 rwkv7
    arwkv7 qwen3next qwen35 qwen35moe kimi-linear kimi-k3 glm5-next bailingmoe3 minimax-01
    """.split()  # noqa: SIM905 — a hundred names read better as words

ARCHITECTURES: Final[Mapping[str, Architecture]] = MappingProxyType(
    {
        **dict.fromkeys(_PLAIN, Architecture()),
        **dict.fromkeys(("dream", "llada", "llada-moe", "rnd1"), Architecture(cached=False)),
        **dict.fromkeys(("maple", "mimo2", "step35", "spark2_5", "granite_swa", "dots3note"),
                        Architecture(windows=_LISTED)),
        "gemma2": Architecture(windows=WindowRule(every=2, default_tokens=4096)),
        "gemma3": Architecture(windows=WindowRule(every=6)),
        "gemma3n": Architecture(windows=WindowRule(every=5, required=True), first_shared_kv_layer=20),
        "gemma4": Architecture(windows=_LISTED, first_shared_kv_layer="key"),
        "gpt-oss": Architecture(windows=WindowRule(every=2, required=True)),
        "cohere2": Architecture(windows=WindowRule(every=4, required=True)),
        "cohere2moe": Architecture(windows=WindowRule(every=4, full_first=True, required=True)),
        "muse-glimmer": Architecture(windows=WindowRule(every=4, required=True)),
        "exaone-moe": Architecture(windows=WindowRule(every=4, required=True)),
        "exaone4": Architecture(windows=WindowRule(every=4, default_tokens=4096, only_n_layers=64)),
        **dict.fromkeys(("olmo2", "afmoe", "mellum"), Architecture(windows=WindowRule(every=4))),
        "laguna": Architecture(windows=WindowRule(every=4, full_first=True)),
        "smallthinker": Architecture(windows=WindowRule(every=4, full_first=True, fixed_tokens=4096)),
        "plamo3": Architecture(windows=WindowRule(every=8)),
        "llama4": Architecture(windows=WindowRule(every=4, fixed_tokens=8192, chunked=True)),
        "lfm2": Architecture(windows=WindowRule(every=0, whole_file=False)),
        "minimax-m3": Architecture(indexed=True, index_stores_values=True),
        "qwen4exp": Architecture(indexed=True),
        "nanbeige": Architecture(repeats="loops"),
        "hrm_text": Architecture(repeats="cycles"),
        "graniteswitch": Architecture(adapter_router=True),
    }
)  # fmt: skip

# What Ollama calls an architecture in files it converts itself (convert/*.go of https://github.com/ollama/ollama).
OLLAMA_NAMES: Final[Mapping[str, str]] = MappingProxyType({"gptoss": "gpt-oss", "qwen25vl": "qwen2vl"})

_ENCODER: Final = "an encoder: it turns text into vectors and writes none, so there is nothing to plan"
_DRAFT: Final = "a draft head that only runs beside the model it was made for: name that model's main file"
_SPEECH: Final = "a speech model: it writes audio codes, not text"

NOT_TEXT_MODELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "jina-bert-v3",
             "eurobert", "gemma-embedding", "llama-embed", "t5encoder"),
            _ENCODER,
        ),
        "t5": "an encoder-decoder; the planner plans models with a decoder alone",
        **dict.fromkeys(("gemma4-assistant", "eagle3", "dflash"), _DRAFT),
        **dict.fromkeys(("qwen3tts", "pockettts", "wavtokenizer-dec"), _SPEECH),
        "gptj": "named in llama.cpp but not implemented there, so no file of it can run",
    }
)  # fmt: skip
