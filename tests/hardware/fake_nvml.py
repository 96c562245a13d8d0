"""A stand-in for the `pynvml` module: it answers from data, raises its real errors, returns its real structs.

Constants, structs and error classes are pynvml's own. A question that pynvml does not have, or has with other
arguments, fails the test that asks it; one that the data has no answer to is "not supported", as in NVML.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import pynvml

from hardware.units import GIB

Answers = Mapping[str, Any]


@dataclass(kw_only=True, eq=False)
class RecordedDevice:
    """A device, or a MIG slice, with the answers it gives; "*" in `failures` stands for every question.

    An answer is a plain value; or {"struct": name, …}, {"list": […]} of records, {"by": {arguments: answer}},
    {"fill": {…}} for a struct that the caller brings, {"fields": {"id:scope": number}}, {"error": class name}.
    """

    answers: Answers
    failures: Mapping[str, Exception] = field(default_factory=dict)
    slices: Sequence["RecordedDevice"] = ()


@dataclass(kw_only=True)
class FakeSlice:
    """A MIG slice of a fake card."""

    uuid: str
    profile: str
    memory_bytes: int
    n_slices: int
    gpu_instance: int = 1
    compute_instance: int = 0

    def device(self, card_name: str) -> RecordedDevice:
        attributes = {
            "struct": "c_nvmlDeviceAttributes",
            "computeInstanceSliceCount": self.n_slices,
            "gpuInstanceSliceCount": self.n_slices,
            "multiprocessorCount": 14 * self.n_slices,
            "memorySizeMB": self.memory_bytes >> 20,
        }
        return RecordedDevice(
            answers={
                "nvmlDeviceGetName": f"{card_name} MIG {self.profile}",
                "nvmlDeviceGetUUID": self.uuid,
                "nvmlDeviceGetMemoryInfo": memory_answer(self.memory_bytes, self.memory_bytes, 0),
                "nvmlDeviceGetCudaComputeCapability": [8, 0],
                "nvmlDeviceGetAttributes_v2": attributes,
                "nvmlDeviceGetGpuInstanceId": self.gpu_instance,
                "nvmlDeviceGetComputeInstanceId": self.compute_instance,
            }
        )


@dataclass(kw_only=True)
class FakeCard:
    """A fake card; `failures` maps a call's name to the error that it raises, `answers` adds to the usual ones."""

    name: str
    uuid: str
    memory_bytes: int = 24 * GIB
    free_bytes: int = 20 * GIB
    reserved_bytes: int = GIB // 2
    capability: tuple[int, int] = (8, 9)
    power_mw: int = 450_000
    mig: bool = False
    slices: Sequence[FakeSlice] = ()
    n_slices_total: int = 7
    failures: Mapping[str, Exception] = field(default_factory=dict)
    answers: Answers = field(default_factory=dict)

    def device(self) -> RecordedDevice:
        usual = {
            "nvmlDeviceGetName": self.name,
            "nvmlDeviceGetUUID": self.uuid,
            "nvmlDeviceGetMemoryInfo": memory_answer(self.memory_bytes, self.free_bytes, self.reserved_bytes),
            "nvmlDeviceGetCudaComputeCapability": list(self.capability),
            "nvmlDeviceGetEnforcedPowerLimit": self.power_mw,
            "nvmlDeviceGetMigMode": [int(self.mig), int(self.mig)],
            "nvmlDeviceGetMaxMigDeviceCount": 7,
            "nvmlDeviceGetGpuInstanceProfileInfo": {
                "struct": "c_nvmlGpuInstanceProfileInfo_v2_t",
                "instanceCount": self.n_slices_total,
            },
        }
        return RecordedDevice(
            answers={**usual, **self.answers},
            failures=self.failures,
            slices=[part.device(self.name) for part in self.slices],
        )


def memory_answer(total: int, free: int, reserved: int) -> dict[str, Any]:
    return {"total": total, "free": free, "reserved": reserved, "used": total - free - reserved}


