import re
from collections import Counter

import pytest

from profiles import schema
from profiles.loader import accelerator_rows

ROWS = accelerator_rows()
BY_ID = {row["id"]: row for row in ROWS}

# What drivers call their devices: NVML for NVIDIA, sysfs or amd-smi for AMD, xpu-smi for Intel, the chip name for
# Apple (macOS gives no core count, so the two M4 Max differ only when the probe adds it). None where the name does
# not tell one row from another, or is none of ours.
DRIVER_NAMES = {
    "Tesla V100-SXM2-32GB": "v100-sxm2-32",
    "Tesla V100-PCIE-32GB": "v100-pcie-32",
    "Tesla T4": "t4",
    "NVIDIA A10": "a10",
    "NVIDIA A10G": "a10g",
    "NVIDIA A30": "a30",
    "NVIDIA A40": "a40",
    "NVIDIA RTX A6000": "rtx-a6000",
    "NVIDIA A100-PCIE-40GB": "a100-pcie-40",
    "A100-SXM4-40GB": "a100-sxm-40",
    "NVIDIA A100-SXM4-40GB": "a100-sxm-40",
    "NVIDIA A100 80GB PCIe": "a100-pcie-80",
    "NVIDIA A100-SXM4-80GB": "a100-sxm-80",
    "NVIDIA A100-SXM4-80GB MIG 1g.10gb": None,
    "NVIDIA L4": "l4",
    "NVIDIA L40": "l40",
    "NVIDIA L40S": "l40s",
    "NVIDIA H100 PCIe": "h100-pcie-80",
    "NVIDIA H100 80GB HBM3": "h100-sxm-80",
    "NVIDIA H100 NVL": "h100-nvl-94",
    "NVIDIA H200": "h200-sxm",
    "NVIDIA H200 NVL": "h200-nvl",
    "NVIDIA H20": "h20",
    "NVIDIA GH200 480GB": "gh200-96",
    "NVIDIA GH200 144G HBM3e": "gh200-144",
    "NVIDIA B200": "b200-sxm",
    "NVIDIA B300 SXM6 AC": "b300-sxm",
    "NVIDIA GB200": "gb200",
    "NVIDIA GB300": "gb300",
    "NVIDIA GeForce RTX 3060": "rtx-3060-12",
    "NVIDIA GeForce RTX 3060 Ti": None,
    "NVIDIA GeForce RTX 3060 Laptop GPU": None,
    "NVIDIA GeForce RTX 3070": "rtx-3070",
    "NVIDIA GeForce RTX 3080": "rtx-3080-10",
    "NVIDIA GeForce RTX 3080 Ti": None,
    "GeForce RTX 3090": "rtx-3090",
    "NVIDIA GeForce RTX 3090": "rtx-3090",
    "NVIDIA GeForce RTX 3090 Ti": "rtx-3090-ti",
    "NVIDIA GeForce RTX 4060": "rtx-4060",
    "NVIDIA GeForce RTX 4060 Ti": "rtx-4060-ti-16",
    "NVIDIA GeForce RTX 4070": "rtx-4070",
    "NVIDIA GeForce RTX 4070 SUPER": None,
    "NVIDIA GeForce RTX 4070 Ti": None,
    "NVIDIA GeForce RTX 4070 Ti SUPER": "rtx-4070-ti-super",
    "NVIDIA GeForce RTX 4080": "rtx-4080",
    "NVIDIA GeForce RTX 4080 SUPER": "rtx-4080-super",
    "NVIDIA GeForce RTX 4090": "rtx-4090",
    "NVIDIA GeForce RTX 4090 D": None,
    "NVIDIA GeForce RTX 4090 Laptop GPU": None,
    "NVIDIA GeForce RTX 5060": "rtx-5060",
    "NVIDIA GeForce RTX 5060 Ti": "rtx-5060-ti-16",
    "NVIDIA GeForce RTX 5070": "rtx-5070",
    "NVIDIA GeForce RTX 5070 Ti": "rtx-5070-ti",
    "NVIDIA GeForce RTX 5080": "rtx-5080",
    "NVIDIA GeForce RTX 5090": "rtx-5090",
    "NVIDIA GeForce RTX 5090 Laptop GPU": None,
    "NVIDIA RTX 6000 Ada Generation": "rtx-6000-ada",
    "NVIDIA RTX PRO 6000 Blackwell Workstation Edition": "rtx-pro-6000-ws",
    "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition": "rtx-pro-6000-mq",
    "NVIDIA RTX PRO 6000 Blackwell Server Edition": "rtx-pro-6000-se",
    "NVIDIA GB10": "gb10-dgx-spark",
    "NVIDIA Thor": "jetson-thor-t5000",
    "Orin": None,  # a Nano and an AGX say the same
    "AMD Instinct MI210": "mi210",
    "AMD Instinct MI250X": "mi250x",
    "AMD Instinct MI300X": "mi300x",
    "AMD Instinct MI300A": None,
    "AMD Instinct MI325X": "mi325x",
    "AMD Instinct MI350X": "mi350x",
    "AMD Instinct MI355X": "mi355x",
    "AMD Radeon RX 7900 XTX": "rx-7900-xtx",
    "AMD Radeon RX 7900 XT": None,
    "AMD Radeon RX 9070 XT": "rx-9070-xt",
    "AMD Radeon RX 9070": None,
    "AMD Radeon AI PRO R9700": "r9700",
    "AMD Radeon 8060S Graphics": "strix-halo-395",
    "AMD RYZEN AI MAX+ 395 w/ Radeon 8060S": "strix-halo-395",
    "Intel(R) Arc(TM) A770 Graphics": "arc-a770-16",
    "Intel(R) Arc(TM) B580 Graphics": "arc-b580",
    "Intel(R) Arc(TM) Pro B60 Graphics": "arc-pro-b60",
    "Intel(R) Arc(TM) Pro B50 Graphics": "arc-pro-b50",
    "HL-225": "gaudi2",
    "HL-325L": "gaudi3",
    "Apple M1": "apple-m1",
    "Apple M1 Pro": "apple-m1-pro",
    "Apple M1 Max": "apple-m1-max",
    "Apple M1 Ultra": "apple-m1-ultra",
    "Apple M2": "apple-m2",
    "Apple M2 Pro": "apple-m2-pro",
    "Apple M2 Max": "apple-m2-max",
    "Apple M2 Ultra": "apple-m2-ultra",
    "Apple M3": "apple-m3",
    "Apple M3 Pro": "apple-m3-pro",
    "Apple M3 Max": None,
    "Apple M3 Max (30-core GPU)": "apple-m3-max-30",
    "Apple M3 Max (40-core GPU)": "apple-m3-max-40",
    "Apple M3 Ultra": "apple-m3-ultra",
    "Apple M4": "apple-m4",
    "Apple M4 Pro": "apple-m4-pro",
    "Apple M4 Max": None,
    "Apple M4 Max (32-core GPU)": "apple-m4-max-32",
    "Apple M4 Max (40-core GPU)": "apple-m4-max-40",
    "Apple M5": "apple-m5",
    "Apple M5 Pro": "apple-m5-pro",
    "Apple M5 Max (32-core GPU)": "apple-m5-max-32",
    "Apple M5 Max (40-core GPU)": "apple-m5-max-40",
}


def plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name.casefold())


def spellings(row: schema.Row) -> list[str]:
    aliases = row["aliases"]
    return [row["id"] or "", row["name"] or "", *(aliases.split(";") if aliases else [])]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_every_packaged_row_keeps_the_schema(row: schema.Row) -> None:
    schema.check_accelerator(row, "accelerators.csv")


def test_ids_are_unique_and_none_of_the_96_researched_devices_is_lost() -> None:
    assert len(BY_ID) == len(ROWS) == 96


def test_no_spelling_belongs_to_two_rows() -> None:
    # Spaces, dashes and case do not tell two devices apart when a person types them.
    owners: dict[str, set[str | None]] = {}
    for row in ROWS:
        for spelling in spellings(row):
            owners.setdefault(plain(spelling), set()).add(row["id"])
    assert {name: ids for name, ids in owners.items() if len(ids) > 1} == {}


def test_a_family_word_is_never_also_the_name_of_one_device() -> None:
    names = {plain(spelling) for row in ROWS for spelling in spellings(row)}
    families = {plain(word) for row in ROWS for word in (row["family_names"] or "").split(";") if word}
    assert families & names == set()
    assert {"h100", "a100", "h200", "rtxpro6000", "m4max"} <= families


def test_h100_means_three_devices_and_gh200_none_of_the_h200() -> None:
    def family(word: str) -> set[str | None]:
        return {row["id"] for row in ROWS if word in (row["family_names"] or "").split(";")}

    assert family("H100") == {"h100-sxm-80", "h100-pcie-80", "h100-nvl-94"}
    assert family("H200") == {"h200-sxm", "h200-nvl"}


@pytest.mark.parametrize(("driver_name", "expected"), DRIVER_NAMES.items(), ids=lambda value: str(value))
def test_a_driver_name_matches_its_own_row_only(driver_name: str, expected: str | None) -> None:
    found = [row["id"] for row in ROWS if row["pattern"] and re.fullmatch(row["pattern"], driver_name)]
    assert found == ([] if expected is None else [expected])


