"""Rows that a choice among models goes by."""

import pytest

from profiles import choice_schema, schema
from profiles.loader import licence_rows, model_feature_rows, model_rows

MODELS = {row["id"]: row for row in model_rows()}


@pytest.mark.parametrize("row", model_feature_rows(), ids=lambda row: row["id"])
def test_every_feature_row_keeps_the_schema_and_is_of_a_known_model(row: schema.Row) -> None:
    choice_schema.check_model_feature(row, "model_features.csv")
    assert row["catalogue_id"] is None or row["catalogue_id"] in MODELS
    assert (row["is_open"] == "1") == (row["catalogue_id"] is not None)


def test_features_say_what_publishers_say() -> None:
    # The names are the publishers' own: Instruct-2507 answers at once, Thinking-2507 thinks first; R1 is a reasoner.
    thinks = {row["catalogue_id"]: row["reasoning"] for row in model_feature_rows()}
    assert thinks["qwen3-235b-a22b-instruct-2507"] == "0" and thinks["deepseek-r1"] == "1"
    assert thinks["gpt-oss-20b"] == "1" and thinks["llama-3.3-70b-instruct"] == "0"


@pytest.mark.parametrize("row", licence_rows(), ids=lambda row: row["id"])
def test_every_licence_keeps_the_schema(row: schema.Row) -> None:
    choice_schema.check_licence(row, "licences.csv")


def test_most_models_have_a_licence_that_is_known() -> None:
    known = {row["licence"] for row in licence_rows()}
    unknown = [id_ for id_, row in MODELS.items() if row["licence"] not in known]
    assert len(unknown) < 15, unknown
