"""A model on huggingface.co that can't be had is refused with what to do instead."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tasks.hub import download
from tasks.refusal import Refusal


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An address at which nothing answers, in the hub's place."""
    constants = pytest.importorskip("huggingface_hub.constants", reason='needs pip install "finefold[text]"')
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{probe.getsockname()[1]}")
        yield


def test_without_a_network_it_is_said_how_to_give_a_folder(closed: None) -> None:
    with pytest.raises(Refusal, match=r"base=someone/model: there is no such folder, and huggingface.co") as refused:
        download("someone/model")
    assert "base=PATH (config.json, *.safetensors" in refused.value.faults[0]
    assert "\n" not in refused.value.faults[0]
