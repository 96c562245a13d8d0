import re
from collections import Counter
from itertools import pairwise

import pytest

from profiles import schema
from profiles.loader import accelerator_rows
from tests.profiles.driver_names import DRIVER_NAMES

ROWS = accelerator_rows()
BY_ID = {row["id"]: row for row in ROWS}


def plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name.casefold())


def spellings(row: schema.Row) -> list[str]:
    aliases = row["aliases"]
    return [row["id"] or "", row["name"] or "", *(aliases.split(";") if aliases else [])]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_every_packaged_row_keeps_the_schema(row: schema.Row) -> None:
    schema.check_accelerator(row, "accelerators.csv")


def test_ids_are_unique_and_no_researched_device_is_lost() -> None:
    assert len(BY_ID) == len(ROWS) == 258
    kinds = Counter(row["vendor"] for row in ROWS)
    assert kinds["nvidia"] >= 140 and kinds["amd"] >= 40 and kinds["intel"] >= 15 and kinds["apple"] >= 35
    # Makers that only rent their chips out.
    assert kinds["google"] >= 6 and kinds["aws"] >= 4


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_every_row_says_where_it_is_from_and_when_it_was_checked(row: schema.Row) -> None:
    assert row["source"] and row["checked_on"]
    # Two sources that agree, or a flag that says what is missing or contested.
    assert row["status"] in {
        "agree",
        "agree-bw+formula",
        "agree-bw-only",
        "outlier-source",
        "one-source",
        "conflict",
    }
    assert row["bandwidth_basis"] and row["flop_basis"]


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
def test_a_driver_name_matches_its_own_rows_only(driver_name: str, expected: tuple[str, ...]) -> None:
    found = [row["id"] for row in ROWS if row["pattern"] and re.fullmatch(row["pattern"], driver_name)]
    assert sorted(map(str, found)) == sorted(expected)


def test_devices_of_one_driver_name_differ_in_memory_by_more_than_drivers_do() -> None:
    # Error correction moves a reported size by 1/16 at most; two rows of one name must stay further apart.
    for expected in DRIVER_NAMES.values():
        sizes = sorted(schema.number(BY_ID[id_]["memory_mib"]) or 0 for id_ in expected)
        assert all(larger / smaller > 1.15 for smaller, larger in pairwise(sizes))


def test_every_pattern_is_tried_by_a_driver_name() -> None:
    tried = {id_ for ids in DRIVER_NAMES.values() for id_ in ids}
    assert {row["id"] for row in ROWS if row["pattern"]} == tried


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_reported_memory_is_near_the_number_on_the_box(row: schema.Row) -> None:
    # "80 GB" on the box is 80 GiB of chips less what ECC and the driver keep (T4, A10, L40S: 6.3 %), or, where only
    # the label is known, 80·10⁹ bytes (4.6 % less). 7 % the other way would be GB taken for GiB twice.
    label, reported = schema.number(row["marketing_gb"]), schema.number(row["memory_mib"])
    if label is None or reported is None:
        assert row["unified_memory"] == "1"  # sold in several sizes
        return
    # B100 and GB200 sheets print 192 GB and give 180 and 186 of it.
    assert (0.88 if row["status"] == "conflict" else 0.92) <= reported / (label * 1024) <= 1.02


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
        # SYCL offers 95 % of what xpu-smi reports: 16,225,243,136 bytes of 16,288 MiB.
        ("arc-a770-16", "memory_mib", 16288),
        ("arc-b580", "memory_mib", 12216),
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
    # GB/s that boards with this memory have had: LPDDR from an M1 (68) to an M3 Ultra (819); GDDR6 from 124
    # (Arc A310) to 1,008 (GDDR6X); GDDR7 288 (RTX PRO 2000) to 1,792; HBM to 8,000.
    # A GTX 1050 Ti has 112 of GDDR5; a laptop's DDR5 76.8 to 89.6; the P100's HBM2 732, a TITAN V's three stacks 651.
    kinds = {
        "LPDDR": (60, 900), "DDR5": (70, 100), "GDDR5X": (190, 560), "GDDR5": (110, 350), "GDDR6": (120, 1100),
        "GDDR7": (280, 2000), "HBM": (650, 8100),
    }  # fmt: skip
    kind = next(name for name in kinds if (row["memory_type"] or "").startswith(name))
    low, high = kinds[kind]
    assert low <= (schema.number(row["memory_gb_per_s"]) or 0) <= high


