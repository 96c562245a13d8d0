"""Parameter totals of published models, counted from their configs.

Each file in `configs/` holds the fields of one published config.json that describe its architecture: copied
from the file, or recalled and then checked by this very total. The totals are those the hub derives from the
safetensors headers (recorded in `llmfit` 1.1.17, hf_models.json). A hub total counts every stored element; what
a repository stores beside the network's own weights is derived row by row, so that every total is met exactly.
"""

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from planner.errors import PlannerError
from planner.readers.config.network import network_from_config

CONFIGS = Path(__file__).parent / "configs"
SHARED = Path(os.environ.get("PLANNER_EVIDENCE", Path(__file__).parents[4] / "shared"))
TOLERANCE = 1e-3

# FP8 repositories store one scale for every started 128 × 128 block of a quantized matrix. In blocks:
# Qwen3-235B: q and o 64·32 each, k and v 4·32 each, 128 experts of three matrices 32·12.
QWEN3_235B_SCALES = 94 * (2 * 64 * 32 + 2 * 4 * 32 + 128 * 3 * 32 * 12)
# Qwen3-30B: q and o 32·16, k and v 4·16, 128 experts of 3 · 16·6. Qwen3-32B: 64·40, 8·40, MLP 3 · 200·40.
QWEN3_30B_SCALES = 48 * (2 * 32 * 16 + 2 * 4 * 16 + 128 * 3 * 16 * 6)
QWEN3_32B_SCALES = 64 * (2 * 64 * 40 + 2 * 8 * 40 + 3 * 200 * 40)
# Qwen3.5-122B, 36 linear, 12 full and 1 extra full layer: linear qkv 96·24, gate and output 64·24 each; full
# q (doubled by its gate) 128·24, k and v 4·24, output 24·64; 256 experts and a shared one of 3 · 24·8.
QWEN35_122B_SCALES = (
    36 * (96 * 24 + 2 * 64 * 24) + 13 * (128 * 24 + 2 * 4 * 24 + 24 * 64) + 49 * 257 * 3 * 24 * 8
)
# DeepSeek-V3, 61 + 1 layers: q_a 56·12, q_b 12·192, kv_a 56·4.5 → 5 blocks, kv_b 4·256, o 128·56; three dense
# MLPs of 3 · 56·144; 58 + 1 layers of 256 experts and a shared one of 3 · 56·16.
V3_SCALES = (
    62 * (56 * 12 + 12 * 192 + 56 * 5 + 4 * 256 + 128 * 56) + 3 * 3 * 56 * 144 + 59 * 257 * 3 * 56 * 16
)
# GLM-5, 78 + 1 layers: q_a 48·16, q_b 16·128, kv_a 48·5, kv_b 4·224, o 128·48, indexer 16·32 and 48·1; three
# dense MLPs of 3 · 48·96; 75 + 1 layers of 257 experts of 3 · 48·16.
GLM5_SCALES = (
    79 * (48 * 16 + 16 * 128 + 48 * 5 + 4 * 224 + 128 * 48 + 16 * 32 + 48)
    + 3 * 3 * 48 * 96
    + 76 * 257 * 3 * 48 * 16
)
# MiMo-V2-Flash, 39 + 3 sliding and 9 full layers whose output projection is not quantized: q 96·32, k 12·32 or
# 6·32, v 8·32 or 4·32; 1 + 3 dense MLPs of 3 · 32·128; 47 layers of 256 experts of 3 · 32·16.
MIMO_SCALES = 42 * (96 + 12 + 8) * 32 + 9 * (96 + 6 + 4) * 32 + 4 * 3 * 32 * 128 + 47 * 256 * 3 * 32 * 16
# Mistral Small 4 has one scale for the weights and one for the input of every matrix: five of the attention
# and three of the shared expert, and two a routed expert, whose gate and up are one matrix.
MISTRAL4_SCALES = 36 * 2 * (5 + 3 + 128 * 2)


@dataclass(frozen=True)
class Published:
    """A hub total, and the elements in it that are no weights of the network, derived."""

    model: str
    total: int
    beside: int = 0
    why: str = ""


