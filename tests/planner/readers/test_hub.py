"""The hub through its real client, against a server on this machine."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from planner.errors import AccessError, MalformedError, NotFoundError, PlannerError, UnreachableError
from planner.readers.hub.gguf_files import read_hub_gguf
from planner.readers.hub.repository import (
    HubFile,
    HubOptions,
    fetch_config,
    fetch_json,
    hub_source,
    ranged_reader,
    read_hub_safetensors,
    repo_files,
    repo_info,
)
from tests.gguf_writer import Tensor, Value, gguf_header
from tests.planner.readers.hub_server import COMMIT, TOKEN, LocalHub, large, small

REPO = "org/name"
CONFIG = {"model_type": "llama", "hidden_size": 64}
# 4,096 × 1,000 weights in F32 of which nothing but a hole exists.
WEIGHTS: list[Tensor] = [("token_embd.weight", (4096, 1000), 0, 4096 * 1000 * 4)]


def _gguf_file(metadata: dict[str, Value], tensors: list[Tensor] = WEIGHTS) -> tuple[bytes, int]:
    """Header of a GGUF and its size with weights."""
    header = gguf_header(metadata, tensors)
    return header, -(-len(header) // 32) * 32 + sum(tensor[3] for tensor in tensors)


@pytest.fixture
def filled(hub: LocalHub) -> LocalHub:
    hub.repos[REPO] = {
        "config.json": small(CONFIG),
        "m-Q8_0.gguf": large(*_gguf_file({"general.architecture": ("string", "llama")})),
    }
    return hub


def test_files_come_with_their_sizes_in_one_request(filled: LocalHub, options: HubOptions) -> None:
    files = repo_files(REPO, options=options)
    n_bytes = filled.repos[REPO]["m-Q8_0.gguf"].n_bytes
    assert files == (
        HubFile(path="config.json", size_bytes=len(filled.repos[REPO]["config.json"].data)),
        HubFile(path="m-Q8_0.gguf", size_bytes=n_bytes),
    )
    assert len(filled.seen) == 1
    info = repo_info(REPO, "v1.0", options=options)
    assert info.commit == COMMIT
    assert info.stored_elements == {"BF16": 1234}


def test_a_config_is_fetched_once_and_then_comes_from_the_cache(
    filled: LocalHub, options: HubOptions
) -> None:
    assert fetch_config(REPO, options=options) == CONFIG
    n_downloads = len(filled.requests("api", "GET"))
    assert fetch_config(REPO, options=options) == CONFIG
    assert n_downloads == 1
    assert len(filled.requests("api", "GET")) == 1


def test_a_config_in_the_cache_is_used_when_the_hub_does_not_answer(
    filled: LocalHub, options: HubOptions
) -> None:
    fetch_config(REPO, options=options)
    filled.hanging.add("/resolve/")
    started = time.monotonic()
    assert fetch_config(REPO, options=replace(options, timeout_s=0.3)) == CONFIG
    assert time.monotonic() - started < 5


def test_the_header_of_a_redirected_gguf_is_read_and_its_weights_are_not(
    filled: LocalHub, options: HubOptions
) -> None:
    file = read_hub_gguf(REPO, "m-Q8_0.gguf", options=replace(options, token=TOKEN))

    assert file.metadata["general.architecture"] == "llama"
    assert file.tensor_bytes == 16_384_000
    assert file.file_bytes == filled.repos[REPO]["m-Q8_0.gguf"].n_bytes
    assert filled.sent_bytes <= 1.1 * file.header_bytes  # of 16 MB
    # The token went to the hub, and not to the storage that it redirects to.
    assert all(seen.headers.get("authorization") == f"Bearer {TOKEN}" for seen in filled.requests("api"))
    assert filled.requests("storage")
    assert not any("authorization" in seen.headers for seen in filled.requests("storage"))


def test_any_range_can_be_read(hub: LocalHub, options: HubOptions) -> None:
    data = bytes(range(256)) * 40
    hub.repos[REPO] = {"big.bin": large(data), "small.bin": small(data)}
    for name in hub.repos[REPO]:
        read, n_bytes = ranged_reader(REPO, name, options=options)
        assert n_bytes == len(data)
        assert read(0, 10) == data[:10]
        assert read(1000, 5000) == data[1000:6000]
        assert read(n_bytes - 3, 100) == data[-3:]
        assert read(n_bytes, 100) == b""


def test_a_server_without_ranges_is_left_after_the_header(hub: LocalHub, options: HubOptions) -> None:
    # 3 MB of header, so that several pieces are needed, in a file of 1 GB.
    tokens: Value = ("array", ("string", [f"token number {number:07d}" for number in range(100_000)]))
    header = gguf_header({"tokens": tokens})
    hub.repos[REPO] = {"m.gguf": large(header, 10**9)}
    hub.storage_faults.add("no-range")

    file = read_hub_gguf(REPO, "m.gguf", options=options)

    assert file.header_bytes == len(header)
    # The file is sent once and from the front, and left where the header ends; what was under way in the
    # sockets' buffers by then comes on top.
    assert len(hub.requests("storage", "GET")) == 1
    assert hub.sent_bytes < 1.1 * len(header) + 16 * 2**20


def test_a_split_gguf_is_joined_and_a_missing_part_is_named(hub: LocalHub, options: HubOptions) -> None:
    for number in range(2):
        metadata: dict[str, Value] = {"split.no": ("uint16", number), "split.count": ("uint16", 2)}
        tensors: list[Tensor] = [(f"blk.{number}", (32,), 0, 128)]
        hub.repos.setdefault(REPO, {})[f"sub/m-0000{number + 1}-of-00002.gguf"] = large(
            *_gguf_file(metadata, tensors)
        )
    file = read_hub_gguf(REPO, "sub/m-00002-of-00002.gguf", options=options)
    assert [tensor.name for tensor in file.tensors] == ["blk.0", "blk.1"]

    del hub.repos[REPO]["sub/m-00002-of-00002.gguf"]
    with pytest.raises(NotFoundError, match=r"'org/name' holds no sub/m-00002-of-00002.gguf"):
        read_hub_gguf(REPO, "sub/m-00001-of-00002.gguf", options=options)


def test_safetensors_headers_are_read_from_all_shards(hub: LocalHub, options: HubOptions) -> None:
    weight_map = {}
    for number in (1, 2):
        raw = b'{"t%d": {"dtype": "BF16", "shape": [1000], "data_offsets": [0, 2000]}}' % number
        name = f"model-0000{number}-of-00002.safetensors"
        weight_map[f"t{number}"] = name
        hub.repos.setdefault(REPO, {})[name] = large(
            len(raw).to_bytes(8, "little") + raw, 8 + len(raw) + 2000
        )
    hub.repos["org/single"] = {"model.safetensors": hub.repos[REPO]["model-00001-of-00002.safetensors"]}
    hub.repos[REPO]["model.safetensors.index.json"] = small({"weight_map": weight_map})

    assert [tensor.name for tensor in read_hub_safetensors(REPO, options=options)] == ["t1", "t2"]
    assert [tensor.n_bytes for tensor in read_hub_safetensors("org/single", options=options)] == [2000]


def _assert_one_line(caught: pytest.ExceptionInfo[PlannerError], words: str) -> None:
    message = str(caught.value)
    assert words in message
    assert message.isprintable()
    assert "secret" not in message  # the signature of a redirect
    assert TOKEN not in message


@pytest.mark.parametrize("token", [False, "hf_wrong"])
def test_a_gated_repository_says_how_to_get_in(
    filled: LocalHub, options: HubOptions, token: bool | str
) -> None:
    filled.gated.add(REPO)
    options = replace(options, token=token)
    for ask in (
        lambda: repo_files(REPO, options=options),
        lambda: fetch_config(REPO, options=options),
        lambda: hub_source(REPO, "m-Q8_0.gguf", options=options),
    ):
        with pytest.raises(AccessError) as caught:
            ask()
        _assert_one_line(caught, f"accept its licence on https://huggingface.co/{REPO}, then set HF_TOKEN")
    assert fetch_config(REPO, options=replace(options, token=TOKEN)) == CONFIG


def test_what_is_not_there_is_named(filled: LocalHub, options: HubOptions) -> None:
    host = filled.endpoint.removeprefix("http://")
    with pytest.raises(NotFoundError) as caught:
        repo_files("org/none", options=options)
    _assert_one_line(caught, f"{host} has no repository 'org/none', or it is private")
    with pytest.raises(NotFoundError) as caught:
        fetch_config("org/none", options=options)
    _assert_one_line(caught, "no repository 'org/none'")
    with pytest.raises(NotFoundError) as caught:
        fetch_config(REPO, "v9", options=options)
    _assert_one_line(caught, "'org/name' has no such revision")
    with pytest.raises(NotFoundError) as caught:
        fetch_json(REPO, "none.json", options=options)
    _assert_one_line(caught, "'org/name' holds no none.json")


@pytest.mark.parametrize("repo_id", ["a/b/c", "../etc", "org/na me", "-x/y", "org/name.git", "a--b/c", ""])
def test_an_id_that_cannot_be_is_refused_without_asking(
    hub: LocalHub, options: HubOptions, repo_id: str
) -> None:
    with pytest.raises(NotFoundError, match="is not the id of a hub repository; write ORG/NAME"):
        repo_files(repo_id, options=options)
    assert hub.seen == []


@pytest.mark.parametrize("filename", ["../config.json", "/etc/passwd", "a/../b", "", "a\nb", "a\\b"])
def test_a_file_name_that_cannot_be_is_refused_without_asking(
    hub: LocalHub, options: HubOptions, filename: str
) -> None:
    for ask in (fetch_json, hub_source):
        with pytest.raises(NotFoundError, match="cannot hold"):
            ask(REPO, filename, options=options)
    assert hub.seen == []


def test_a_huge_config_is_not_downloaded(hub: LocalHub, options: HubOptions) -> None:
    hub.repos[REPO] = {"config.json": large(b"{", 100_000_000)}
    with pytest.raises(MalformedError, match=r"'config.json' of 'org/name' has 95.4 MiB; at most 16.0 MiB"):
        fetch_config(REPO, options=options)
    assert hub.sent_bytes == 0


def test_a_config_that_is_not_json_is_refused(hub: LocalHub, options: HubOptions) -> None:
    hub.repos[REPO] = {"config.json": small(b"<html>")}
    with pytest.raises(MalformedError, match=r"'org/name/config.json' is not valid JSON"):
        fetch_config(REPO, options=options)


@pytest.mark.timeout(60)
def test_silence_is_reported_with_host_and_seconds(filled: LocalHub, options: HubOptions) -> None:
    source = hub_source(REPO, "m-Q8_0.gguf", options=replace(options, timeout_s=0.3))
    filled.hanging.update({"/api/models", "/resolve/", "signature"})
    host = filled.endpoint.removeprefix("http://")
    impatient = replace(options, timeout_s=0.3)
    for ask in (
        lambda: repo_files(REPO, options=impatient),
        lambda: fetch_config(REPO, options=impatient),
        lambda: hub_source(REPO, "m-Q8_0.gguf", options=impatient),
    ):
        started = time.monotonic()
        with pytest.raises(UnreachableError) as caught:
            ask()
        _assert_one_line(caught, f"{host} did not answer within 0.3 s while fetching")
        assert time.monotonic() - started < 3
    with pytest.raises(UnreachableError) as caught:
        source.read(0, 10)
    _assert_one_line(caught, f"{filled.storage_url.removeprefix('http://')} did not answer within 0.3 s")


def test_a_refused_connection_and_a_bad_endpoint(options: HubOptions) -> None:
    # Port 1 of this machine: nothing listens there.
    with pytest.raises(UnreachableError) as caught:
        repo_files(REPO, options=replace(options, endpoint="http://user:hunter2@127.0.0.1:1"))
    _assert_one_line(
        caught, "127.0.0.1:1 cannot be reached, or broke off, for the file list of 'org/name' (ConnectError)"
    )
    assert "hunter2" not in str(caught.value)
    with pytest.raises(UnreachableError, match="cannot be reached"):
        fetch_config(REPO, options=replace(options, endpoint="nonsense"))
    with pytest.raises(MalformedError, match="is not a URL; check HF_ENDPOINT"):
        repo_files(REPO, options=replace(options, endpoint="http://[::1"))


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (500, UnreachableError, "answered HTTP 500"),
        (503, UnreachableError, "answered HTTP 503"),
        (429, UnreachableError, "limits the rate of requests (HTTP 429)"),
        (403, AccessError, "(HTTP 403): it is gated or private"),
        (404, NotFoundError, "(HTTP 404)"),
    ],
)
def test_other_answers_of_the_hub(
    filled: LocalHub, options: HubOptions, status: int, error: type[PlannerError], words: str
) -> None:
    filled.failing["/api/models"] = status
    with pytest.raises(error) as caught:
        repo_files(REPO, options=options)
    _assert_one_line(caught, words)


def test_a_server_that_is_no_hub_is_recognised(filled: LocalHub, options: HubOptions) -> None:
    filled.failing["/"] = 200  # every page is "trouble"
    with pytest.raises(MalformedError) as caught:
        repo_files(REPO, options=options)
    _assert_one_line(caught, "does not answer like a Hugging Face hub")
    with pytest.raises(MalformedError) as caught:
        fetch_config(REPO, options=options)
    _assert_one_line(caught, "does not answer like a Hugging Face hub; check HF_ENDPOINT")


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("forbidden", AccessError, "refused m-Q8_0.gguf of 'org/name' (HTTP 403)"),
        ("wrong-range", MalformedError, "sent another range ('bytes 1-99/"),
        ("compressed", MalformedError, "compresses the file although it was asked not to"),
        ("short", UnreachableError, "cannot be reached, or broke off, for m-Q8_0.gguf"),
    ],
)
def test_faults_of_the_storage(
    filled: LocalHub, options: HubOptions, fault: str, error: type[PlannerError], words: str
) -> None:
    source = hub_source(REPO, "m-Q8_0.gguf", options=options)
    filled.storage_faults.add(fault)
    with pytest.raises(error) as caught:
        source.read(0, 100)
    _assert_one_line(caught, words)


def test_a_dripping_storage_is_left(filled: LocalHub, options: HubOptions) -> None:
    """Each byte comes in time, the whole would take half a minute: the limit is six time-outs."""
    source = hub_source(REPO, "m-Q8_0.gguf", options=replace(options, timeout_s=0.15))
    filled.storage_faults.add("drip")
    with pytest.raises(UnreachableError) as caught:
        source.read(0, 1500)
    _assert_one_line(caught, "arrived in 0.9 s; the connection is too slow, name a local path")


# The client reads its environment when it is imported, so these need a process of their own.
ASK = """
import sys
from planner.errors import PlannerError
import planner.readers.hub.repository as hub
import planner.readers.hub.gguf_files as hub_gguf
assert "huggingface_hub" not in sys.modules, "importing the reader must stay cheap"
try:
    print(sorted(hub.fetch_config("org/name").items()))
    print([file.path for file in hub.repo_files("org/name")])