def test_every_pattern_is_tried_by_a_driver_name() -> None:
    assert {row["id"] for row in ROWS if row["pattern"]} == set(DRIVER_NAMES.values()) - {None}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_reported_memory_is_near_the_number_on_the_box(row: schema.Row) -> None:
    # "80 GB" on the box is 80 GiB of chips less what ECC and the driver keep (T4, A10, L40S: 6.3 %), or, where only
    # the label is known, 80·10⁹ bytes (4.6 % less). 7 % the other way would be GB taken for GiB twice.
    label, reported = schema.number(row["marketing_gb"]), schema.number(row["memory_mib"])
    if label is None or reported is None:
        assert row["vendor"] == "apple" or row["id"] == "strix-halo-395"  # sold in several sizes
        return
    assert 0.92 <= reported / (label * 1024) <= 1.02


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_rates_are_dense(row: schema.Row) -> None:
    """A sheet's figure with 2:4 sparsity is twice the dense one and breaks these ratios."""
    rate = {name: schema.number(row[f"{name}_tflop_per_s"]) for name in ("fp16", "bf16", "fp8", "fp4")}
    half = max((value for value in (rate["fp16"], rate["bf16"]) if value is not None), default=None)
    assert half is not None
    if rate["fp8"] is not None:
        assert rate["fp8"] <= 2.1 * half
    if rate["fp4"] is not None:
        assert rate["fp8"] is not None
        # Blackwell Ultra has 3 times the FP4 of its FP8. GeForce halves FP8 with FP32 accumulation but not FP4: 4.
        ratio = {"Blackwell Ultra": 3.05}.get(row["architecture"] or "", 2.2)
        assert rate["fp4"] <= (4.05 if (row["name"] or "").startswith("GeForce") else ratio) * rate["fp8"]


@pytest.mark.parametrize(
    ("id_", "column", "expected"),
    [
        # NVIDIA's H100 sheet prints 1,979 and 3,958 "with sparsity": halved.
        ("h100-sxm-80", "bf16_tflop_per_s", 989),
        ("h100-sxm-80", "fp8_tflop_per_s", 1979),
        # GeForce runs FP16 at half rate when it accumulates in FP32: 330 / 2 and 419 / 2.
        ("rtx-4090", "fp16_tflop_per_s", 165.2),
        ("rtx-5090", "fp16_tflop_per_s", 209.5),
        # "3,352 AI TOPS" of the 5090 are FP4 with sparsity.
        ("rtx-5090", "fp4_tflop_per_s", 1676),
        # Blackwell Ultra gave INT8 up.
        ("b300-sxm", "int8_top_per_s", 150),
        # 900 GB/s of NVLink 4 are both ways together.
        ("h100-sxm-80", "link_gb_per_s", 450),
        ("b200-sxm", "link_gb_per_s", 900),
        # NVML reports 81,559 MiB for "80 GB", 143,771 for "141 GB".
        ("h100-sxm-80", "memory_mib", 81559),
        ("h200-sxm", "memory_mib", 143771),
        ("l40s", "memory_mib", 46068),
        # A module shows as two GPUs; the sheet's 3,277 GB/s and 383 TFLOP/s are for both.
        ("mi250x", "memory_gb_per_s", 1638.5),
        ("mi250x", "fp16_tflop_per_s", 191.5),
        # Sources that double these: 10,300 GB/s for the MI300X, 288 GB for the MI325X.
        ("mi300x", "memory_gb_per_s", 5300),
        ("mi325x", "marketing_gb", 256),
        # The full M3 Max and M4 Max have more bandwidth than the cut-down ones of the same name.
        ("apple-m3-max-30", "memory_gb_per_s", 300),
        ("apple-m4-max-32", "memory_gb_per_s", 410),
    ],
)
def test_known_traps(id_: str, column: str, expected: float) -> None:
    assert schema.number(BY_ID[id_][column]) == expected


def test_a10g_is_not_an_a10_and_l40_has_half_the_rate_of_l40s() -> None:
    assert (
        schema.number(BY_ID["a10g"]["fp16_tflop_per_s"])
        == 70
        != schema.number(BY_ID["a10"]["fp16_tflop_per_s"])
    )
    assert schema.number(BY_ID["l40"]["fp16_tflop_per_s"]) == 362 / 2


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_bandwidth_is_that_of_its_kind_of_memory(row: schema.Row) -> None:
    # GB/s that boards with this memory have had: LPDDR from an M1 (68) to an M3 Ultra (819); GDDR6 from 224
    # (Arc Pro B50) to 1,008 (GDDR6X); GDDR7 448 to 1,792; HBM2 from a cut-down TPU v5e (819), HBM to 8,000.
    kinds = {"LPDDR": (60, 900), "GDDR6": (200, 1100), "GDDR7": (400, 2000), "HBM": (800, 8100)}
    kind = next(name for name in kinds if (row["memory_type"] or "").startswith(name))
    low, high = kinds[kind]
    assert low <= (schema.number(row["memory_gb_per_s"]) or 0) <= high


def test_a_recalled_memory_size_says_so_and_a_conflict_names_its_fields() -> None:
    for row in ROWS:
        if "recalled, not verified" in (row["note"] or ""):
            assert row["memory_basis"] == "assumed", row["id"]
        if row["status"] == "conflict":
            assert row["conflict_fields"], row["id"]
    # Read from drivers: 8 in a published NVML table (T4 … H200), 4 by NVIDIA's aiconfigurator (B300, GB200, GB300,
    # RTX PRO 6000 Server). A row that joins them needs such a source, not a recollection.
    assert Counter(row["memory_basis"] for row in ROWS)["vendor"] == 8 + 4


def test_a_cpu_link_is_not_taken_for_a_link_between_accelerators() -> None:
    for id_ in ("gh200-96", "gh200-144", "gb10-dgx-spark"):
        assert BY_ID[id_]["link_gb_per_s"] is None
