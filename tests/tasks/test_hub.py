"""A model on huggingface.co is downloaded without anything that may hold code; one that can't be had is refused."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tasks.hub import download
from tasks.refusal import Refusal

constants = pytest.importorskip("huggingface_hub.constants", reason='needs pip install "finefold[text]"')
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {"config.json": b"{}", "model.safetensors": b"weights", "vocab.txt": b"a",
         "chat_template.jinja": b"{{ messages }}", "consolidated.safetensors": b"weights again",
         "pytorch_model.bin": b"a pickle", "modeling_x.py": b"print()", "onnx/model.onnx": b"graph"}  # fmt: skip


class Hub(BaseHTTPRequestHandler):
    """As much of huggingface.co as a download asks for: one model, `someone/model`, and one that is not for all."""

    asked: list[str] = []  # noqa: RUF012  # of all requests, which the server makes an instance for each

    def do_GET(self) -> None:  # http.server's name
        path = self.path.partition("?")[0]
        self.asked.append(path)
        if path.startswith("/api/models/someone/model/tree/"):
            found = {name: {"size": len(data), "oid": _etag(data)} for name, data in FILES.items()}
            self._send(json.dumps([{"type": "file", "path": name, **one} for name, one in found.items()]).encode())
        elif path.startswith("/api/models/someone/model"):
            siblings = [{"rfilename": name} for name in FILES]
            self._send(json.dumps({"id": "someone/model", "sha": COMMIT, "siblings": siblings}).encode())
        elif path.startswith("/someone/model/resolve/"):
            self._send(FILES[path.partition(f"{COMMIT}/")[2]])
        else:
            self._send(b"{}", 403 if "gated" in path else 404, "GatedRepo" if "gated" in path else "RepoNotFound")

    do_HEAD = do_GET  # noqa: N815

    def _send(self, body: bytes, status: int = 200, error: str = "") -> None:
        self.send_response(status)
        headers = {"Content-Length": str(len(body)), "ETag": f'"{_etag(body)}"', "X-Repo-Commit": COMMIT}
        for name, value in (headers | ({"X-Error-Code": error} if error else {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _use(monkeypatch, tmp_path, server.server_port)
        yield
        server.shutdown()


def _use(monkeypatch: pytest.MonkeyPatch, cache: Path, port: int) -> None:
    import huggingface_hub.file_download

    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    template = f"http://127.0.0.1:{port}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(huggingface_hub.file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))


def test_nothing_is_downloaded_that_may_hold_code(hub: None) -> None:
    folder = download("someone/model")
    assert folder.name == COMMIT
    wanted = {"chat_template.jinja", "config.json", "model.safetensors", "vocab.txt"}
    assert {path.name for path in folder.iterdir()} == wanted
    assert not [path for path in Hub.asked if path.endswith((".bin", ".py", ".onnx"))]


def test_a_chat_template_comes_along_and_weights_that_are_there_twice_come_once(hub: None) -> None:
    folder = download("someone/model")
    assert (folder / "chat_template.jinja").read_text() == "{{ messages }}"
    assert not (folder / "consolidated.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("someone/nothing", "base=someone/nothing: there is no such folder, and on huggingface.co no such model"),
        ("someone/gated", "its owner asks you to log in"),
    ],
)
def test_a_model_that_is_not_there_is_refused(hub: None, name: str, said: str) -> None:
    with pytest.raises(Refusal, match=said) as refused:
        download(name)
    assert "give the folder that its files lie in: base=PATH" in refused.value.faults[0]


def test_without_a_network_it_is_said_how_to_give_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        _use(monkeypatch, tmp_path, probe.getsockname()[1])
        with pytest.raises(Refusal, match=r"can't be reached, .*; check the network, or give the folder"):
            download("someone/model")
