"""The largest inputs that the readers' own bounds let through, each read in a process of its own.

python -m tests.planner.readers.hostile NAME prints the megabytes by which the process grew, and its seconds.
"""

import json
import resource
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from planner.errors import PlannerError
from planner.readers.byte_source import ByteSource
from planner.readers.card.model_card import parse_card
from planner.readers.config.network import network_from_config
from planner.readers.gguf.file import parse_gguf_header
from planner.readers.gguf.network import network_from_gguf
from planner.readers.local_json import parse_json_object
from planner.readers.ollama.manifest import parse_manifest
from planner.readers.safetensors import parse_safetensors_header, shard_names
from tests.conformance.headers import PUBLISHED
from tests.fuzz.touch import touch
from tests.gguf_writer import TYPE_IDS, gguf_header, gguf_string

UINT8, UINT32, STRING, ARRAY = (TYPE_IDS[name] for name in ("uint8", "uint32", "string", "array"))
MOST_LAYERS = replace(PUBLISHED["llama-3.1-8b"], n_layers=4096)
WIDE = "\U0001f600".encode()  # makes every character of its text take four bytes


def _gguf(n_tensors: int, n_keys: int, body: bytes) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, n_tensors, n_keys) + body


def _key(number: int, kind: int) -> bytes:
    return gguf_string(f"k{number}") + struct.pack("<I", kind)


def _array(kind: int, length: int) -> bytes:
    return struct.pack("<IQ", kind, length)


def _tensors(name: Callable[[int], str], n: int) -> bytes:
    return b"".join(
        gguf_string(name(number)) + struct.pack("<IQIQ", 1, 32, 0, 128 * number) for number in range(n)
    )


def _architecture(name: str) -> bytes:
    return gguf_string("general.architecture") + struct.pack("<I", STRING) + gguf_string(name)


GGUF: dict[str, Callable[[], bytes]] = {
    "strings": lambda: _gguf(0, 1, _key(0, ARRAY) + _array(STRING, 4_194_304) + bytes(8 * 4_194_304)),
    "tensors": lambda: _gguf(65_536, 1, _architecture("llama") + _tensors(lambda n: f"blk.{n}.x", 65_536)),
    "layers": lambda: gguf_header(MOST_LAYERS.metadata(), MOST_LAYERS.tensors()),
    "keys": lambda: _gguf(0, 65_536, b"".join(_key(n, ARRAY) + _array(UINT8, 4) + bytes(4) for n in range(65_536))),
    "small texts": lambda: _gguf(
        0, 64, b"".join(_key(n, ARRAY) + _array(STRING, 4096) + gguf_string("ab") * 4096 for n in range(64))
    ),
    "nested": lambda: _gguf(
        0, 31, b"".join(_key(n, ARRAY) + _array(ARRAY, 4096) + (_array(UINT8, 1) + b"\1") * 4096 for n in range(31))
    ),
    "wide texts": lambda: _gguf(
        0, 8, b"".join(_key(n, STRING) + gguf_string(WIDE + b"a" * 1_040_000) for n in range(8))
    ),
    "wide names": lambda: _gguf(
        0, 128, b"".join(gguf_string(WIDE + b"%05d" % n + b"a" * 65_500) + struct.pack("<IB", UINT8, 1) for n in range(128))
    ),
    "one text": lambda: _gguf(0, 1, _key(0, STRING) + gguf_string(b"\xff" * 66_000_000)),
    "long arrays": lambda: _gguf(
        0, 60_000, b"".join(_key(n, ARRAY) + _array(UINT32, 260) + bytes(1040) for n in range(60_000))
    ),
}  # fmt: skip


