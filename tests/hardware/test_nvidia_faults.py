"""What is said when NVIDIA's driver, its fabric, a slot or a container is not as it should be."""

from collections.abc import Mapping
from typing import Any

import pynvml
import pytest

from hardware.probes import nvidia_details, nvidia_links
from hardware.probes.nvidia import NvidiaReport, read_nvidia_gpus
from hardware.probes.nvidia_query import error_words
from hardware.units import GIB, MIB
from tests.hardware.accelerator_table import ROWS
from tests.hardware.fake_nvml import FakeCard, FakeNvml, FakeSlice, RecordedDevice
from tests.hardware.nvml_recordings import recording


def changed(key: str, device: int, answers: Mapping[str, Any]) -> NvidiaReport:
    """A recorded machine of which one GPU (all, for −1) answers differently."""
    nvml = recording(key).nvml()
    for at, each in enumerate(nvml.devices):
        if device in (-1, at):
            each.answers = {**each.answers, **answers}
    return read_nvidia_gpus(nvml, {})


def fabric(**fields: Any) -> dict[str, Any]:
    return {"nvmlDeviceGetGpuFabricInfoV": {"fill": fields}}


# ------------------------------------------------------------------ the driver as a whole


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (pynvml.NVMLError_LibRmVersionMismatch(), "restart the machine"),
        (pynvml.NVMLError_NoPermission(), "let this user open /dev/nvidiactl"),
        (pynvml.NVMLError_Unknown(), "in a container, start it again"),
        (pynvml.NVMLError_OperatingSystem(), "run nvidia-smi"),
    ],
)
def test_a_driver_that_does_not_start_says_what_helps(error: Exception, advice: str) -> None:
    report = read_nvidia_gpus(FakeNvml(init_error=error), {}, ROWS)
    assert report.gpus == ()
    (line,) = report.problems
    assert line.startswith("NVIDIA driver: ")
    assert advice in line


@pytest.mark.parametrize(
    ("asked", "remark"),
    [("all", True), ("0,1", True), ("GPU-8932f937", True), ("void", False), ("none", False), ("", False)],
)
def test_a_container_without_the_driver_it_asks_for(asked: str, remark: bool) -> None:
    nvml = FakeNvml(init_error=pynvml.NVMLError_LibraryNotFound())
    report = read_nvidia_gpus(nvml, {"NVIDIA_VISIBLE_DEVICES": asked}, ROWS)
    assert bool(report.problems) is remark
    assert all("--gpus all" in line for line in report.problems)


def test_a_container_that_was_given_no_gpu() -> None:
    report = read_nvidia_gpus(FakeNvml([]), {"NVIDIA_VISIBLE_DEVICES": "none"}, ROWS)
    assert report.problems == ("NVIDIA_VISIBLE_DEVICES='none' leaves this container without GPUs",)
    assert read_nvidia_gpus(FakeNvml([]), {}, ROWS).problems == ()


def test_a_driver_question_that_fails_leaves_the_gpus() -> None:
    nvml = FakeNvml(
        [FakeCard(name="NVIDIA GeForce RTX 4090", uuid="GPU-1", memory_bytes=24_564 * MIB)],
        system={"nvmlSystemGetDriverVersion": {"error": "NVMLError_Unknown"}},
    )
    report = read_nvidia_gpus(nvml, {}, ROWS)
    assert report.driver_version is None
    assert report.gpus[0].memory_bytes == 24_564 * MIB
    assert report.problems == (
        "NVIDIA driver: no answer about driver version: Unknown Error; the rest is shown",
    )


def test_confidential_gpus_that_accept_no_work_yet() -> None:
    nvml = recording("h200_confidential").nvml()
    nvml.system.answers = {**nvml.system.answers, "nvmlSystemGetConfComputeGpusReadyState": 0}
    assert "nvidia-smi conf-compute -srs 1" in read_nvidia_gpus(nvml, {}).problems[0]


# ------------------------------------------------------------------ slots and links


def busy(**link: int) -> dict[str, Any]:
    names = {
        "generation": "nvmlDeviceGetCurrPcieLinkGeneration",
        "max_generation": "nvmlDeviceGetMaxPcieLinkGeneration",
        "width": "nvmlDeviceGetCurrPcieLinkWidth",
        "max_width": "nvmlDeviceGetMaxPcieLinkWidth",
    }
    return {
        "nvmlDeviceGetUtilizationRates": {"struct": "c_nvmlUtilization_t", "gpu": 90},
        "nvmlDeviceGetCurrentClocksEventReasons": 0,
        **{names[name]: value for name, value in link.items()},
    }


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        (busy(generation=1, max_generation=4, width=16, max_width=16), ["generation 1 of 4"]),
        (busy(generation=4, max_generation=4, width=4, max_width=16), ["4 of 16 PCIe lanes"]),
        (busy(generation=4, max_generation=4, width=4, max_width=4), ["4 lanes at most"]),
        (busy(generation=4, max_generation=4, width=16, max_width=16), []),
        # Idle by the driver's word, whatever the last sample of the load was: the link may sleep.
        (
            busy(generation=1, max_generation=4, width=8, max_width=16)
            | {"nvmlDeviceGetCurrentClocksEventReasons": 1},
            [],
        ),
    ],
)
def test_a_slow_pcie_link_is_named_while_busy(answers: dict[str, Any], found: list[str]) -> None:
    report = changed("rtx_4090_pair", 0, answers)
    lines = [line for line in report.problems if line.startswith(("GPU 0", "GPUs 0"))]
    assert len(lines) == len(found)
    assert all(words in line for words, line in zip(found, lines, strict=True))