def test_a_recalled_memory_size_says_so_and_a_conflict_names_its_fields() -> None:
    for row in ROWS:
        if "reported memory: recalled, not verified" in (row["note"] or ""):
            assert row["memory_basis"] == "assumed", row["id"]
        if row["status"] == "conflict":
            assert row["conflict_fields"], row["id"]
    # Read from drivers: 8 in a published NVML table (T4 … H200), 4 by NVIDIA's aiconfigurator (B300, GB200, GB300,
    # RTX PRO 6000 Server), 9 in published output of xpu-smi, hl-smi, SYCL, OpenVINO, PyTorch and ROCm (five Arcs, two
    # Gaudis, Max 1550, MI250X). A row that joins them needs such a source, not a recollection.
    assert Counter(row["memory_basis"] for row in ROWS)["vendor"] == 8 + 4 + 9


def test_a_cpu_link_is_not_taken_for_a_link_between_accelerators() -> None:
    for id_ in ("gh200-96", "gh200-144", "gb10-dgx-spark"):
        assert BY_ID[id_]["link_gb_per_s"] is None


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_bandwidth_is_bus_width_times_data_rate(row: schema.Row) -> None:
    bus, rate = schema.number(row["memory_bus_bits"]), schema.number(row["memory_gbit_per_pin"])
    if bus is None or rate is None:
        return
    assert bus / 8 * rate == pytest.approx(schema.number(row["memory_gb_per_s"]), rel=0.01)


def test_most_rows_can_be_checked_against_their_bus() -> None:
    assert sum(row["memory_bus_bits"] is not None for row in ROWS) >= 180


# Dense FP16 with FP32 accumulation, FLOP per unit (SM, CU, Xe core) and clock: NVIDIA's whitepapers (Volta 1,024;
# GA100 2,048; GH100 4,096; GeForce half of the professional cards since Turing), AMD's CDNA and RDNA guides,
# Intel's Xe guide (XMX: 2,048; HPC 4,096). Pascal and TU116 have no matrix units: 2 FLOP for each FP32 lane.
FLOP_PER_UNIT = {
    "Pascal": (128, 256), "Volta": (1024,), "Turing": (128, 512, 1024), "Ampere": (512, 1024, 2048), "Ada": (512, 1024),
    "Hopper": (4096,), "Blackwell": (512, 1024), "GCN5.1": (256,), "CDNA": (1024,), "CDNA2": (1024,), "CDNA3": (2048,),
    "RDNA2": (256,), "RDNA3": (512,), "RDNA3.5": (512,), "RDNA4": (1024,), "Xe-HPG": (2048,), "Xe2": (2048,),
    "Xe-HPC": (4096,),
}  # fmt: skip
# Makers print less than the highest clock gives: Hopper's tensor cores run at 1.755 to 1.83 GHz, a TITAN V's below
# its boost, and an A10G is capped at 70 TFLOP/s.
BELOW_BOOST = {"a10g", "titan-v", "h100-pcie-80", "h100-sxm-80", "h100-nvl-94", "h200-sxm", "h200-nvl"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_the_matrix_rate_is_units_times_clock(row: schema.Row) -> None:
    units, clock = schema.number(row["compute_units"]), schema.number(row["boost_mhz"])
    rate = schema.number(row["fp16_tflop_per_s"])
    if units is None or clock is None or rate is None:
        return
    per_unit = rate * 1e6 / (units * clock)
    known = FLOP_PER_UNIT[row["architecture"] or ""]
    if row["id"] in BELOW_BOOST:
        assert 0.8 * min(known) < per_unit < max(known)
    else:
        assert min(abs(per_unit / each - 1) for each in known) < 0.035


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_a_link_is_counted_one_way(row: schema.Row) -> None:
    """NVLink 1 to 5: 20, 25, 25, 25 and 50 GB/s one way per link, at most 4, 6, 12, 18 and 18 links."""
    most = {"NVLink1": 80, "NVLink2": 150, "NVLink3": 300, "NVLink4": 450, "NVLink5": 900}
    kind, link = (row["link_type"] or "").split(" ")[0], schema.number(row["link_gb_per_s"])
    if kind in most:
        assert link is not None
        assert link <= most[kind]
    if "bridge" in (row["link_type"] or ""):
        assert link is not None and link <= 450


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_rates_of_one_family_keep_their_ratios(row: schema.Row) -> None:
    """FP8 has twice the rate of FP16 wherever there is FP8, but where a row says why not."""
    half = schema.number(row["fp16_tflop_per_s"]) or schema.number(row["bf16_tflop_per_s"])
    fp8 = schema.number(row["fp8_tflop_per_s"])
    # cFP8 of Inferentia2, Gaudi's BF16-only matrix unit, TPU v6e: the same rate as BF16, as their makers say.
    if fp8 is None or row["vendor"] in ("aws", "intel", "google") or row["architecture"] == "Gaudi":
        return
    assert half is not None
    assert fp8 / half == pytest.approx(2, rel=0.03)
