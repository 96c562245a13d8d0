"""What rows must look like that a choice among models goes by: features and licences."""

from profiles.schema import Column, Row, check_cells, problem

MODEL_FEATURE_COLUMNS = (
    Column(name="id", kind="slug", required=True),
    Column(name="catalogue_id", kind="slug"),
    Column(name="provider", kind="slug"),
    Column(name="model_id"),
    Column(name="is_open", kind="flag", required=True),
    Column(name="modalities", kind="list"),
    Column(name="context_tokens", kind="int", low=1),
    Column(name="reasoning", kind="flag"),
    Column(name="tools", kind="flag"),
    Column(name="code", kind="flag", required=True),
    Column(name="recalled", kind="list"),
    Column(name="checked_on", kind="date", required=True),
    Column(name="source", required=True),
    Column(name="note"),
)
LICENCE_COLUMNS = (
    Column(name="id", kind="slug", required=True),
    Column(name="licence", required=True),
    Column(name="commercial", kind="choice", required=True, choices=("yes", "terms", "no")),
    Column(name="note"),
    Column(name="checked_on", kind="date", required=True),
    Column(name="source", required=True),
)


def check_model_feature(row: Row, file: str) -> None:
    """Refuse features whose cells cannot be right, or that are of no model or of two."""
    check_cells(row, MODEL_FEATURE_COLUMNS, file)
    if (row["catalogue_id"] is None) != (row["provider"] is not None and row["model_id"] is not None):
        expected = "a catalogue's id, or a provider and its model, not both"
        raise problem(file, row["id"], "catalogue_id", row["catalogue_id"], expected)


def check_licence(row: Row, file: str) -> None:
    """Refuse a licence whose cells cannot be right."""
    check_cells(row, LICENCE_COLUMNS, file)
