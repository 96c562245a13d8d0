"""Models at any web address, against two servers on this machine: the file's own, and one it redirects to."""

import json
import socket
import threading
import time
from dataclasses import replace

import pytest

from planner.errors import AccessError, MalformedError, NotFoundError, PlannerError, UnreachableError
from planner.readers.hub.repository import HubOptions
from planner.readers.open_model import open_model
from planner.readers.web.http_range import RangeReader
from planner.readers.web.url_model import read_url_checkpoint, read_url_gguf, read_url_safetensors
from planner.readers.web.url_source import fetch_url_json, file_words, url_source
from tests.conformance.headers import PUBLISHED
from tests.gguf_writer import Tensor, Value, gguf_header
from tests.planner.readers.hub_server import LocalHub, StoredFile, large

WEIGHTS: list[Tensor] = [("token_embd.weight", (4096, 1000), 0, 4096 * 1000 * 4)]
TOKENS: Value = ("array", ("string", [f"token number {number:07d}" for number in range(100_000)]))
HEADER = gguf_header({"general.architecture": ("string", "llama"), "tokens": TOKENS}, WEIGHTS)  # 2.8 MB
CONFIG = {"model_type": "llama", "hidden_size": 64}


def _stored(header: bytes, tensors: list[Tensor] = WEIGHTS) -> StoredFile:
    return large(header, -(-len(header) // 32) * 32 + sum(tensor[3] for tensor in tensors))


@pytest.fixture
def served(hub: LocalHub) -> LocalHub:
    hub.repos["any/where"] = {"m.gguf": _stored(HEADER), "config.json": large(json.dumps(CONFIG).encode())}
    return hub


def _url(hub: LocalHub, name: str = "m.gguf") -> str:
    return f"{hub.storage_url}/any/where/{name}"


def _assert_one_line(caught: pytest.ExceptionInfo[PlannerError], words: str) -> None:
    message = str(caught.value)
    assert words in message
    assert message.isprintable()
    assert "hunter2" not in message


def test_of_a_gguf_anywhere_a_tenth_more_than_its_header_is_sent(
    served: LocalHub, options: HubOptions
) -> None:
    url = _url(served) + "?signature=hunter2#part"
    file = read_url_gguf(url, options=replace(options, token="hf_good"))

    assert file.metadata["general.architecture"] == "llama"
    assert file.tensor_bytes == 16_384_000
    assert file.header_bytes == len(HEADER)
    assert file.path == _url(served)  # without the signature
    assert served.sent_bytes <= 1.1 * len(HEADER)
    # The size comes with the first bytes, so no request is made for it alone. Nothing of the hub is told.
    assert {seen.method for seen in served.seen} == {"GET"}
    assert len(served.seen) <= 8
    assert not any("authorization" in seen.headers for seen in served.seen)


def test_a_server_that_ignores_ranges_sends_the_file_once(served: LocalHub, options: HubOptions) -> None:
    served.repos["any/where"]["m.gguf"] = large(HEADER, 10**9)
    served.storage_faults.add("no-range")
    assert read_url_gguf(_url(served), options=options).header_bytes == len(HEADER)
    assert len(served.seen) == 1


def test_parts_of_a_split_model_lie_next_to_each_other(hub: LocalHub, options: HubOptions) -> None:
    hub.repos["any/where"] = {}
    for number in range(2):
        metadata: dict[str, Value] = {"split.no": ("uint16", number), "split.count": ("uint16", 2)}
        tensors: list[Tensor] = [(f"blk.{number}", (32,), 0, 128)]
        header = gguf_header(metadata, tensors)
        hub.repos["any/where"][f"m-0000{number + 1}-of-00002.gguf"] = _stored(header, tensors)
    file = read_url_gguf(_url(hub, "m-00002-of-00002.gguf?key=1"), options=options)
    assert [tensor.name for tensor in file.tensors] == ["blk.0", "blk.1"]
    assert all(seen.path.endswith("?key=1") for seen in hub.seen)

    del hub.repos["any/where"]["m-00002-of-00002.gguf"]
    with pytest.raises(NotFoundError) as caught:
        read_url_gguf(_url(hub, "m-00001-of-00002.gguf"), options=options)
    _assert_one_line(caught, "m-00002-of-00002.gguf' (HTTP 404); check the address")


def test_a_password_goes_to_the_host_it_was_given_for_and_no_further(
    served: LocalHub, options: HubOptions
) -> None:
    # One server redirects to the other: another port is another origin.
    served.redirects["/from/"] = f"{served.endpoint}/any/where/resolve/main/m.gguf"
    served.repos["any/where"]["m.gguf"] = replace(_stored(HEADER), large=False)
    url = served.storage_url.replace("http://", "http://user:hunter2@") + "/from/m.gguf"
    assert read_url_gguf(url, options=options).header_bytes == len(HEADER)

    (first,) = served.requests("storage")
    assert first.headers["authorization"].startswith("Basic ")
    assert len(served.requests("api")) > 1  # where the redirect led is remembered: it is not asked for again
    assert not any("authorization" in seen.headers for seen in served.requests("api"))


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("file:///etc/passwd", "redirects to something that is not a web address"),
        ("http://[::1", "redirects to something that is not a web address"),
        ("/any/where/m.gguf?again", "redirects more than 5 times"),
    ],
)
def test_where_a_redirect_may_not_lead(
    served: LocalHub, options: HubOptions, location: str, words: str
) -> None:
    served.redirects["m.gguf"] = location
    with pytest.raises(MalformedError) as caught:
        read_url_gguf(_url(served), options=options)
    _assert_one_line(caught, words)