def _safetensors(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header


SAFETENSORS: dict[str, Callable[[], bytes]] = {
    "rows": lambda: _safetensors(
        b"{" + b",".join(
            b'"model.layers.%d.mlp.experts.%d.down_proj.weight":{"dtype":"BF16","shape":[1,2],"data_offsets":[%d,%d]}'
            % (n, n, 4 * n, 4 * n + 4) for n in range(99_000)
        ) + b"}"
    ),
    "one name": lambda: _safetensors(b'{"' + b"a" * 33_000_000 + b'": 1}'),
    "wide name": lambda: _safetensors(b'{"' + b"a" * 10_000_000 + WIDE + b'": 1}'),
    "lists": lambda: _safetensors(b'{"x":[' + b",".join([b"[1]"] * 399_000) + b"]}"),
    "dicts": lambda: _safetensors(b'{"x":[' + b",".join([b'{"a":1}'] * 399_000) + b"]}"),
    "dimensions": lambda: _safetensors(
        b"{" + b",".join(
            b'"%d":{"dtype":"U8","shape":[%s],"data_offsets":[0,0]}' % (n, b",".join([b"9223372036854775807"] * 64))
            for n in range(11_000)
        ) + b"}"
    ),
}  # fmt: skip

JSON: dict[str, Callable[[], bytes]] = {
    "index": lambda: b'{"weight_map":{' + b",".join(
        b'"model.layers.%d.mlp.experts.%d.down_proj.weight_packed":"model-%05d-of-00062.safetensors"'
        % (n // 400, n, n % 62) for n in range(390_000)
    ) + b"}}",
    "shards": lambda: b'{"weight_map":{' + b",".join(b'"%d":"%d.safetensors"' % (n, n) for n in range(490_000)) + b"}}",
    "numbers": lambda: b'{"x":[' + b",".join([b"7" * 4300] * 3800) + b"]}",
    "floats": lambda: b'{"x":[' + b",".join([b"1.5"] * 499_000) + b"]}",
    "names": lambda: b"{" + b",".join(b'"%d":1' % n for n in range(499_000)) + b"}",
    "digits": lambda: b'{"x":0.' + b"1" * 16_000_000 + b"}",
    "kinds of layers": lambda: json.dumps(
        {
            "model_type": "nemotron-nas", "num_hidden_layers": 4096, "hidden_size": 8192, "vocab_size": 128_256,
            "num_attention_heads": 64, "intermediate_size": None, "num_key_value_heads": None,
            "block_configs": [
                {"attention": {"n_heads_in_group": 8}, "ffn": {"ffn_mult": 1 + n / 512}} for n in range(4096)
            ],
        }
    ).encode(),
    "layers": lambda: json.dumps(
        {
            "model_type": "llama", "num_hidden_layers": 4096, "layer_types": ["full_attention"] * 100_000,
            "hidden_size": 4096, "num_attention_heads": 32, "intermediate_size": 1, "vocab_size": 2**40,
        }
    ).encode(),
}  # fmt: skip


def _source(data: bytes, n_bytes: int) -> ByteSource:
    def read(offset: int, size: int) -> bytes:
        return data[offset : offset + size].ljust(size, b"\0")  # the rest of the file is a hole

    return ByteSource(name="m", n_bytes=n_bytes, read=read)


def _read_json(data: bytes) -> None:
    value = parse_json_object(data, "'m'")
    if "weight_map" in value:
        shard_names(value, "'m'")
    touch(network_from_config(value))


def _read_gguf(data: bytes) -> None:
    source = _source(data, 10**12)
    touch(network_from_gguf(parse_gguf_header(source.read, source.n_bytes, "m", allow_missing_weights=True)))


READERS: dict[str, tuple[dict[str, Callable[[], bytes]], Callable[[bytes], object]]] = {
    "gguf": (GGUF, _read_gguf),
    "safetensors": (SAFETENSORS, lambda data: parse_safetensors_header(_source(data, 10**12))),
    "json": (JSON, _read_json),
    "manifest": (
        {"layers": lambda: b'{"layers":[' + b",".join(
            b'{"mediaType":"application/vnd.ollama.image.tensor","digest":"sha256:%064d","size":1,"name":"%d"}'
            % (n, n) for n in range(65_000)) + b"]}"},
        lambda data: parse_manifest(parse_json_object(data, "'m'"), "'m'"),
    ),
    "card": (
        {
            "brackets": lambda: b"# x\n" + b"(" * 500_000 + b"1B" * 200_000,
            "rows": lambda: b"| a | 7B |\n|---|---|\n" + b"| Parameters | 7B |\n" * 50_000,
            "aliases": lambda: b"---\na: &a [x,x]\n" + b"".join(b"b%d: [*a,*a]\n" % n for n in range(9999)) + b"---\n",
        },
        lambda data: parse_card(data, "org/model-7B"),
    ),
}  # fmt: skip


def cases() -> list[str]:
    """Every input by its name, such as "gguf strings"."""
    return [f"{kind} {name}" for kind, (inputs, _) in READERS.items() for name in inputs]


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def main() -> None:
    """Read the input of a given name, which a first process writes so that making it is not measured."""
    kind, _, name = sys.argv[1].partition(" ")
    inputs, reader = READERS[kind]
    if sys.argv[2] == "write":
        Path(sys.argv[3]).write_bytes(inputs[name]())
        return
    data = Path(sys.argv[3]).read_bytes()
    before_mb, started = _peak_mb(), time.process_time()
    outcome = "read"
    try:
        reader(data)
    except PlannerError as error:
        outcome = str(error)[:120]
    print(f"{_peak_mb() - before_mb:.0f} {time.process_time() - started:.2f} {outcome}")


if __name__ == "__main__":
    main()
