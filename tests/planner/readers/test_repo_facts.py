"""What the hub states of a repository is somebody's text: taken where it has the right shape, bounded."""

from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest

from planner.readers.repo_facts import base_models, created_on, stated_licence


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        (SimpleNamespace(license="apache-2.0", license_name=None), "apache-2.0"),
        (SimpleNamespace(license="other", license_name="mrl"), "mrl"),
        (SimpleNamespace(license="other"), "other"),
        (SimpleNamespace(license="mit", license_name="mine"), "mit"),
        (SimpleNamespace(license=["mit", "apache-2.0"]), None),  # two licences are not one
        (SimpleNamespace(license="  \n"), None),
        (SimpleNamespace(license="mit\x1b[2J\nmore"), "mit [2J more"),
        (SimpleNamespace(license="x" * 10_000), "x" * 120),
        ("no card data", None),
        (None, None),
    ],
)
def test_a_licence(card: object, licence: str | None) -> None:
    assert stated_licence(card) == licence


def test_the_day_on_which_the_hub_began_to_note_dates_is_no_date() -> None:
    assert created_on(None) is None
    assert created_on(datetime(2022, 3, 2, 23, 29, 4, tzinfo=UTC)) is None
    assert created_on(datetime(2022, 3, 3, 0, 0, 1, tzinfo=UTC)) == date(2022, 3, 3)


def test_base_models_are_named_once_without_how_they_were_used() -> None:
    tags = [
        "text-generation",
        "base_model:a/b",
        "base_model:quantized:a/b",
        "base_model:a/b",
        7,
        "base_model:",
    ]
    assert base_models(tags) == ("a/b",)
    assert base_models(None) == ()