@pytest.mark.parametrize(
    ("start", "location", "words"),
    [
        ("https://h.example/m.gguf", "http://h.example/m.gguf", "redirects to h.example without encryption"),
        (
            "http://h.example/m.gguf",
            "http://127.0.0.1/x",
            "redirects to 127.0.0.1, an address of this machine",
        ),
        ("https://h.example/m.gguf", "https://[::1]/x", "an address of this machine or network"),
        (
            "https://h.example/m.gguf",
            "https://169.254.169.254/latest",
            "an address of this machine or network",
        ),
        ("https://h.example/m.gguf", "https://localhost:11434/api", "an address of this machine or network"),
    ],
)
def test_no_server_sends_a_reader_to_this_machine_or_to_an_open_line(
    start: str, location: str, words: str
) -> None:
    reader = RangeReader(start, file_words(start, 1.0), timeout_s=1.0, headers={"Authorization": "Bearer x"})
    with pytest.raises(MalformedError) as caught:
        reader.follow(location)
    _assert_one_line(caught, words)


def test_a_connection_that_breaks_off_is_taken_up_where_it_was_left(
    served: LocalHub, options: HubOptions
) -> None:
    served.resets = 2
    assert read_url_gguf(_url(served), options=options).header_bytes == len(HEADER)
    assert served.resets == 0
    assert served.sent_bytes <= 1.1 * len(HEADER)


def test_a_connection_that_always_breaks_off_is_given_up(served: LocalHub, options: HubOptions) -> None:
    served.resets = 1000
    with pytest.raises(UnreachableError) as caught:
        read_url_gguf(_url(served), options=options)
    _assert_one_line(caught, "cannot be reached, or broke off")
    assert len(served.seen) < 10


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("wrong-range", "sent another range ('bytes 1-23/"),
        ("compressed", "compresses the file although it was asked not to"),
        ("growing", f"says that the file has {-(-len(HEADER) // 32) * 32 + 16_384_000 + 24:,} bytes, and before"),
        ("changing", "changed the file while it was read"),
    ],
)  # fmt: skip
def test_a_server_that_lies_is_left(served: LocalHub, options: HubOptions, fault: str, words: str) -> None:
    served.storage_faults.add(fault)
    with pytest.raises(MalformedError) as caught:
        read_url_gguf(_url(served), options=options)
    _assert_one_line(caught, words)