PUBLISHED = (
    Published("01-ai/Yi-1.5-9B", 8_829_407_232),
    Published("ai21labs/AI21-Jamba-Mini-1.5", 51_570_323_328),
    Published("allenai/OLMo-2-0425-1B", 1_484_916_736),
    Published("allenai/OLMo-2-1124-7B-Instruct", 7_298_617_344),
    Published("allenai/Olmo-3-7B-Instruct", 7_298_011_136),
    Published("allenai/OLMo-7B-hf", 6_888_095_744),
    Published("allenai/OLMoE-1B-7B-0924", 6_919_161_856),
    Published("arcee-ai/Trinity-Mini", 26_123_974_400),
    Published("baidu/ERNIE-4.5-0.3B-PT", 360_748_032),
    Published("bigscience/bloom-7b1", 7_069_016_064),
    Published("ByteDance-Seed/Seed-Coder-8B-Instruct", 8_250_462_208),
    Published("ByteDance-Seed/Seed-OSS-36B-Base", 36_151_104_512),
    Published("codellama/CodeLlama-13b-Instruct-hf", 13_016_028_160),
    Published("codellama/CodeLlama-34b-Instruct-hf", 33_743_970_304),
    Published("CohereLabs/aya-expanse-32b", 32_296_476_672),
    Published("CohereLabs/aya-expanse-8b", 8_028_033_024),
    Published("CohereLabs/c4ai-command-r-plus-08-2024", 103_810_674_688),
    Published("CohereLabs/c4ai-command-r-v01", 34_980_831_232),
    Published("deepseek-ai/deepseek-coder-33b-base", 33_342_991_360),
    Published("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", 1_777_088_000),
    Published("deepseek-ai/DeepSeek-V2", 235_741_434_880),
    Published("deepseek-ai/DeepSeek-V2-Lite", 15_706_484_224),
    Published("deepseek-ai/DeepSeek-V3", 684_531_386_000, V3_SCALES, "FP8 block scales"),
    Published("deepseek-ai/DeepSeek-V3.2", 685_355_329_792),
    Published("deepseek-ai/DeepSeek-V4-Pro", 1_598_839_674_782),
    Published(
        "EleutherAI/gpt-neox-20b",
        20_739_117_584,
        44 * (2048 * 2048 + 12),
        "a causal mask and 12 rotary frequencies in every layer",
    ),
    Published("google/gemma-2-27b-it", 27_227_128_320),
    Published("google/gemma-2-2b-it", 2_614_341_888),
    Published("google/gemma-2b", 2_506_172_416),
    Published("google/gemma-3-1b-it", 999_885_952),
    Published("google/gemma-3-270m-it", 268_098_176),
    Published("google/gemma-3-27b-it", 27_432_406_640),
    Published("google/gemma-3n-E2B-it", 5_439_438_272),
    Published("google/gemma-3n-E4B-it", 7_849_978_192),
    Published(
        "google/gemma-4-26B-A4B",
        26_544_131_376,
        -30 - 2 * 1152,
        "without the layer scales and standardisation vectors",
    ),
    Published("google/gemma-7b", 8_537_680_896),
    Published("google/recurrentgemma-2b", 2_682_862_080),
    Published("HuggingFaceTB/SmolLM2-1.7B", 1_711_376_384),
    Published("HuggingFaceTB/SmolLM2-360M", 361_821_120),
    Published("HuggingFaceTB/SmolLM3-3B", 3_075_098_624),
    Published("ibm-ai-platform/Bamba-9B-v1", 9_780_235_392),
    Published("ibm-granite/granite-3.1-3b-a800m-instruct", 3_298_793_472),
    Published("ibm-granite/granite-3.3-2b-instruct", 2_533_539_840),
    Published("ibm-granite/granite-3.3-8b-instruct", 8_170_864_640),
    Published("ibm-granite/granite-4.0-h-1b", 1_461_538_368),
    Published("ibm-granite/granite-4.0-h-micro", 3_191_396_096),
    Published("ibm-granite/granite-4.0-h-small", 32_207_337_984),
    Published("ibm-granite/granite-4.0-h-tiny", 6_939_037_248),
    Published("inclusionAI/Ling-flash-2.0", 102_889_705_216),
    Published("inclusionAI/Ling-lite-1.5", 16_801_974_272),
    Published("inclusionAI/Ling-mini-2.0", 16_255_643_392),
    Published("internlm/internlm2_5-7b-chat", 7_737_708_544),
    Published("internlm/internlm3-8b-instruct", 8_804_241_408),
    Published("LGAI-EXAONE/EXAONE-3.5-2.4B-Instruct", 2_405_327_360),
    Published("LGAI-EXAONE/EXAONE-3.5-32B-Instruct", 32_003_200_000),
    Published("LGAI-EXAONE/EXAONE-4.0-1.2B", 1_279_391_488),
    Published("LGAI-EXAONE/EXAONE-4.0-32B", 32_003_216_384),
    Published("LGAI-EXAONE/K-EXAONE-236B-A23B", 237_099_669_632),
    Published("LiquidAI/LFM2-1.2B", 1_170_340_608),
    Published("LiquidAI/LFM2-350M", 354_483_968),
    Published("LiquidAI/LFM2-8B-A1B", 8_339_929_856),
    Published(
        "meta-llama/Llama-2-70b-chat-hf", 68_976_653_312, 80 * 64, "64 rotary frequencies in every layer"
    ),
    Published(
        "meta-llama/Llama-2-7b-chat-hf", 6_738_417_664, 32 * 64, "64 rotary frequencies in every layer"
    ),
    Published("meta-llama/Llama-3.2-3B", 3_212_749_824),
    Published("meta-llama/Llama-3.3-70B-Instruct", 70_553_706_496),
    Published("meta-llama/Llama-4-Maverick-17B-128E-Instruct", 401_583_781_376),
    Published("meta-llama/Llama-4-Scout-17B-16E-Instruct", 108_641_793_536),
    Published("meta-llama/Meta-Llama-3-8B", 8_030_261_248),
    Published("microsoft/Phi-3-medium-128k-instruct", 13_960_238_080),
    Published("microsoft/phi-4", 14_659_507_200),
    Published("microsoft/Phi-mini-MoE-instruct", 7_647_632_704),
    Published("MiniMaxAI/MiniMax-M1-40k", 456_089_655_296),
    Published("MiniMaxAI/MiniMax-M2.7", 228_689_764_864),
    Published("MiniMaxAI/MiniMax-Text-01", 456_089_655_296),
    Published("mistralai/Mistral-7B-Instruct-v0.3", 7_248_023_552),
    Published("mistralai/Mistral-7B-v0.1", 7_241_732_096),
    Published("mistralai/Mistral-Large-Instruct-2407", 122_610_069_504),
    Published("mistralai/Mistral-Medium-3.5-128B", 127_704_210_176),
    Published("mistralai/Mistral-Nemo-Instruct-2407", 12_247_782_400),
    Published("mistralai/Mistral-Small-3.1-24B-Instruct-2503", 24_011_361_280),
    Published(
        "mistralai/Mistral-Small-4-119B-2603", 119_401_317_952, MISTRAL4_SCALES, "FP8 scales, one a matrix"
    ),
    Published("mistralai/Mixtral-8x22B-Instruct-v0.1", 140_630_071_296),
    Published("mistralai/Mixtral-8x7B-v0.1", 46_702_792_704),
    Published(
        "moonshotai/Kimi-K2-Instruct",
        1_026_408_235_864,
        61 * 56,
        "56 elements in every layer, not identified",
    ),
    Published("moonshotai/Kimi-K2.5", 1_026_879_376_368),
    Published("moonshotai/Kimi-K3", 2_779_931_837_184),
    Published("moonshotai/Kimi-Linear-48B-A3B-Instruct", 49_122_681_728),
    Published("nvidia/Llama-3.1-Minitron-4B-Width-Base", 4_512_746_496),
    Published("nvidia/Llama-3_3-Nemotron-Super-49B-v1", 49_867_145_216),
    Published("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", 31_577_937_344),
    Published("nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16", 560_524_578_816),
    Published("nvidia/NVIDIA-Nemotron-Nano-9B-v2", 8_888_227_328),
    Published("openai-community/gpt2", 137_022_720, 12 * 1024 * 1024, "a causal mask in every layer"),
    Published("openai/gpt-oss-120b", 116_829_156_672),
    Published("openai/gpt-oss-20b", 20_914_757_184),
    Published("Qwen/Qwen1.5-110B-Chat", 111_209_914_368),
    Published("Qwen/Qwen1.5-MoE-A2.7B-Chat", 14_315_784_192),
    Published("Qwen/Qwen2-57B-A14B-Instruct", 57_408_658_944),
    Published("Qwen/Qwen2-VL-7B-Instruct", 8_291_375_616),
    Published("Qwen/Qwen2.5-0.5B-Instruct", 494_032_768),
    Published("Qwen/Qwen2.5-1.5B-Instruct", 1_543_714_304),
    Published("Qwen/Qwen2.5-14B", 14_770_033_664),
    Published("Qwen/Qwen2.5-3B", 3_085_938_688),
    Published("Qwen/Qwen2.5-72B-Instruct", 72_706_203_648),
    Published("Qwen/Qwen2.5-7B", 7_615_616_512),
    Published("Qwen/Qwen3-14B", 14_768_307_200),
    Published("Qwen/Qwen3-235B-A22B", 235_093_634_560),
    Published("Qwen/Qwen3-235B-A22B-FP8", 235_107_904_512, QWEN3_235B_SCALES, "FP8 block scales"),
    Published("Qwen/Qwen3-30B-A3B", 30_532_122_624),
    Published("Qwen/Qwen3-30B-A3B-FP8", 30_533_947_392, QWEN3_30B_SCALES, "FP8 block scales"),
    Published("Qwen/Qwen3-30B-A3B-Instruct-2507", 30_532_122_624),
    Published("Qwen/Qwen3-32B", 32_762_123_264),
    Published("Qwen/Qwen3-32B-FP8", 32_764_027_904, QWEN3_32B_SCALES, "FP8 block scales"),
    Published("Qwen/Qwen3-4B", 4_022_468_096),
    Published("Qwen/Qwen3-Coder-480B-A35B-Instruct", 480_154_875_392),
    Published("Qwen/Qwen3-VL-235B-A22B-Instruct", 235_670_022_896),
    Published("Qwen/Qwen3-VL-2B-Instruct", 2_127_532_032),
    Published("Qwen/Qwen3-VL-30B-A3B-Instruct", 31_070_754_032),
    Published("Qwen/Qwen3-VL-32B-Instruct", 33_357_390_064),
    Published("Qwen/Qwen3-VL-4B-Instruct", 4_437_815_808),
    Published("Qwen/Qwen3.5-0.8B", 873_438_784),
    Published("Qwen/Qwen3.5-122B-A10B", 125_086_497_008),
    Published("Qwen/Qwen3.5-122B-A10B-FP8", 125_094_006_512, QWEN35_122B_SCALES, "FP8 block scales"),
    Published("Qwen/Qwen3.5-27B", 27_781_427_952),
    Published("Qwen/Qwen3.5-2B", 2_274_069_824),
    Published("Qwen/Qwen3.5-397B-A17B", 403_397_928_944),
    Published("rednote-hilab/dots.llm1.base", 142_774_381_696),
    Published("RWKV/RWKV7-Goose-World3-2.9B-HF", 2_947_735_040),
    Published("Snowflake/snowflake-arctic-instruct", 478_584_608_768),
    Published("stabilityai/stablelm-2-12b", 12_143_185_920),
    Published("stabilityai/stablelm-2-1_6b", 1_644_515_328),
    Published("stabilityai/stablelm-3b-4e1t", 2_795_443_200),
    Published("state-spaces/mamba-1.4b-hf", 1_372_178_432),
    Published("state-spaces/mamba-130m-hf", 129_135_360),
    Published("state-spaces/mamba-2.8b-hf", 2_768_345_600),
    Published("stepfun-ai/Step-3.5-Flash", 199_384_301_376),
    Published("swiss-ai/Apertus-8B-2509", 8_053_338_176),
    Published("tencent/Hunyuan-4B-Instruct", 4_221_757_440),
    Published("tencent/Hunyuan-7B-Instruct", 7_504_568_320),
    Published("tencent/Hunyuan-A13B-Instruct", 80_393_183_232),
    Published("tencent/Hy3-preview", 298_786_155_776),
    Published("tiiuae/falcon-7b", 7_217_189_760),
    Published("tiiuae/Falcon-H1-34B-Base", 33_642_516_224),
    Published("tiiuae/Falcon-H1-7B-Base", 7_585_648_736),
    Published("tiiuae/falcon-mamba-7b", 7_272_665_088),
    Published("tiiuae/Falcon3-10B-Base", 10_305_653_760),
    Published("tiiuae/Falcon3-7B-Base", 7_455_550_464),
    Published("TinyLlama/TinyLlama-1.1B-Chat-v1.0", 1_100_048_384),
    Published("upstage/SOLAR-10.7B-Instruct-v1.0", 10_731_524_096),
    Published("XiaomiMiMo/MiMo-7B-Base", 7_833_409_536),
    Published(
        "XiaomiMiMo/MiMo-V2-Flash",
        309_785_318_400,
        MIMO_SCALES + 576,
        "FP8 block scales, and 576 elements not identified",
    ),
    Published("zai-org/GLM-4-32B-0414", 32_566_081_536),
    Published("zai-org/GLM-4-9B-0414", 9_400_279_040),
    Published("zai-org/GLM-4.5-Air", 110_468_824_832),
    Published("zai-org/GLM-5", 753_864_139_008),
    Published("zai-org/GLM-5-FP8", 753_910_024_032, GLM5_SCALES, "FP8 block scales"),
    Published("zai-org/GLM-5.2", 753_329_940_480),
    Published("zai-org/GLM-5.2-FP8", 753_329_940_480),
    Published("zai-org/GLM-5.3", 753_329_940_480),
    Published("zai-org/GLM-Z1-Rumination-32B-0414", 33_141_749_760),
)