def test_a_fabric_that_has_not_started_is_one_line_for_all() -> None:
    report = changed("hgx_h100_8", -1, fabric(state=2))
    (line,) = report.problems
    assert line == (
        "GPUs 0, 1, 2, 3 and 4 more (NVIDIA H100 80GB HBM3): NVSwitch fabric: in progress, so NVLink between "
        "GPUs does not work; check nvidia-fabricmanager"
    )


def test_an_unhealthy_fabric_says_why() -> None:
    # Bits 0–1: degraded bandwidth 1 (yes); bits 4–5: route unhealthy 2 (no); bits 8–11: configuration 5.
    report = changed("hgx_h100_8", 1, fabric(state=3, healthMask=0b0101_0010_0001))
    (line,) = report.problems
    assert "NVSwitch fabric: degraded bandwidth, too few NVLinks" in line


def test_links_that_are_down_and_peers_that_are_blocked() -> None:
    states = {"nvmlDeviceGetNvLinkState": {"by": {str(link): int(link < 16) for link in range(18)}}}
    (line,) = changed("hgx_h100_8", 6, states).problems
    assert line.startswith("GPU 6 (NVIDIA H100 80GB HBM3): only 16 of 18 NVLink links are up")
    blocked = {"nvmlDeviceGetP2PStatus": {"by": {"*": 3}}}
    (line,) = changed("hgx_h100_8", 6, blocked).problems
    assert "no peer access to 7 of 7 GPUs though NVLink is up (topology not supported)" in line


def test_one_link_that_does_not_answer_leaves_the_others() -> None:
    states = {
        "nvmlDeviceGetNvLinkState": {
            "by": {"*": 1, "7": {"error": "NVMLError_Unknown"}},
        }
    }
    report = changed("hgx_h100_8", 0, states)
    known = report.gpus[0].details
    assert known is not None
    assert (known.links[0].n_links, known.links[0].n_active) == (18, 17)
    assert known.not_answered == ("NVLink: Unknown Error",)


# ------------------------------------------------------------------ slices


def cut_card(**failures: Exception) -> FakeCard:
    part = FakeSlice(uuid="MIG-aaaa", profile="1g.10gb", memory_bytes=10 * GIB, n_slices=1)
    return FakeCard(
        name="NVIDIA A100-SXM4-80GB",
        uuid="GPU-a100",
        memory_bytes=80 * GIB,
        mig=True,
        slices=[part],
        failures=failures,
    )


def test_slices_that_cannot_be_listed_are_not_taken_for_none() -> None:
    card = cut_card(nvmlDeviceGetMaxMigDeviceCount=pynvml.NVMLError_NoPermission())
    report = read_nvidia_gpus(FakeNvml([card]), {}, ROWS)
    assert report.gpus[0].memory_bytes is None
    (line,) = report.problems
    assert line.endswith("its MIG slices cannot be listed: Insufficient Permissions")


def test_a_slice_without_its_handle_is_one_line() -> None:
    card = cut_card(nvmlDeviceGetMigDeviceHandleByIndex=pynvml.NVMLError_GpuIsLost())
    report = read_nvidia_gpus(FakeNvml([card]), {}, ROWS)
    assert {gpu.problem for gpu in report.gpus} == {"GPU is lost"}
    assert len(report.problems) == 1


def test_the_whole_cards_memory_may_be_hidden_from_users_of_its_slices() -> None:
    # Without privileges NVML refuses the card's figures in MIG mode; name and slices are enough for a profile.
    card = cut_card(nvmlDeviceGetMemoryInfo=pynvml.NVMLError_NoPermission())
    report = read_nvidia_gpus(FakeNvml([card]), {}, ROWS)
    (gpu,) = report.gpus
    assert (gpu.memory_bytes, gpu.problem) == (10 * GIB, None)
    assert gpu.accelerator is not None
    assert report.problems == ()


# ------------------------------------------------------------------ the Python module


class OldModule(FakeNvml):
    """A release of the module that lacks what was added since."""

    LACKS = (
        "nvmlMemory_v2",
        "c_nvmlGpuFabricInfo_v2_t",
        "c_nvmlGpuFabricInfo_t",
        "c_nvmlSystemConfComputeSettings_v1_t",
        "nvmlDeviceGetCurrentClocksEventReasons",
        "nvmlDeviceGetFieldValues",
        "nvmlDeviceGetMemoryAffinity",
        "nvmlSystemGetConfComputeState",
    )

    def __getattr__(self, name: str) -> Any:
        if name in self.LACKS:
            raise AttributeError(name)
        return super().__getattr__(name)