def test_a_file_shorter_than_its_tensors_is_told_so(served: LocalHub, options: HubOptions) -> None:
    served.repos["any/where"]["m.gguf"] = large(HEADER, len(HEADER) + 1000)
    with pytest.raises(MalformedError) as caught:
        read_url_gguf(_url(served), options=options)
    _assert_one_line(caught, "it is truncated")
    served.repos["any/where"]["m.gguf"] = large(b"")
    with pytest.raises(MalformedError) as caught:
        read_url_gguf(_url(served), options=options)
    _assert_one_line(caught, "it has 0 bytes")
    served.repos["any/where"]["m.gguf"] = _stored(HEADER)
    served.storage_faults |= {"no-range", "no-length"}
    with pytest.raises(MalformedError) as caught:
        read_url_gguf(_url(served), options=options)
    _assert_one_line(caught, "does not say how large the file is")


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, AccessError, "(HTTP 401); write https://USER:PASSWORD@HOST/"),
        (404, NotFoundError, "(HTTP 404); check the address"),
        (500, UnreachableError, "answered HTTP 500"),
    ],
)
def test_other_answers(
    served: LocalHub, options: HubOptions, status: int, error: type[PlannerError], words: str
) -> None:
    served.failing["/any/"] = status
    for read in (read_url_gguf, fetch_url_json):
        with pytest.raises(error) as caught:
            read(_url(served), options=options)
        _assert_one_line(caught, words)


@pytest.mark.timeout(30)
def test_a_server_that_hangs_is_left_within_the_time_out(served: LocalHub, options: HubOptions) -> None:
    served.hanging.add("/any/")
    started = time.monotonic()
    with pytest.raises(UnreachableError) as caught:
        read_url_gguf(_url(served), options=replace(options, timeout_s=0.3))
    _assert_one_line(caught, "did not answer within 0.3 s")
    assert time.monotonic() - started < 3
    with pytest.raises(UnreachableError) as caught:  # port 1: nothing listens there
        read_url_gguf("http://127.0.0.1:1/m.gguf", options=options)
    _assert_one_line(caught, "cannot be reached, or broke off, for 'http://127.0.0.1:1/m.gguf' (ConnectError")


def test_a_server_that_speaks_no_http_is_reported(options: HubOptions) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(3):  # the first attempt and two more
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(UnreachableError) as caught:
            read_url_gguf(f"http://127.0.0.1:{listener.getsockname()[1]}/m.gguf", options=options)
        _assert_one_line(caught, "broke off")
        thread.join()


def test_what_takes_long_is_told(served: LocalHub, options: HubOptions) -> None:
    """A drip of one byte in 20 ms: after two seconds the person is told, and not at every byte."""
    served.storage_faults.add("drip")
    served.repos["any/where"] = {"m.gguf": _stored(gguf_header({"a": ("string", "x" * 150)}))}
    told: list[tuple[float, str]] = []
    slow = replace(options, progress=lambda done, text: told.append((done, text)))
    read_url_gguf(_url(served), options=slow)  # 187 bytes are about four seconds
    assert 2 <= len(told) <= 8
    assert all(0 < done < 1 for done, _ in told)
    assert "header of 'http://127.0.0.1:" in told[0][1]


