"""Card: the short of a page in Markdown, in the very words and numbers of the page."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tasks.page._blocks import Block, Cell, Code, Content, Facts, Page, Points, Span, Table, Text
from tasks.page._html import cut

MOST_ROWS = 40


def card_of(page: Page) -> str:
    """The answers, the remarks, and of each section what it gives for the card."""
    lines = [f"# {_safe(page.title)}", "", _safe(page.subtitle), ""]
    lines += [f"- **{_safe(one.question)}** {_safe(one.answer)}: {_safe(one.reason)}" for one in page.answers]
    if remarks := page.remarks:
        lines += ["", "## To look at", "", *(f"- {_safe(remark.text)}" for _, remark in remarks)]
    for section in page.sections:
        if section.in_card:
            lines += ["", f"## {_safe(section.title)}"]
            for block in section.blocks[: section.in_card]:
                lines += ["", *_lines(block)]
    return "\n".join(lines) + "\n"


def _lines(block: Block) -> list[str]:
    match block:
        case Table():
            return _table(block)
        case Facts(pairs):
            return [f"- {_safe(name)}: {_safe(value)}" for name, value in pairs]
        case Points(items):
            return [f"- {_safe(item)}" for item in items]
        case Text(text):
            return [_safe(text)]
        case Code(text):
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
            return [fence, text, fence]
        case _:
            return []


def _table(block: Table) -> list[str]:
    kept = [n for n, _ in enumerate(block.head) if not any(isinstance(row[n], Span) for row in block.rows)]
    edges = ["---:" if block.align[n] == "r" else "---" for n in kept]
    rows = [_row([block.head[n] for n in kept]), f"| {' | '.join(edges)} |"]
    rows += [_row([row[n] for n in kept]) for row in block.rows[:MOST_ROWS]]
    left = len(block.rows) - MOST_ROWS
    return [f"{_safe(block.caption)}:", "", *rows, *([f"{left:,} more lines are in the report."] if left > 0 else [])]


def _row(cells: Sequence[Content]) -> str:
    return f"| {' | '.join(_safe(cell.text if isinstance(cell, Cell) else str(cell)) for cell in cells)} |"


def _safe(text: str) -> str:
    """On one line, and nothing in it is Markdown or HTML: a name is told as it is."""
    told = " ".join(cut(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]|#])|(?<!\w)_|_(?!\w)", lambda found: f"\\{found.group()}", told)
