"""HTML: a page as one file that loads nothing, with its pictures in it."""

from __future__ import annotations

import base64
import re
import struct
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tasks.page._blocks import Page, Picture

# Of all pictures in bytes as they are embedded, a third more than the files; what comes after is named instead.
MOST_BYTES = 2_400_000
MOST_LETTERS = 2_000  # of a cell or a sentence
MARKS = {"good": "✓", "warn": "!", "bad": "✗", "": "·"}


def html_of(page: Page) -> str:
    """The whole file. All that stands in the page is escaped: a column may be named `<script>`."""
    return _environment().get_template("page.html").render(page=page, embed=_Embedding(), marks=MARKS)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters["cut"] = cut
    return made


def cut(text: Any) -> str:
    """In a bounded length, and without letters that no file of text may hold."""
    told = str(text).encode("utf-8", "replace").decode().replace("\0", "�")
    return told if len(told) <= MOST_LETTERS else f"{told[: MOST_LETTERS - 1]}…"


class _Embedding:
    """Gives the `src`, width and height of each picture, as long as all of them together are not too large."""

    def __init__(self) -> None:
        self._left = MOST_BYTES

    def __call__(self, picture: Picture) -> dict[str, Any] | None:
        content = picture.path.read_bytes()
        kind = "svg+xml" if picture.path.suffix == ".svg" else "png"
        source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
        if len(source) > self._left:
            return None
        self._left -= len(source)
        width, height = _size(content)
        return {"src": Markup(source), "width": width, "height": height}


def _size(content: bytes) -> tuple[int, int]:
    """In pixels of a screen, of which 96 are an inch; PNG files are drawn at 120."""
    if content.startswith(b"\x89PNG"):
        width, height = struct.unpack(">II", content[16:24])
        return round(width * 96 / 120), round(height * 96 / 120)
    width, height = (float(one) for one in re.findall(rb'viewBox="0 0 ([\d.]+) ([\d.]+)"', content[:1_000])[0])
    return round(width * 96 / 72), round(height * 96 / 72)
