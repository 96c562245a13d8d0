"""The fuzz targets, each for a moment: sound seeds, what once failed, and changes of them."""

import random
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import card, config, gguf, ollama, safetensors
from tests.fuzz.choices import Choices, change
from tests.fuzz.harness import check, regressions

TARGETS = {"card": card, "config": config, "gguf": gguf, "ollama": ollama, "safetensors": safetensors}
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
        check(lambda data: print(sum(number % 7 for number in range(40_000_000))), b"")
    with pytest.raises(AssertionError, match="grew by"):
        # More than the process has had so far, and then 256 MiB more.
        check(lambda data: print(len(b"x" * 2_000_000_000)), b"")


def test_the_same_bytes_decide_the_same() -> None:
    value = {"a": [1, {"b": 2}], "c": "x"}
    changed = {repr(change(value, Choices(bytes([n, n + 1, 3 * n % 256, 7])))) for n in range(200)}
    assert len(changed) > 50
    assert repr(change(value, Choices(b"\5\1\2\3"))) == repr(change(value, Choices(b"\5\1\2\3")))
    assert value == {"a": [1, {"b": 2}], "c": "x"}  # the original is never touched