def test_an_old_release_of_the_module_is_enough() -> None:
    recorded = recording("a100_pcie_bridge").nvml()
    nvml = OldModule(recorded.devices, system=recorded.system.answers)
    report = read_nvidia_gpus(nvml, {})
    assert report.problems == ()
    gpu = report.gpus[0]
    assert (gpu.memory_bytes, gpu.reserved_bytes) == (81_920 * MIB, None)
    assert gpu.details is not None
    assert gpu.details.links[0].n_links == 12  # counted until the card has no more
    assert gpu.details.links[0].bytes_per_s_each is None


def test_text_as_bytes_and_with_odd_characters_stays_on_one_line() -> None:
    answers = {"nvmlDeviceGetName": b"NVIDIA\xff\n  GB10", "nvmlDeviceGetUUID": b"GPU-1"}
    report = read_nvidia_gpus(FakeNvml([RecordedDevice(answers=answers)]), {}, ROWS)
    assert (report.gpus[0].name, report.gpus[0].uuid) == ("NVIDIA\ufffd GB10", "GPU-1")
    assert all("\n" not in line for line in report.problems)


def test_every_error_of_the_module_has_words() -> None:
    # What the module itself cannot name reads "NVML Error with code 27".
    errors = [
        value
        for name, value in vars(pynvml).items()
        if name.startswith("NVMLError_") and isinstance(value, type)
    ]
    assert len(errors) > 20
    nameless = {kind.__name__ for kind in errors if "with code" in error_words(kind())}
    assert nameless <= {"NVMLError_FreqNotSupported", "NVMLError_ResetTypeNotSupported"}  # only when setting


def test_the_constants_are_those_of_the_module() -> None:
    reasons = {
        "GpuIdle": "idle",
        "ApplicationsClocksSetting": "clocks set by the user",
        "SwPowerCap": "power limit",
        "HwSlowdown": "hardware slowdown",
        "SyncBoost": "sync boost",
        "SwThermalSlowdown": "too hot (software)",
        "HwThermalSlowdown": "too hot (hardware)",
        "HwPowerBrakeSlowdown": "power brake (external power)",
        "DisplayClockSetting": "display clocks",
    }
    for suffix, words in reasons.items():
        assert nvidia_details._REASONS[getattr(pynvml, f"nvmlClocksEventReason{suffix}")] == words
        assert getattr(pynvml, f"nvmlClocksThrottleReason{suffix}") in nvidia_details._REASONS
    assert set(nvidia_details._REASONS) >= {
        pynvml.nvmlClocksThrottleReasonBoardLimit,
        pynvml.nvmlClocksThrottleReasonReliability,
    }
    for name in nvidia_details._ARCHITECTURES.values():
        assert nvidia_details._ARCHITECTURES[getattr(pynvml, f"NVML_DEVICE_ARCH_{name.upper()}")] == name
    for value, version in nvidia_links._VERSIONS.items():
        assert getattr(pynvml, f"NVML_NVLINK_VERSION_{version.replace('.', '_')}") == value
    assert (nvidia_details._SM_CLOCK, nvidia_details._MEMORY_CLOCK) == (
        pynvml.NVML_CLOCK_SM,
        pynvml.NVML_CLOCK_MEM,
    )
    assert nvidia_links._MAX_LINKS == pynvml.NVML_NVLINK_MAX_LINKS
    assert (nvidia_links._LINK_COUNT, nvidia_links._LINK_SPEED_COMMON, nvidia_links._LINK_SPEED) == (
        pynvml.NVML_FI_DEV_NVLINK_LINK_COUNT,
        pynvml.NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON,
        pynvml.NVML_FI_DEV_NVLINK_GET_SPEED,
    )
    assert (nvidia_links._C2C_COUNT, nvidia_links._C2C_STATUS, nvidia_links._C2C_SPEED) == (
        pynvml.NVML_FI_DEV_C2C_LINK_COUNT,
        pynvml.NVML_FI_DEV_C2C_LINK_GET_STATUS,
        pynvml.NVML_FI_DEV_C2C_LINK_GET_MAX_BW,
    )
    assert nvidia_links._OVER_NVLINK == pynvml.NVML_P2P_CAPS_INDEX_NVLINK
    assert pynvml.NVML_P2P_CAPS_INDEX_READ in (0, (0,))  # the tuple is why the number is written out
    assert pynvml.NVML_P2P_STATUS_UNKNOWN == nvidia_links._UNKNOWN_P2P
    assert pynvml.NVML_GPU_FABRIC_STATE_COMPLETED == 3
    assert pynvml.NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_INCORRECT_CONFIGURATION == (
        nvidia_links._CONFIGURATION_SHIFT
    )
