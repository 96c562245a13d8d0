"""The local hub, and the settings of the client that must stand before it is imported."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from planner.readers.hub.repository import HubOptions
from tests.planner.readers.hub_server import LocalHub

# The client reads this when it is imported: without it, it would ask the real hub for a list of tools.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    """A hub on this machine, empty."""
    from huggingface_hub import close_session

    with LocalHub() as server:
        yield server
        close_session()


@pytest.fixture
def options(hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubOptions:
    """How to ask the local hub, and nothing else: no proxy, no token and no cache of this person."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return HubOptions(endpoint=hub.endpoint, cache_dir=tmp_path / "cache", token=False, timeout_s=5)
