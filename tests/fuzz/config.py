"""Fuzzes the config reader: raw JSON, then real configs with changed fields. See the package."""

import json
from pathlib import Path

from tests.fuzz.choices import Choices, change
from tests.fuzz.harness import instrumented, main

with instrumented():
    from planner.readers.config.network import network_from_config
    from planner.readers.local_json import parse_json_object
    from planner.readers.source_facts import facts_of_config

from tests.fuzz.touch import touch

_FOLDER = Path(__file__).parents[1] / "planner" / "readers" / "configs"
_CONFIGS = tuple(json.loads(path.read_bytes()) for path in sorted(_FOLDER.glob("*.json")))
_RAW = 48  # of 256 first bytes, so many lead to the raw reader


def target(data: bytes) -> None:
    """Read what the bytes say; only the planner's own errors may come out."""
    choices = Choices(data)
    if choices.number() < _RAW:
        config = parse_json_object(choices.rest(), "'config.json'")
    else:
        # Through JSON, so that only what a file can hold reaches the reader.
        changed = change(choices.pick(_CONFIGS), choices)
        text = json.dumps(changed if isinstance(changed, dict) else {"model_type": changed})
        config = parse_json_object(text.encode(), "'config.json'")
    facts_of_config(config)
    touch(network_from_config(config))


def seeds() -> list[bytes]:
    """Every real config once, and short texts."""
    texts = [b"{}", b'{"model_type": "llama"}', b'{"a": [1, {"b": null}], "c": 1e5, "d": "\\u00e9"}', b"[1]"]
    smallest = sorted((json.dumps(config).encode() for config in _CONFIGS), key=len)[:20]
    return [
        *(b"\0" + text for text in (*texts, *smallest)),
        *(bytes([200, index % 256, 2, index, 200, 7, 1, 8]) for index in range(len(_CONFIGS))),
    ]


if __name__ == "__main__":
    main("config", target, seeds())