class FakeNvml:
    """Answers like `pynvml`."""

    def __init__(
        self,
        cards: Sequence[FakeCard | RecordedDevice] = (),
        init_error: Exception | None = None,
        system: Answers | None = None,
    ) -> None:
        self.devices = [card.device() if isinstance(card, FakeCard) else card for card in cards]
        self.init_error = init_error
        self.system = RecordedDevice(
            answers={"nvmlSystemGetDriverVersion": "580.65.06"} if system is None else system
        )
        self.n_open = 0
        self.n_calls = 0
        self.asked: list[str] = []

    def nvmlInit(self) -> None:
        if self.init_error is not None:
            raise self.init_error
        self.n_open += 1

    def nvmlShutdown(self) -> None:
        self.n_open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.devices)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> RecordedDevice:
        self._fail(self.devices[index], "nvmlDeviceGetHandleByIndex")
        return self.devices[index]

    def nvmlDeviceGetMemoryInfo(self, device: RecordedDevice, version: int | None = None) -> Any:
        call = "nvmlDeviceGetMemoryInfo"
        self._fail(device, call)
        if version is not None:
            self._fail(device, f"{call}_v2")
        values = dict(self._answer(device, call, (version,)))
        if version is None:
            values.pop("reserved", None)
        kind = pynvml.c_nvmlMemory_t if version is None else pynvml.c_nvmlMemory_v2_t
        return _struct(kind, values)

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card: RecordedDevice, index: int) -> RecordedDevice:
        self._fail(card, "nvmlDeviceGetMigDeviceHandleByIndex")
        if index >= len(card.slices):
            raise pynvml.NVMLError_NotFound()
        return card.slices[index]

    def __getattr__(self, name: str) -> Any:
        if not name.startswith(("nvmlDevice", "nvmlSystem")):
            return getattr(pynvml, name)  # a constant, a struct, an error class
        if not hasattr(pynvml, name):
            raise AssertionError(f"pynvml has no {name}")
        return partial(self._call, name)

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        inspect.signature(getattr(pynvml, name)).bind(*arguments, **options)
        self.n_calls += 1
        self.asked.append(name)
        if name.startswith("nvmlSystem"):
            return self._answer(self.system, name, arguments)
        return self._answer(arguments[0], name, arguments[1:])

    def _fail(self, device: RecordedDevice, call: str) -> None:
        error = device.failures.get(call) or device.failures.get("*")
        if error is not None:
            raise error

    def _answer(self, device: RecordedDevice, call: str, arguments: tuple[Any, ...]) -> Any:
        self._fail(device, call)
        if call not in device.answers:
            raise pynvml.NVMLError_NotSupported()
        return self._decoded(device.answers[call], arguments)

    def _decoded(self, answer: Any, arguments: tuple[Any, ...]) -> Any:
        if not isinstance(answer, Mapping):
            return answer
        if "error" in answer:
            raise getattr(pynvml, answer["error"])()
        if "by" in answer:
            key = ",".join(str(self._spelled(argument)) for argument in arguments)
            if key not in answer["by"] and "*" not in answer["by"]:
                raise pynvml.NVMLError_NotSupported()
            return self._decoded(answer["by"].get(key, answer["by"].get("*")), arguments)
        if "struct" in answer:
            values = {name: value for name, value in answer.items() if name != "struct"}
            return _struct(getattr(pynvml, answer["struct"]), values)
        if "list" in answer:
            return [SimpleNamespace(**entry) for entry in answer["list"]]
        if "fill" in answer:
            _filled(arguments[0]._obj, answer["fill"])  # what ctypes.byref points to
            return pynvml.NVML_SUCCESS
        if "fields" in answer:
            return [_field_value(answer["fields"].get(f"{number}:{scope}")) for number, scope in arguments[0]]
        return answer

    def _spelled(self, argument: Any) -> Any:
        return self.devices.index(argument) if isinstance(argument, RecordedDevice) else argument


def _struct(kind: Any, values: Mapping[str, Any]) -> Any:
    made = kind()
    _filled(made, values)
    return made


def _filled(struct: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        known = getattr(struct, name)  # a struct takes any attribute; one it lacks is an error in the data
        if isinstance(value, list):
            known[:] = value
        else:
            setattr(struct, name, value.encode() if isinstance(value, str) else value)


def _field_value(number: int | None) -> Any:
    value = pynvml.c_nvmlFieldValue_t()
    value.nvmlReturn = pynvml.NVML_SUCCESS if number is not None else pynvml.NVML_ERROR_NOT_SUPPORTED
    value.valueType = pynvml.NVML_VALUE_TYPE_UNSIGNED_INT
    value.value.uiVal = number or 0
    return value