except PlannerError as error:
    print(type(error).__name__, error)
"""


def _ask_in_a_process(hub: LocalHub, home: Path, **environment: str) -> tuple[list[str], str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    settings = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env=inherited | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


def test_the_clients_environment_holds_and_offline_uses_its_cache(filled: LocalHub, tmp_path: Path) -> None:
    filled.gated.add(REPO)
    offline = {"HF_HUB_OFFLINE": "1"}

    lines, _ = _ask_in_a_process(filled, tmp_path, **offline)
    assert lines[0].startswith("UnreachableError config.json of 'org/name' is not in the local cache")
    assert filled.seen == []

    lines, noise = _ask_in_a_process(filled, tmp_path, HF_TOKEN=TOKEN)
    config = "[('hidden_size', 64), ('model_type', 'llama')]"
    assert lines == [config, "['config.json', 'm-Q8_0.gguf']"]
    assert noise == "", "no progress bar for a small file"
    # Only what was asked for: no telemetry, no list of tools.
    assert all(REPO in seen.path for seen in filled.seen)

    n_before = len(filled.seen)
    lines, _ = _ask_in_a_process(filled, tmp_path, **offline)
    assert lines[0] == config
    assert lines[1].startswith(
        "UnreachableError the file list of 'org/name' cannot be fetched: HF_HUB_OFFLINE"
    )
    assert len(filled.seen) == n_before
