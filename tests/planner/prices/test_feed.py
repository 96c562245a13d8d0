"""Price lists that come over the network: real replies of a server on this machine, right and wrong ones."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from planner import api
from planner.cli.main import planner
from planner.errors import PlannerError, PriceError
from planner.prices import genai_list, kept_feed
from planner.prices.api import one_price
from planner.prices.book import forget_prices
from planner.prices.feed import URL, check_feed, parse_feed
from profiles.loader import USER_FOLDER_VARIABLE

TODAY = date(2026, 11, 28)
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
CHECKED = "See the pricing page; checked on 2026-11-27."


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv(USER_FOLDER_VARIABLE, str(tmp_path))
    forget_prices()
    yield tmp_path
    forget_prices()


def newer_list(factor: float = 1.0, comment: str = CHECKED) -> list[dict[str, Any]]:
    """The packaged list as the repository publishes lists, checked later, every price times a factor."""
    providers: dict[str, dict[str, Any]] = {}
    for line in genai_list.packaged_lines():
        rates = line.periods[-1].schedule.usual.rates
        provider = providers.setdefault(
            line.provider,
            {"id": line.provider, "name": line.provider, "api_pattern": "x", "price_comments": comment,
             "extractors": [{"root": "usage", "mappings": [{"path": "n", "dest": "unknown_tokens"}]}], "models": []},
        )  # fmt: skip
        provider["models"].append(
            {
                "id": line.model_id,
                "match": {"regex": "(a+)+$"},
                "context_window": line.context_tokens,
                "prices": {
                    "input_mtok": rates.input_usd_per_mtok * factor,
                    "output_mtok": {"base": rates.output_usd_per_mtok * factor, "tiers": []},
                },
            }
        )
    return list(providers.values())


def priced(feed: list[dict[str, Any]], provider: str, model_id: str, usd: float) -> list[dict[str, Any]]:
    for one in feed:
        for model in one["models"]:
            if (one["id"], model["id"]) == (provider, model_id):
                model["prices"]["input_mtok"] = usd
    return feed


@contextmanager
def server(
    body: bytes, *, status: int = 200, hang: bool = False, promise: int | None = None
) -> Iterator[str]:
    """A web server with one answer; one that hangs accepts the request and never answers."""
    ended = threading.Event()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if hang:
                ended.wait(10)
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if promise is None else promise))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_address[1]}/data.json"
    finally:
        ended.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def test_a_good_list_is_kept_and_used(own_folder: Path) -> None:
    feed = priced(newer_list(), "openai", "gpt-5", 1.5)
    with server(json.dumps(feed).encode()) as url:
        updated = api.update_prices(url, today=TODAY)
    assert updated.kept_in == own_folder / "fetched_prices.json"
    assert updated.data_date == date(2026, 11, 27)
    assert [
        (change.provider, change.model_id) for change in updated.changes if change.model_id == "gpt-5"
    ] == [("openai", "gpt-5")]
    price = one_price("openai", "gpt-5", at=NOON)
    assert price.input_usd_per_mtok == 1.5
    assert price.source == "genai-prices list fetched 2026-11-28"
    assert "(a+)+" not in (own_folder / "fetched_prices.json").read_text(encoding="utf-8")
    assert [path.name for path in own_folder.iterdir()] == ["fetched_prices.json"]


def test_a_dry_run_keeps_nothing(own_folder: Path) -> None:
    with server(json.dumps(newer_list()).encode()) as url:
        assert api.update_prices(url, dry_run=True, today=TODAY).kept_in is None
    assert list(own_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"", "sent an empty reply"),
        (b"  \n", "sent an empty reply"),
        (b"<html>404</html>", "sent no JSON but"),
        (b"[[[[" * 40_000, "sent no JSON"),
        (b"{}", "another shape"),
        (b"[1, 2]", "another shape"),
        (b"[]", "without any price per token"),
        (b'[{"id": "x", "name": "x", "api_pattern": "x", "models": []}]', "without any price per token"),
        (b'[{"id": "x"}]', "cannot be read"),
        (b'[{"id": "x", "name": "x", "api_pattern": "x", "models": [{"id": "m", "prices": {"input_mtok": "much"}}]}]', "cannot be read"),
        (b'[{"id": "x", "name": "x", "api_pattern": "x", "models": [{"id": "m", "prices": {"input_mtok": -1, "output_mtok": 1}}]}]', "is -1"),
    ],
)  # fmt: skip
def test_a_reply_that_is_no_list_is_named_and_not_kept(own_folder: Path, body: bytes, part: str) -> None:
    with server(body) as url, pytest.raises(PriceError) as caught:
        api.update_prices(url, today=TODAY)
    assert part in str(caught.value) and "\n" not in str(caught.value)
    assert list(own_folder.iterdir()) == []
    assert one_price("openai", "gpt-5", at=NOON).input_usd_per_mtok == 1.25


def test_a_huge_reply_is_not_read_whole(own_folder: Path) -> None:
    with server(b"[" + b" " * 10, promise=10**12) as url, pytest.raises(PlannerError) as caught:
        api.update_prices(url, today=TODAY)
    assert "at most 7.0 MiB are read" in str(caught.value)
    with server(b" " * (8 * 2**20)) as url, pytest.raises(PlannerError, match=r"at most 7\.0 MiB are read"):
        api.update_prices(url, today=TODAY)
    assert list(own_folder.iterdir()) == []


def test_a_server_that_does_not_answer_is_left(own_folder: Path) -> None:
    with server(b"", hang=True) as url, pytest.raises(PlannerError, match=r"did not answer within 0\.3 s"):
        api.update_prices(url, timeout_s=0.3, today=TODAY)
    with server(b"", status=503) as url, pytest.raises(PlannerError, match="HTTP 503"):
        api.update_prices(url, today=TODAY)
    assert list(own_folder.iterdir()) == []


def last() -> Any:
    return genai_list.packaged_lines()


def checked(feed: list[dict[str, Any]], *, accept_changes: bool = False) -> None:
    check_feed(
        parse_feed(json.dumps(feed).encode(), url=URL, fetched=TODAY), last(), accept_changes=accept_changes
    )


def test_a_list_wrong_by_a_factor_of_1000_is_caught_and_named() -> None:
    for factor in (1_000.0, 0.001, 1_000_000.0, 0.1, 3.0):
        with pytest.raises(
            PriceError, match=r"times those of the kept list: another unit; the kept one stays"
        ):
            checked(newer_list(factor), accept_changes=True)
    checked(newer_list(1.5))  # a price increase all around


def test_one_price_wrong_by_a_factor_of_1000_is_caught_and_named() -> None:
    with pytest.raises(PriceError, match=r"'openai gpt-5' ×1e\+03; look at the provider's page"):
        checked(priced(newer_list(), "openai", "gpt-5", 1_250.0))
    with pytest.raises(PriceError, match=r"'openai gpt-5' ×0\.001"):
        checked(priced(newer_list(), "openai", "gpt-5", 0.00125))
    # Somebody who looked may take it; a price that no token has stays refused.
    checked(priced(newer_list(), "openai", "gpt-5", 1_250.0), accept_changes=True)
    with pytest.raises(PriceError, match=r"prices that no token has: 'openai gpt-5' at 1\.25e\+06"):
        checked(priced(newer_list(), "openai", "gpt-5", 1_250_000.0), accept_changes=True)


def test_a_list_that_is_older_or_cut_short_is_not_taken() -> None:
    with pytest.raises(
        PriceError, match="its newest check is of 2026-10-01, the kept list's of 2026-11-03: it is late"
    ):
        checked(newer_list(comment="checked on 2026-10-01"))
    with pytest.raises(PriceError, match=r"it has [\d,]+ prices, the kept list [\d,]+: it is cut short"):
        checked(newer_list()[:3])


def test_many_wrong_rows_are_named_by_the_first_and_counted() -> None:
    feed = newer_list()
    for model in feed[0]["models"]:
        model["prices"]["input_mtok"] *= 100
    with pytest.raises(PriceError, match=r"×100, .* and \d+ more"):
        checked(feed)


def test_hostile_names_in_a_list_are_escaped() -> None:
    feed = newer_list()
    feed[0]["models"][0]["id"] = "evil\x1b[2J\n" + "x" * 10_000
    feed[0]["models"][0]["prices"]["input_mtok"] = 10**9
    with pytest.raises(PriceError) as caught:
        checked(feed)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1_000


def test_a_kept_list_that_broke_is_named_with_the_way_out(own_folder: Path) -> None:
    for text in ("", "{", '{"kind": "planner-price-list", "schema_version": 9}', "[]"):
        (own_folder / "fetched_prices.json").write_text(text, encoding="utf-8")
        kept_feed._read.cache_clear()
        with pytest.raises(PriceError, match="not a price list that was fetched; remove it, or run"):
            kept_feed.kept()
    kept_feed._read.cache_clear()


def test_a_failed_update_leaves_the_last_good_list_in_use(own_folder: Path) -> None:
    with server(json.dumps(priced(newer_list(), "openai", "gpt-5", 1.5)).encode()) as url:
        api.update_prices(url, today=TODAY)
    before = (own_folder / "fetched_prices.json").read_bytes()
    with server(json.dumps(newer_list(1_000)).encode()) as url, pytest.raises(PriceError):
        api.update_prices(url, today=TODAY)
    assert (own_folder / "fetched_prices.json").read_bytes() == before
    assert one_price("openai", "gpt-5", at=NOON).input_usd_per_mtok == 1.5


def test_the_command_says_what_changed_and_what_is_refused(own_folder: Path) -> None:
    feed = priced(newer_list(), "openai", "gpt-5", 1.5)
    with server(json.dumps(feed).encode()) as url:
        result = CliRunner().invoke(planner, ["price", "update", "--url", url, "--format", "json"])
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert {"input_usd_per_mtok": 1.5, "output_usd_per_mtok": 10.0} in [
        change["after"] for change in data["changes"]
    ]
    assert data["kept_in"] == str(own_folder / "fetched_prices.json")
    with server(json.dumps(newer_list(1_000)).encode()) as url:
        refused = CliRunner().invoke(planner, ["price", "update", "--url", url])
    assert refused.exit_code == 1 and refused.output.count("\n") == 1
    assert "another unit; the kept one stays in use" in refused.output