def test_a_config_and_weights_anywhere(served: LocalHub, options: HubOptions) -> None:
    weight_map = {}
    for number in (1, 2):
        raw = b'{"t%d": {"dtype": "BF16", "shape": [1000], "data_offsets": [0, 2000]}}' % number
        name = f"model-0000{number}-of-00002.safetensors"
        weight_map[f"t{number}"] = name
        data = len(raw).to_bytes(8, "little") + raw
        served.repos["any/where"][name] = large(data, len(data) + 2000)
    index = json.dumps({"weight_map": weight_map}).encode()
    served.repos["any/where"]["model.safetensors.index.json"] = large(index)
    served.repos["any/where"]["one.safetensors"] = served.repos["any/where"][name]

    alone = read_url_checkpoint(_url(served, "config.json"), options=options)
    assert (alone.config, alone.tensors) == (CONFIG, None)
    for given in ("model.safetensors.index.json", "model-00002-of-00002.safetensors"):
        both = read_url_checkpoint(_url(served, given), options=options)
        assert both.config == CONFIG
        assert both.tensors is not None
        assert [tensor.name for tensor in both.tensors] == ["t1", "t2"]
    assert [item.name for item in read_url_safetensors(_url(served, "one.safetensors"), options=options)] == [
        "t2"
    ]

    del served.repos["any/where"]["model.safetensors.index.json"]
    with pytest.raises(NotFoundError) as caught:
        read_url_safetensors(_url(served, "model-00002-of-00002.safetensors"), options=options)
    _assert_one_line(caught, "is one shard of several, and the index that names the others is not next to it")


def test_an_address_is_opened_like_any_model(served: LocalHub, options: HubOptions) -> None:
    small = replace(PUBLISHED["llama-3.1-8b"], n_layers=2)
    tensors = small.tensors()
    served.repos["any/where"]["m-F16.gguf"] = _stored(gguf_header(small.metadata(), tensors), tensors)
    # Two layers and the embeddings, by hand: 4096² · 2 for queries and output, 4096 · 1024 · 2 for keys and
    # values, three matrices of 4096 × 14336, two norms; 128,256 tokens twice; the last norm.
    layer = 2 * 4096**2 + 2 * 4096 * 1024 + 3 * 4096 * 14_336 + 2 * 4096
    n_parameters = 2 * layer + 2 * 128_256 * 4096 + 4096
    opened = open_model(_url(served, "m-F16.gguf"), options=options)
    assert opened.network.parameters.text == n_parameters
    assert opened.name == "m-F16"

    config = {
        "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 2, "num_attention_heads": 32,
        "num_key_value_heads": 8, "intermediate_size": 14_336, "vocab_size": 128_256,
    }  # fmt: skip
    served.repos["any/where"]["config.json"] = large(json.dumps(config).encode())
    raw = b'{"w": {"dtype": "BF16", "shape": [1000], "data_offsets": [0, 2000]}}'
    data = len(raw).to_bytes(8, "little") + raw
    served.repos["any/where"]["model.safetensors"] = large(data, len(data) + 2000)
    assert open_model(_url(served, "config.json"), options=options).network.parameters.text == n_parameters
    both = open_model(_url(served, "model.safetensors"), options=options)
    assert (both.stored_elements, both.stored_bytes) == (1000, 2000)
    assert "the safetensors headers give 1,000 elements" in both.notes[-1]


def test_a_huge_config_is_not_fetched(served: LocalHub, options: HubOptions) -> None:
    served.repos["any/where"]["config.json"] = large(b"{", 10**8)
    with pytest.raises(MalformedError) as caught:
        fetch_url_json(_url(served, "config.json"), options=options)
    _assert_one_line(caught, "has 95.4 MiB or more; at most 16.0 MiB are read")
    served.storage_faults.add("no-length")
    with pytest.raises(MalformedError) as caught:
        fetch_url_json(_url(served, "config.json"), options=options)
    _assert_one_line(caught, "has 16.0 MiB or more")


def test_a_password_is_not_sent_over_an_open_line(options: HubOptions) -> None:
    with pytest.raises(AccessError) as caught:
        url_source("http://user:hunter2@example.com/m.gguf", options=options)
    _assert_one_line(caught, "a password would be sent without encryption; use https")


@pytest.mark.parametrize(
    "url", ["https:///m.gguf", "https://h\n/m.gguf", "ftp://h/m.gguf", "https://h:99999/m", "https://ü/m"]
)
def test_what_is_no_address_is_refused(url: str, options: HubOptions) -> None:
    with pytest.raises(MalformedError) as caught:
        url_source(url, options=options)
    _assert_one_line(caught, "is not a web address")
