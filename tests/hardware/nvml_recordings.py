"""NVML answers of real configurations, as data: each file names its sources and one fault.

The answers are transcribed from what NVIDIA's own tool printed on such machines; UUIDs are made up.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pynvml

from hardware.spec import Memory
from tests.hardware.fake_nvml import FakeNvml, RecordedDevice

_FOLDER = Path(__file__).parent / "nvml"

KEYS = tuple(sorted(file.stem for file in _FOLDER.glob("*.json")))


@dataclass(kw_only=True)
class Recording:
    """One configuration: how it answers, and the one thing that can go wrong with it."""

    what: str
    data: Mapping[str, Any]
    fault: Mapping[str, Any]
    main_memory: Memory | None = None

    def nvml(self, *, faulty: bool = False) -> FakeNvml:
        """The module on this machine, healthy or with the fault."""
        devices = self.data["devices"]
        made = [
            RecordedDevice(
                answers={**devices["all"], **{call: values[at] for call, values in devices["each"].items()}},
                slices=[
                    RecordedDevice(answers=each) for each in self.data.get("slices", [[]] * (at + 1))[at]
                ],
            )
            for at in range(devices["count"])
        ]
        if faulty:
            fault = self.fault
            broken = made[0].slices[fault["slice"]] if "slice" in fault else made[fault["device"]]
            broken.answers = {**broken.answers, **fault.get("answer", {})}
            if "call" in fault:
                broken.failures = {fault["call"]: getattr(pynvml, fault["error"])()}
        return FakeNvml(made, system=self.data["system"])


def recording(key: str) -> Recording:
    """The configuration of one file."""
    data = json.loads((_FOLDER / f"{key}.json").read_text(encoding="utf-8"))
    main = data.get("main_memory")
    return Recording(
        what=data["what"],
        data=data,
        fault=data["fault"],
        main_memory=None if main is None else Memory(**main),
    )
