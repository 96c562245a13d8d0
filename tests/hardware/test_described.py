"""Machines in words."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.described import describe_machine, described_machines
from hardware.errors import DescriptionError
from hardware.machine_json import machine_to_json_data
from hardware.spec import Basis
from hardware.units import GIB, MIB
from tests.hardware.accelerator_table import CPU_ROWS, NODE_ROWS, ROWS


def test_two_cards_and_memory() -> None:
    machine = describe_machine("2x RTX 4090, 64GiB", ROWS)
    assert machine.described
    assert machine.name == "2x RTX 4090, 64GiB"
    assert [(gpu.index, gpu.name, gpu.memory_bytes) for gpu in machine.gpus] == [
        (0, "GeForce RTX 4090", 24_564 * MIB),
        (1, "GeForce RTX 4090", 24_564 * MIB),
    ]
    assert machine.memory is not None
    assert machine.memory.total_bytes == 64 * GIB
    assert machine.cpu is None
    assert machine.cpu_memory_bytes_per_s is None
    assert machine.memory_bandwidth is None
    assert machine.problems == ()


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("8xH100 SXM", ["h100-sxm"] * 8),
        ("8 x H100 SXM, 2TiB", ["h100-sxm"] * 8),
        ("4× H100 PCIe", ["h100-pcie"] * 4),
        ("RTX 4090 x2, 64GB", ["rtx-4090"] * 2),
        ("RTX 3090 + RTX 4090, 64GiB", ["rtx-3090", "rtx-4090"]),
        ("2x RTX 3090+RTX 4090+ 2x RTX 3090", ["rtx-3090"] * 2 + ["rtx-4090"] + ["rtx-3090"] * 2),
        ("RTX 3090, RTX 4090, 64GiB", ["rtx-3090", "rtx-4090"]),
        ("A100 SXM 80GB", ["a100-sxm-80"]),
        ("A100 SXM4 40GB, 256GiB", ["a100-sxm-40"]),
        ("RTX 4090 24GB", ["rtx-4090"]),
        ("4090", ["rtx-4090"]),
        ("7900 XTX, 32GiB", ["rx-7900-xtx"]),  # "7900 X" is no count
        ("7900XTX", ["rx-7900-xtx"]),
        ("2x7900 XTX", ["rx-7900-xtx"] * 2),
        ("64GiB, cpu only", []),
        ("no gpu, 64GiB", []),
        ("Ryzen AI Max+ 395, 96GiB", ["strix-halo"]),  # the plus belongs to the name
    ],
)
def test_devices(text: str, ids: list[str]) -> None:
    machine = describe_machine(text, ROWS)
    assert [gpu.accelerator.id for gpu in machine.gpus if gpu.accelerator is not None] == ids
    assert [gpu.index for gpu in machine.gpus] == list(range(len(ids)))


@pytest.mark.parametrize(
    ("text", "gb_per_s", "basis"),
    [
        # Channels x 8 bytes x million transfers per second.
        ("RTX 4090, 96GiB DDR5-5600", 89.6, Basis.ASSUMED),  # 2 x 8 x 5600; the two channels are assumed
        ("cpu only, 64GiB DDR5-6000", 96.0, Basis.ASSUMED),
        ("cpu only, 768GiB DDR5-4800 12ch", 460.8, Basis.DERIVED),
        ("cpu only, 8ch DDR4-3200 512GiB", 204.8, Basis.DERIVED),
        ("cpu only, 128GiB, DDR5-5600 4 channels", 179.2, Basis.DERIVED),
        ("cpu only, 64GB of RAM", None, None),
    ],
)
def test_memory_speed_from_its_modules(text: str, gb_per_s: float | None, basis: Basis | None) -> None:
    machine = describe_machine(text, ROWS)
    rate = machine.cpu_memory_bytes_per_s
    assert (None if rate is None else rate / 1e9) == pytest.approx(gb_per_s)
    assert machine.cpu_memory_basis == basis
    assert machine.memory_bandwidth is None  # that one is for measurements
    assert len(machine.problems) == (basis is Basis.ASSUMED)  # an assumption is said


def test_gb_and_gib_differ() -> None:
    decimal, binary = (describe_machine(f"cpu only, 64{unit}", ROWS).memory for unit in ("GB", "GiB"))
    assert decimal is not None
    assert binary is not None
    assert (decimal.total_bytes, binary.total_bytes) == (64_000_000_000, 68_719_476_736)


@pytest.mark.parametrize("text", ["M4 Max 128GiB", "Apple M4 Max, 128GiB", "1x M4 Max 40-core, 128GiB"])
def test_a_mac_shares_its_memory(text: str) -> None:
    machine = describe_machine(text, ROWS)
    (gpu,) = machine.gpus
    assert gpu.accelerator is not None
    assert (gpu.accelerator.id, gpu.backend) == ("apple-m4-max", "metal")
    assert machine.memory is not None
    assert machine.memory.total_bytes == 128 * GIB
    assert gpu.memory_bytes == 96 * GIB  # three quarters of 128
    assert (machine.cpu_memory_bytes_per_s, machine.cpu_memory_basis) == (546e9, Basis.VENDOR)
    assert "iogpu.wired_limit_mb" in machine.problems[0]


def test_a_small_mac_gets_two_thirds() -> None:
    (gpu,) = describe_machine("M4 Max 32-core, 36GiB", ROWS).gpus
    assert gpu.memory_bytes == 24 * GIB


def test_other_shared_memory_is_counted_whole() -> None:
    machine = describe_machine("Strix Halo, 128GiB LPDDR5X-8000 4ch", ROWS)
    assert machine.gpus[0].memory_bytes == 128 * GIB
    assert (machine.cpu_memory_bytes_per_s, machine.cpu_memory_basis) == (
        256e9,
        Basis.DERIVED,
    )  # 4 x 8 x 8,000
    spark = describe_machine("DGX Spark", ROWS)  # sold with one size only, so none has to be given
    assert spark.memory is not None
    assert spark.memory.total_bytes == spark.gpus[0].memory_bytes == 122_070 * MIB


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("RTX 4090,,64GiB", "empty"),
        ("64G", "write GiB"),
        ("RTX 4090, 64G", "write GiB"),
        ("RTX 4090, 64", "'64' is neither a device nor a size with a unit"),
        ("RTX 4091, 64GiB", "no profile is known for the device 'RTX 4091'; nearest are: GeForce RTX 4090"),
        (
            "abacus",
            "no profile is known for the device 'abacus'; give its facts, for example 'my-gpu=24GiB@900GB/s,fp16=150T'",
        ),
        ("A100, 64GiB", "can mean more than one device"),
        ("A100 80GB", "can mean more than one device"),
        ("RTX 4090 48GB", "no 'RTX 4090' with 48 GB is known"),
        ("M4 Max", "can mean more than one device"),
        ("M4 Max 40-core", "sold with different amounts"),
        ("M4 Max 128GiB, 64GiB", "two sizes for the same memory"),
        ("2x DGX Spark", "describe each by itself"),
        ("DGX Spark + RTX 4090", "describe each by itself"),
        ("RTX 4090, 64GiB, 32GiB", "main memory twice"),
        ("64GiB DDR5-5600 DDR4-3200", "two values"),
        ("64GiB 8ch", "no module speed"),
        ("64GiB DDR5-99999", "not a memory speed"),
        ("64GiB DDR5-5600 99ch", "memory channels"),
        ("0GiB", "not a memory size"),
        ("0x RTX 4090", "not a number of GPUs"),
        ("2000x RTX 4090", "not a number of GPUs"),
        ("600x RTX 4090 + 600x RTX 3090", "at most 1024 GPUs"),
        ("cpu only", "neither a GPU nor a memory size"),
        ("cpu only, RTX 4090", "cpu only"),
        ("RTX 4090 +, 64GiB", "next to a plus is missing"),
        ("RTX 4090\n64GiB" * 40, "at most 300 characters"),
    ],
)
def test_what_is_not_understood_is_one_line(text: str, message: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        describe_machine(text, ROWS)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


DISCRETE = st.sampled_from(["RTX 4090", "RTX 3090", "H100 SXM", "A100 SXM 80GB", "7900 XTX", "L40S"])


@settings(deadline=None)
@given(st.integers(1, 64), DISCRETE, st.integers(1, 4096))
def test_n_times_a_card_is_n_cards(n: int, name: str, n_gib: int) -> None:
    one = describe_machine(f"{name}, {n_gib}GiB", ROWS)
    many = describe_machine(f"{n}x {name}, {n_gib}GiB", ROWS)
    assert len(many.gpus) == n
    size = one.gpus[0].memory_bytes
    assert size is not None
    assert sum(gpu.memory_bytes or 0 for gpu in many.gpus) == n * size
    assert many.memory == one.memory


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 8), DISCRETE), min_size=1, max_size=5))
def test_a_sum_of_groups_has_all_of_them(groups: list[tuple[int, str]]) -> None:
    text = " + ".join(f"{n}x {name}" for n, name in groups)
    assert len(describe_machine(text, ROWS).gpus) == sum(n for n, _ in groups)


@settings(deadline=None)
@given(st.integers(400, 10_000), st.integers(1, 24))
def test_bandwidth_grows_with_channels_and_speed(transfers: int, n_channels: int) -> None:
    machine = describe_machine(f"cpu only, 64GiB DDR5-{transfers} {n_channels}ch", ROWS)
    assert machine.cpu_memory_bytes_per_s == n_channels * 8 * transfers * 1_000_000


def test_a_whole_machine_by_name() -> None:
    machine = describe_machine("big.8xlarge", ROWS, nodes=NODE_ROWS)
    assert (machine.name, len(machine.gpus)) == ("Big Box", 8)
    assert machine.memory is not None
    assert machine.memory.total_bytes == 1024 * GIB
    more = describe_machine("Big Box, 2TiB", ROWS, nodes=NODE_ROWS)
    assert more.memory is not None
    assert more.memory.total_bytes == 2048 * GIB
    assert describe_machine("Plain Server", ROWS, nodes=NODE_ROWS).gpus == ()
    with pytest.raises(DescriptionError, match="give just its size"):
        describe_machine("Big Box, 2TiB DDR5-4800", ROWS, nodes=NODE_ROWS)


@pytest.mark.parametrize("text", ["4x Big Box", "4 x big.8xlarge", "Big Box x4"])
def test_several_machines_are_a_fleet_and_not_one(text: str) -> None:
    machines = described_machines(text, ROWS, nodes=NODE_ROWS)
    assert [machine.name for machine in machines] == ["Big Box"] * 4
    with pytest.raises(
        DescriptionError, match="means 4 machines, and here one is asked for; plan for 'Big Box'"
    ):
        describe_machine(text, ROWS, nodes=NODE_ROWS)


def test_a_device_is_not_taken_for_a_machine_of_its_name() -> None:
    # Packaged machines are found by default; "8xH100 SXM" stays eight cards, "DGX H100" is a whole machine.
    assert describe_machine("DGX H100").cpu is not None
    assert describe_machine("8xH100 SXM").cpu is None
    assert len(describe_machine("p5.48xlarge").gpus) == 8
    with pytest.raises(DescriptionError, match="means 4 machines"):
        describe_machine("4x p5.48xlarge")


@pytest.mark.parametrize(
    ("text", "id_"),
    [("RTX 4000 Ada", "rtx-4000-ada"), ("Quadro RTX 4000", "quadro-rtx-4000"), ("RTX A4000", "rtx-a4000"),
     ("RTX 4090 Laptop", "rtx-4090-laptop"), ("RTX 4090 D", "rtx-4090-d"), ("RTX 4090", "rtx-4090"),
     ("H200", None), ("GH200", None), ("GH200 96GB", "gh200-96"), ("L40", "l40"), ("L40S", "l40s"),
     ("RTX 3080", "rtx-3080-10"), ("RTX 3080 12GB", "rtx-3080-12"), ("AMD Instinct MI355X 288GB HBM3e", "mi355x"),
     ("Intel(R) Arc Pro(R) B60", "arc-pro-b60"), ("M2 Ultra 76c, 192GiB", "apple-m2-ultra"),
     ("NVIDIA GeForce RTX 4070 Laptop 8GB + 64GB RAM", "rtx-4070-laptop"), ("M1 Max 32‑Core GPU 64GB", "apple-m1-max")],
)  # fmt: skip
def test_names_that_are_easily_confused(text: str, id_: str | None) -> None:
    if id_ is None:  # "H200" is an SXM or an NVL card, "GH200" has 96 or 144 GB, and neither is the other
        with pytest.raises(DescriptionError, match="can mean more than one device") as caught:
            describe_machine(text)
        assert ("GH200" in str(caught.value).split("one of:")[1]) == text.startswith("G")
        return
    (accelerator,) = {gpu.accelerator.id for gpu in describe_machine(text).gpus if gpu.accelerator}
    assert accelerator == id_


@pytest.mark.parametrize(
    ("text", "model", "cores", "gb_per_s", "basis"),
    [
        # Channels x 8 bytes x million transfers per second.
        ("EPYC 9654, 12ch DDR5-4800, 384GiB", "EPYC 9654", 96, 460.8, Basis.DERIVED),
        ("AMD EPYC 9654 96-Core Processor, 8ch DDR5-4800, 384GiB", "EPYC 9654", 96, 307.2, Basis.DERIVED),
        (
            "EPYC 9654, 384GiB",
            "EPYC 9654",
            96,
            460.8,
            Basis.ASSUMED,
        ),  # its twelve channels, if all are fitted
        ("2x EPYC 9654, 768GiB", "EPYC 9654", 192, 921.6, Basis.ASSUMED),
        (
            "EPYC 9654, 384GiB DDR5-4000",
            "EPYC 9654",
            96,
            384.0,
            Basis.ASSUMED,
        ),  # 12, not the usual 2 channels
        ("cpu only, EPYC 9654, 384GiB", "EPYC 9654", 96, 460.8, Basis.ASSUMED),
        ("Xeon 1234 48 cores, 64GiB", "Xeon 1234", 48, None, None),  # known to nobody: just what is said
    ],
)
def test_processors(text: str, model: str, cores: int, gb_per_s: float | None, basis: Basis | None) -> None:
    machine = describe_machine(text, ROWS, cpus=CPU_ROWS)
    assert machine.cpu is not None
    assert (machine.cpu.model, machine.cpu.n_physical_cores, machine.gpus) == (model, cores, ())
    rate = machine.cpu_memory_bytes_per_s
    assert (None if rate is None else rate / 1e9) == pytest.approx(gb_per_s)
    assert machine.cpu_memory_basis == basis
    assert len(machine.problems) == (basis is Basis.ASSUMED)


def test_a_processor_beside_gpus() -> None:
    machine = describe_machine("2x RTX 4090, Ryzen 9 7950X, 64GiB", ROWS, cpus=CPU_ROWS)
    assert len(machine.gpus) == 2
    assert machine.cpu is not None
    assert machine.cpu.n_usable_threads == 32
    assert machine.cpu_memory_bytes_per_s == 83.2e9  # 2 x 8 x 5,200


def test_a_device_that_nobody_knows_by_its_facts() -> None:
    machine = describe_machine(
        "2x my-gpu=24GiB@900GB/s,fp16=150T, int8=0.3P, link=50GB/s,power=300W, 64GiB", ROWS
    )
    assert [gpu.name for gpu in machine.gpus] == ["my-gpu", "my-gpu"]
    device = machine.gpus[0].accelerator
    assert device is not None
    assert (device.memory_bytes, device.memory_bytes_per_s) == (24 * GIB, 900e9)
    assert device.dense_flop_per_s == {"fp16": 150e12, "int8": 300e12}
    assert (device.link_bytes_per_s, device.power_w) == (50e9, 300)
    assert {device.memory_basis, device.bandwidth_basis, device.flop_basis} == {Basis.GIVEN}
    assert machine.memory is not None
    assert machine.memory.total_bytes == 64 * GIB


def test_modules_that_were_told_set_the_speed_of_a_gpu_that_shares_them() -> None:
    def rate(text: str) -> float:
        device = describe_machine(text).gpus[0].accelerator
        assert device is not None
        return device.memory_bytes_per_s

    assert rate("Radeon 780M, 32GiB") == 89.6e9  # the profile's DDR5-5600 in two channels
    assert rate("Radeon 780M, 32GiB LPDDR5X-7500 2ch") == 120e9  # 2 x 8 x 7,500


def test_a_file_of_another_machine(tmp_path: Path) -> None:
    machine = describe_machine("2x RTX 4090, 64GiB DDR5-6000 2ch", ROWS)
    path = tmp_path / "that machine, over there.json"
    path.write_text(json.dumps(machine_to_json_data(machine)), encoding="utf-8")
    assert describe_machine(str(path)) == machine
    for wrong in (str(tmp_path / "none.json"), str(tmp_path), "a\nb.json"):
        with pytest.raises(DescriptionError) as caught:
            describe_machine(wrong)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("my-gpu=24GiB@900GB,fp16=150T", "is not a device with its facts; write for example my-gpu="),
        ("my-gpu=24G@900GB/s", "is not a device with its facts"),
        ("my-gpu=0GiB@900GB/s", "is not the memory of a device"),
        ("my-gpu=24GiB@900TB/s,fp16=fast", "'fast' is not a rate"),
        ("my-gpu=24GiB@900GB/s,fp16=9999999P", "is not the fp16 of a device"),
        ("my-gpu=24GiB@900GB/s,link=9", "is not a link rate, one way"),
        ("my-gpu=24GiB@900GB/s,power=0W", "is not a power"),
        ("fp16=150T, RTX 4090", "follows no device with facts"),
        ("RTX 4090, fp16=150T", "follows no device with facts"),
        ("EPYC 9655X, 64GiB", "no profile is known for the processor 'EPYC 9655X'; nearest are: EPYC 9654"),
        ("EPYC 9654, Ryzen 9 7950X, 64GiB", "two kinds of processors"),
        ("EPYC 9654", "neither a GPU nor a memory size"),
        ("EPYC 9654 5000 cores, 64GiB", "are no machine"),
        ("0x Big Box", "not a number of machines"),
        ("5000x Big Box", "not a number of machines"),
        ("Big Box, RTX 4090", "no profile is known for the device 'Big Box'"),
    ],
)
def test_what_is_not_understood_of_machines_processors_and_facts(text: str, message: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        described_machines(text, ROWS, nodes=NODE_ROWS, cpus=CPU_ROWS)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(
    st.from_regex(
        r"[a-z]{1,5}=\d{1,3}(GiB|G)@\d{1,4}(GB|MB)/?s?(,(fp16|int8)=\d{1,3}[TPX]?){0,2}", fullmatch=True
    )
)
def test_any_given_device_is_a_machine_or_a_one_line_error(text: str) -> None:
    try:
        describe_machine(text, ROWS)
    except DescriptionError as error:
        assert len(str(error).splitlines()) == 1


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_machine_or_a_one_line_error(text: str) -> None:
    try:
        describe_machine(text, ROWS)
    except DescriptionError as error:
        assert len(str(error).splitlines()) == 1
