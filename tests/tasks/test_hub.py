"""A model on huggingface.co is downloaded without anything that may hold code; one that can't be had is refused."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tasks import provenance
from tasks.hub import download
from tasks.refusal import Refusal

constants = pytest.importorskip("huggingface_hub.constants", reason='needs pip install "finefold[text]"')
ROOT = Path(__file__).parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TORN = b"a file whose connection breaks"
FILES = {"config.json": b"{}", "model.safetensors": b"weights", "vocab.txt": b"a",
         "chat_template.jinja": b"{{ messages }}", "consolidated.safetensors": b"weights again",
         "pytorch_model.bin": b"a pickle", "modeling_x.py": b"print()", "onnx/model.onnx": b"graph"}  # fmt: skip

ERRORS = {"gated": (403, "GatedRepo"), "forbidden": (403, ""), "login": (401, ""), "hidden": (401, "RepoNotFound")}


class Hub(BaseHTTPRequestHandler):
    """As much of huggingface.co as a download asks for: some models, and of others an error."""

    asked: list[str] = []  # noqa: RUF012  # of all requests, which the server makes an instance for each
    models: dict[str, dict[str, bytes]] = {"someone/model": FILES}  # noqa: RUF012

    def do_GET(self) -> None:  # http.server's name
        path = self.path.partition("?")[0]
        self.asked.append(path)
        model = "/".join(path.removeprefix("/api/models").split("/")[1:3])
        files = self.models.get(model)
        if files is None:
            self._send(b"{}", *ERRORS.get(model.partition("/")[2], (404, "RepoNotFound")))
        elif path.startswith(f"/api/models/{model}/tree/"):
            found = {name: {"size": len(data), "oid": _etag(data)} for name, data in files.items()}
            self._send(json.dumps([{"type": "file", "path": name, **one} for name, one in found.items()]).encode())
        elif path.startswith("/api/models/"):
            siblings = [{"rfilename": name} for name in files]
            self._send(json.dumps({"id": model, "sha": COMMIT, "siblings": siblings}).encode())
        else:
            self._send(files[path.partition(f"{COMMIT}/")[2]])

    do_HEAD = do_GET  # noqa: N815

    def _send(self, body: bytes, status: int = 200, error: str = "") -> None:
        self.send_response(status)
        headers = {"Content-Length": str(len(body)), "ETag": f'"{_etag(body)}"', "X-Repo-Commit": COMMIT}
        for name, value in (headers | ({"X-Error-Code": error} if error else {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:3] if body == TORN else body)

    def log_message(self, *_: object) -> None:
        pass


def _etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _use(monkeypatch, tmp_path, server.server_port)
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _use(monkeypatch: pytest.MonkeyPatch, cache: Path, port: int) -> None:
    import huggingface_hub.file_download

    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    template = f"http://127.0.0.1:{port}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(huggingface_hub.file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))


def test_nothing_is_downloaded_that_may_hold_code(hub: str) -> None:
    folder = download("someone/model")
    assert folder.name == COMMIT
    wanted = {"chat_template.jinja", "config.json", "model.safetensors", "vocab.txt"}
    assert {path.name for path in folder.iterdir()} == wanted
    assert not [path for path in Hub.asked if path.endswith((".bin", ".py", ".onnx"))]


def test_a_chat_template_comes_along_and_weights_that_are_there_twice_come_once(hub: str) -> None:
    folder = download("someone/model")
    assert (folder / "chat_template.jinja").read_text() == "{{ messages }}"
    assert not (folder / "consolidated.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("someone/nothing", r"base=someone/nothing: there is no such folder, and on http://127\.\S+ no such model"),
        ("someone/hidden", r"no such model, or a private one; check the id, log in"),
        ("someone/gated", "its owner asks you to log in"),
        ("someone/login", "401 Unauthorized"),
        ("someone/forbidden", "answers 403 Forbidden"),
        ("someone/torn", "closed connection"),
    ],
)
def test_a_model_that_can_not_be_had_is_refused(
    hub: str, name: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Hub.models, "someone/torn", {"config.json": TORN})
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between its tries
    with pytest.raises(Refusal, match=said) as refused:
        download(name)
    assert "give the folder that its files lie in: base=PATH" in refused.value.faults[0]


def test_an_encoder_of_a_hub_is_a_base_and_what_a_run_begins_with(
    hub: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tiny_encoder import tiny_encoder  # which needs the extra

    from tasks.model import _encoder as encoders

    files = {path.name: path.read_bytes() for path in tiny_encoder(tmp_path / "tiny").iterdir()}
    card = b"---\nlicense: mit\n---\n"
    monkeypatch.setitem(Hub.models, "someone/tiny", {**FILES, **files, "README.md": card})
    code = (
        "import json; from flows.base import base_of; from flows.config import compose; from flows.plan import plan\n"
        "made = compose(['source=file', 'source.path=t.csv', 'base=someone/tiny', 'model=text_encoder'])\n"
        "print(base_of(made, plan(made)))\n"
        "begun = plan(compose(['model=text_encoder', 'model.text_encoder.encoder=someone/tiny']))\n"
        "print(begun.families['text_encoder'].weights(None))\n"
    )
    known = {**os.environ, "HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=250,
                          check=False, env=known)  # fmt: skip
    assert done.returncode == 0, done.stderr
    base, digest = done.stdout.split()
    told = provenance.read(tmp_path / base)
    assert told is not None
    assert (told.family, told.licence, told.origin) == ("text_encoder", "mit", f"{hub}/someone/tiny/tree/{COMMIT}")
    assert (tmp_path / base / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert digest == encoders.digest(tmp_path / "tiny")


def test_without_a_network_it_is_said_how_to_give_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        _use(monkeypatch, tmp_path, probe.getsockname()[1])
        with pytest.raises(Refusal, match=r"can't be reached, .*; check the network, or give the folder"):
            download("someone/model")
