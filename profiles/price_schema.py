"""What a row of the tables about API prices must look like: old prices, exchange rates, benchmark scores, main models."""

from datetime import date

from profiles.schema import Column, Row, check_cells, problem

_RATE_COLUMNS = tuple(
    Column(name=f"{mode}{kind}_per_mtok", kind="float", required=not mode and kind in ("input", "output"), high=100_000)
    for mode in ("", "batch_", "flex_", "priority_")
    for kind in ("input", "output", "cached_input", "cache_write", "thinking")
)  # fmt: skip

# Of a table of prices, the user's own or the packaged one of the past. Rates are for a million tokens.
PRICE_COLUMNS = (
    Column(name="id"),
    Column(name="provider", required=True),
    Column(name="model_id", required=True),
    Column(name="model_name"),
    *_RATE_COLUMNS,
    Column(name="currency"),  # of all rates of the row; USD when empty
    Column(name="usd_per_request", kind="float", high=1_000),
    Column(name="context_tokens", kind="int", low=1, high=100_000_000),
    Column(name="since", kind="date"),
    Column(name="until", kind="date"),  # the first day on which the price no longer held
    Column(name="withdrawn", kind="flag"),  # nobody sells the model at this provider after `until`
    Column(name="checked", kind="date"),  # the day on which the source was read
    Column(name="url"),
    Column(name="note"),
)

EXCHANGE_COLUMNS = (
    Column(name="id", kind="slug", required=True),
    Column(name="currency", required=True),
    Column(name="units_per_eur", kind="float", required=True, low=0.00001, high=100_000_000),
    Column(name="as_of", kind="date", required=True),
    Column(name="source", required=True),
)

SCORE_COLUMNS = (
    Column(name="id", kind="slug", required=True),
    Column(name="model", required=True),  # a name that the model is found by
    Column(name="setting"),  # how it was run: effort, thinking
    Column(name="benchmark", required=True),
    Column(name="release", required=True),  # scores of two releases cannot be compared
    Column(name="score", kind="float", required=True, low=-100_000, high=100_000),
    Column(name="as_of", kind="date", required=True),
    Column(name="source", required=True),
)

MAIN_MODEL_COLUMNS = (
    Column(name="id", kind="slug", required=True),
    Column(name="name", required=True),
    Column(name="kind", kind="choice", required=True, choices=("closed", "open")),
    Column(name="catalogue_id", kind="slug"),  # open weights: licence, modality and context stand there
    Column(name="provider"),  # closed models: where they are sold
    Column(name="model_id"),
    Column(name="modalities", kind="list"),  # that it takes
    Column(name="source", required=True),
)


def check_price(row: Row, file: str) -> None:
    """Refuse a row of a price table that cannot be right."""
    check_cells(row, PRICE_COLUMNS, file)
    for name in ("since", "until", "checked"):
        cell = row.get(name)
        if cell is not None and not _is_day(cell):
            raise problem(file, row.get("id") or row["model_id"], name, cell, "a day such as 2026-05-18")
    since, until = row.get("since"), row.get("until")
    if since and until and until <= since:
        raise problem(file, row.get("id") or row["model_id"], "until", until, f"a day after {since}")
    if row.get("withdrawn") == "1" and until is None:
        raise problem(file, row.get("id") or row["model_id"], "until", "nothing", "the day it was withdrawn")


def check_exchange_rate(row: Row, file: str) -> None:
    """Refuse a row of the exchange rates that cannot be right."""
    check_cells(row, EXCHANGE_COLUMNS, file)
    code = row["currency"] or ""
    if len(code) != 3 or not code.isascii() or not code.isupper():
        raise problem(file, row["id"], "currency", code, "three capital letters, such as GBP")
    if not _is_day(row["as_of"] or ""):
        raise problem(file, row["id"], "as_of", row["as_of"], "a day such as 2026-05-18")


def check_score(row: Row, file: str) -> None:
    """Refuse a row of the benchmark scores that cannot be right."""
    check_cells(row, SCORE_COLUMNS, file)


def check_main_model(row: Row, file: str) -> None:
    """Refuse a row of the main models that names neither weights nor a seller."""
    check_cells(row, MAIN_MODEL_COLUMNS, file)
    if row["kind"] == "open" and row["catalogue_id"] is None:
        raise problem(file, row["id"], "catalogue_id", "nothing", "the id of a model of the catalogue")
    if row["kind"] == "closed" and (row["provider"] is None or row["model_id"] is None):
        raise problem(file, row["id"], "model_id", "nothing", "a provider and its id of the model")


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == len("2026-05-18")