def config_of(model: str) -> dict[str, object]:
    config = json.loads((CONFIGS / f"{model.replace('/', '__')}.json").read_text())
    assert isinstance(config, dict)
    return config


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row.model)
def test_total_is_the_published_one(row: Published) -> None:
    assert network_from_config(config_of(row.model)).parameters.counted + row.beside == row.total


def test_what_a_repository_stores_beside_its_weights_is_said() -> None:
    assert all(bool(row.beside) == bool(row.why) for row in PUBLISHED)


def test_every_config_has_its_row() -> None:
    files = {path.stem.replace("__", "/", 1) for path in CONFIGS.glob("*.json")}
    assert files == {row.model for row in PUBLISHED}


@pytest.mark.parametrize(
    ("model", "active_b"),
    # As the publishers state it, rounded, embeddings and head included; MiniMax leaves both tables out.
    [
        ("mistralai/Mixtral-8x7B-v0.1", 12.9),
        ("Qwen/Qwen3-235B-A22B", 22),
        ("deepseek-ai/DeepSeek-V3", 37),
        ("moonshotai/Kimi-K2-Instruct", 32),
        ("ibm-granite/granite-4.0-h-small", 9),
        ("MiniMaxAI/MiniMax-Text-01", 45.9 + 2 * 200_064 * 6144 / 1e9),
        ("google/gemma-4-26B-A4B", 3.8),
        ("moonshotai/Kimi-K3", 104),
    ],
)
def test_active_parameters_are_those_the_publisher_rounds(model: str, active_b: float) -> None:
    parameters = network_from_config(config_of(model)).parameters
    assert parameters.active == pytest.approx(active_b * 1e9, rel=0.04)


