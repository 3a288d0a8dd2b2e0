"""What a page is made of: sections of tables, facts, lists and pictures, as text that is not yet escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

Tone = Literal["", "good", "warn", "bad"]


@dataclass(frozen=True)
class Cell:
    """A cell of a table that is coloured by what it says."""

    text: str
    tone: Tone


@dataclass(frozen=True)
class Span:
    """A cell that draws an interval on the scale of its column: all from 0 to 1, `marks` by what they stand for
    (`constant`, `linear`). It is decoration: the numbers stand in other cells."""

    low: float
    value: float
    high: float
    marks: tuple[tuple[str, float], ...] = ()


Content = str | Cell | Span


@dataclass(frozen=True)
class Table:
    """A table with a header for each column and, in its first cell, for each row. align: `l` or `r` for each column.
    strong: which rows stand out."""

    kind: ClassVar[str] = "table"
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Content]]
    align: str
    note: str = ""
    strong: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Facts:
    """Names and what they stand for."""

    kind: ClassVar[str] = "facts"
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str
    tone: Tone = ""


@dataclass(frozen=True)
class Points:
    """A list."""

    kind: ClassVar[str] = "points"
    items: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Lines to copy."""

    kind: ClassVar[str] = "code"
    text: str
    label: str


@dataclass(frozen=True)
class Picture:
    """A PNG or SVG file. alt: what it shows, for those who don't see it."""

    kind: ClassVar[str] = "picture"
    path: Path
    alt: str


@dataclass(frozen=True)
class Folded:
    """Blocks that are shown when they are asked for."""

    kind: ClassVar[str] = "folded"
    title: str
    blocks: Sequence[Block]


Block = Table | Facts | Text | Points | Code | Picture | Folded


@dataclass(frozen=True)
class Remark:
    """Something that a reader should know before using the model, told at the top."""

    text: str
    tone: Tone


@dataclass(frozen=True)
class Section:
    """A part of the page under its own heading. name: its anchor. remarks: what of it is told at the top. in_card: how
    many of its blocks, the first ones, go into the model card too. fault: why it could not be made, or nothing."""

    name: str
    title: str
    blocks: Sequence[Block]
    remarks: Sequence[Remark] = ()
    in_card: int = 0
    fault: str = ""


@dataclass(frozen=True)
class Answer:
    """A question that a reader comes with, its answer in a few words, and what it rests on."""

    question: str
    answer: str
    tone: Tone
    reason: str
    link: str


@dataclass(frozen=True)
class Page:
    """A whole page. links: to other pages, by name."""

    title: str
    subtitle: str
    answers: Sequence[Answer]
    sections: Sequence[Section]
    links: Sequence[tuple[str, str]] = ()

    @property
    def remarks(self) -> list[tuple[Section, Remark]]:
        """Those of all sections, the serious ones first."""
        found = [(section, remark) for section in self.sections for remark in section.remarks]
        return sorted(found, key=lambda one: one[1].tone != "bad")

    @property
    def faults(self) -> list[str]:
        """Why sections could not be made."""
        return [section.fault for section in self.sections if section.fault]
