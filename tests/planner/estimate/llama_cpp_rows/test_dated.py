"""Builds told by where a log was posted and what it loads."""

import pytest

from planner.estimate.llama_cpp_rows.dated import ik_build, ollama_build

PLACE = "github:ikawrakow/ik_llama.cpp:github-data"


@pytest.mark.parametrize(
    ("source", "released", "build"),
    [
        (f"{PLACE}/pull_requests/520 - x.md", None, 3745),  # a change's own thread: its own build
        (f"{PLACE}/pull_requests/110 - x.md", "2024-06", 3475),
        ("github:somebody/else:log.txt", None, None),
        ("github:somebody/else:log.txt", "2023-01", None),  # older than any that is known says nothing
    ],
)
def test_points_that_are_known(source: str, released: str | None, build: int | None) -> None:
    assert ik_build(source, released) == build


def test_later_places_and_models_are_never_earlier_builds() -> None:
    numbers = [ik_build(f"{PLACE}/issues/{n} - x.md", None) or 0 for n in (100, 260, 437, 600, 900, 2000)]
    days = [ik_build("", day) or 0 for day in ("2024-12", "2025-04", "2025-07-11", "2026-02")]
    assert numbers == sorted(numbers)
    assert days == sorted(days)
    assert ik_build(f"{PLACE}/issues/100 - x.md", "2026-02") == days[-1]


@pytest.mark.parametrize(
    ("engine", "command", "expected"),
    [
        # LLAMA_CPP_VERSION at v0.30.2
        ("ollama 0.30.2 (llama-server)", "", 9479),
        # The line that starts llama-server, 2026-06-29: v0.30.11 of 2026-06-24 has b9781.
        (
            "ollama(llama.cpp runner)",
            'time=2026-06-29T17:28:58 msg="starting llama-server" cmd="llama-server"',
            9781,
        ),
        ("ollama(llama.cpp runner)", 'time=2025-03-01T10:00:00 msg="starting llama-server"', None),
        ("ollama(llama.cpp runner)", "", None),
    ],
)
def test_an_ollama_tells_its_build_by_version_or_day(engine: str, command: str, expected: int | None) -> None:
    assert ollama_build(engine, command) == expected


def test_an_old_runner_that_does_not_speak_of_shared_caches_is_from_before_they_were() -> None:
    # "kv_unified = " is printed since pull request 14363 of 2025-07-16.
    found = ollama_build("ollama(llama.cpp runner)", "", prints_unified=False)
    assert found is not None
    assert found < 5913


def test_a_model_that_was_out_already_does_not_make_a_discussion_later() -> None:
    """Discussion 357 began on 2025-04-29 with Qwen3 of that week; its logs are of 2025-05-03 (build 3663).

    Two weeks for conversion would put them after pull request 405 (build 3683, 2025-05-12), which changed what
    GPUs take over: the logs print the buffers of builds before it.
    """
    found = ik_build(f"{PLACE}/discussions/357 - Qwen3 - early performance comparisons.md", "2025-04")
    assert found is not None
    assert 3654 <= found < 3683
    later = ik_build(f"{PLACE}/discussions/357 - x.md", "2025-06")
    assert later is not None
    assert later > 3714  # the model of June cannot have been loaded by a build of May 26th
