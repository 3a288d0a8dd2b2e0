"""What tests of pages share: all that `finefold up` starts, a model that was trained there, and a browser.

They mirror no file: a page shows what many wrote. Hence a folder of their own, and processes as a user starts them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parent.parent.parent
SECONDS = 120  # the longest that a page may take to show what it must, on a machine whose cores are all taken
# Of its own accord Chromium asks addresses of its maker's; as root, as in a container, it starts without sandbox alone.
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip
SIZE = {"width": 1280, "height": 800}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", metavar="FOLDER", help="keep pictures of the pages that tests look at")


@dataclass(frozen=True)
class Place:
    """A folder in which everything is up. prefect, mlflow: the addresses of both servers."""

    folder: Path
    environment: dict[str, str]
    prefect: str
    mlflow: str

    def finefold(self, *arguments: str) -> Any:
        """What a command tells as JSON."""
        ended = subprocess.run(
            [sys.executable, "-m", "flows.cli", *arguments, "output=json"], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return json.loads(ended.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def place(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Where `finefold up` stands, in a process of its own as a user has it; none without a browser to look at it."""
    folder, (prefect, mlflow) = tmp_path_factory.mktemp("place"), free_ports(2)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "PREFECT_HOME": str(folder / "prefect"), "PREFECT_SERVER_API_PORT": str(prefect),
    }  # fmt: skip
    command = [sys.executable, "-m", "flows.cli", "up", f"servers.mlflow.port={mlflow}", "output=json"]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as up:
        try:
            assert up.stdout is not None
            said = next((line for line in up.stdout if line.startswith("{")), None)
            assert said is not None, "finefold up ended before all was up"
            yield Place(folder, environment, json.loads(said)["prefect"], f"http://127.0.0.1:{mlflow}")
        finally:
            up.send_signal(signal.SIGTERM)
            up.communicate()


def free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=SECONDS * 1000)
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("needs Chromium on the PATH, or CHROMIUM to name it: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def new_page(browser: Browser) -> Callable[[], AbstractContextManager[Page]]:
    """Opens a page of a browser that knows nothing yet, which waits for what is asked of it."""

    @contextmanager
    def opened() -> Iterator[Page]:
        with browser.new_context(viewport=SIZE) as context:
            context.set_default_timeout(SECONDS * 1000)
            yield context.new_page()

    return opened


@pytest.fixture
def page(new_page: Callable[[], AbstractContextManager[Page]]) -> Iterator[Page]:
    with new_page() as page:
        yield page


@pytest.fixture
def picture(page: Page, request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Keeps what the page shows now as a picture of that name, where `--pictures` names a folder."""
    folder = request.config.getoption("--pictures", default=None)

    def keep(name: str) -> None:
        if folder is not None:
            page.wait_for_timeout(4000)  # what is drawn on a canvas can't be asked for, and what moves comes to rest
            for path in page.get_by_text("Path: file:").all():  # of a machine that is nobody's
                path.evaluate("element => element.style.visibility = 'hidden'")
            small(page.screenshot(), Path(folder) / f"{name}.png")

    return keep


def small(picture: bytes, path: Path) -> None:
    """Writes a PNG with the 256 colours that it is best shown with, a third as large."""
    from io import BytesIO

    from PIL import Image

    with Image.open(BytesIO(picture)) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
