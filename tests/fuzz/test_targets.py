"""The fuzz targets, each for a moment: sound seeds, what once failed, and changes of them."""

import random
import resource
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import MalformedError
from tests.fuzz import card, config, costs, gguf, measurements, ollama, safetensors
from tests.fuzz.choices import Choices, change
from tests.fuzz.harness import check, regressions

TARGETS = {
    "card": card, "config": config, "costs": costs, "gguf": gguf, "measurements": measurements, "ollama": ollama,
    "safetensors": safetensors,
}  # fmt: skip
both = pytest.mark.parametrize("name", TARGETS)


@both
def test_seeds_and_what_once_failed_are_read_or_refused(name: str) -> None:
    module: ModuleType = TARGETS[name]
    seeds = [*module.seeds(), *(path.read_bytes() for path in regressions(name))]
    assert len(seeds) > 10
    for seed in seeds:
        check(module.target, seed)


@both
def test_changed_seeds_are_read_or_refused(name: str) -> None:
    chance = random.Random(name)
    seeds = TARGETS[name].seeds()
    for _ in range(300):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 6)):
            place = chance.randint(0, len(data))
            data[place : place + chance.choice((0, 1, 4))] = chance.randbytes(chance.choice((0, 1, 4, 8)))
        check(TARGETS[name].target, bytes(data))


@both
@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(name: str, data: bytes) -> None:
    check(TARGETS[name].target, data)


def test_a_target_that_fails_is_caught() -> None:
    def raises(data: bytes) -> None:
        raise KeyError(data)

    with pytest.raises(KeyError):
        check(raises, b"")
    with pytest.raises(AssertionError, match="took"):
        check(lambda data: print(sum(range(3_000_000))), b"", most_s=0.001)
    with pytest.raises(AssertionError, match="not one printable line"):
        check(_raises_two_lines, b"")
    # More than the process has had so far, whatever ran before in it.
    had_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with pytest.raises(AssertionError, match="grew by"):
        check(lambda data: print(len(b"x" * (had_bytes + 2**26))), b"", most_s=600, most_bytes=2**20)


def _raises_two_lines(data: bytes) -> None:
    raise MalformedError("one\ntwo")


def test_the_same_bytes_decide_the_same() -> None:
    value = {"a": [1, {"b": 2}], "c": "x"}
    changed = {
        repr(change(value, Choices(bytes((n * 7 + k * k) % 256 for k in range(20))))) for n in range(200)
    }
    assert len(changed) > 50
    assert repr(change(value, Choices(b"\5\1\2\3"))) == repr(change(value, Choices(b"\5\1\2\3")))
    assert value == {"a": [1, {"b": 2}], "c": "x"}  # the original is never touched