@pytest.mark.parametrize(
    ("printed_b", "config"),
    # Counts that llama.cpp prints, to two decimals, for models without an exact published total.
    [
        (
            21.83,  # ERNIE-4.5-21B-A3B, without its extra prediction layer
            {
                "model_type": "ernie4_5_moe", "hidden_size": 2560, "intermediate_size": 12288,
                "moe_intermediate_size": 1536, "moe_num_experts": 64, "moe_k": 6, "moe_num_shared_experts": 2,
                "moe_layer_start_index": 1, "moe_layer_end_index": 27, "moe_layer_interval": 1,
                "num_hidden_layers": 28, "num_attention_heads": 20, "num_key_value_heads": 4,
                "vocab_size": 103424, "use_bias": False,
            },
        ),
        (
            7.52,  # Gemma 4 E4B, text part, with the unused keys and values of 18 layers that share a cache
            {
                "model_type": "gemma4_text", "hidden_size": 2560, "intermediate_size": 10240,
                "num_hidden_layers": 42, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 256,
                "global_head_dim": 512, "num_kv_shared_layers": 18, "hidden_size_per_layer_input": 256,
                "vocab_size": 262144, "vocab_size_per_layer_input": 262144, "sliding_window": 512,
                "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 7,
            },
        ),
    ],
)  # fmt: skip
def test_count_is_the_one_llama_cpp_prints(printed_b: float, config: dict[str, object]) -> None:
    assert round(network_from_config(config).parameters.text / 1e9, 2) == printed_b


def _evidence() -> dict[str, int]:
    if not (SHARED / "truth" / "params.csv").is_file():
        return {}
    with (SHARED / "truth" / "params.csv").open(newline="") as file:
        return {
            row["model_id"]: int(row["total_params_exact"])
            for row in csv.DictReader(file)
            if row["total_params_exact"]
        }


@pytest.mark.skipif(not _evidence(), reason="the folder of whole configs is not beside the repository")
def test_whole_configs_are_counted_or_refused() -> None:
    """Every whole config.json there gives its published total within 0.1 %, or a one-line refusal."""
    beside = {row.model: row.beside for row in PUBLISHED}
    published = _evidence()
    wrong = []
    for path in sorted((SHARED / "configs").glob("*.json")):
        model = path.stem.replace("__", "/", 1)
        try:
            total = network_from_config(json.loads(path.read_text())).parameters.counted
        except PlannerError as error:
            assert "\n" not in str(error)
            continue
        expected = published.get(model)
        if expected is not None and abs((total + beside.get(model, 0)) / expected - 1) > TOLERANCE:
            wrong.append(f"{model}: {total:,} counted, {expected:,} published")
    assert not wrong
