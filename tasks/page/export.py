"""Export: in which formats the model went out, and how far each predicts from what the model does."""

from __future__ import annotations

from tasks.page._blocks import Cell, Content, Section, Table
from tasks.page._number import number
from tasks.page._values import Values
from tasks.records import Parity

HEAD = ("export", "agrees", "rows", "hard rows", "largest difference", "99.9 % within", "label flips", "MB",
        "rows per second", "the model's own")  # fmt: skip


def section(values: Values) -> Section | None:
    """Left out where nothing was exported."""
    rows = [_row(one.format, parity) for one in values.exports for parity in one.parity]
    if not rows:
        return None
    note = (
        "Predicted in a fresh process, and compared on rows of the holdout and on rows that are hard to get right. "
        "Differences are of probabilities, or of numbers in standard deviations of the predictions."
    )
    table = Table("Each export beside the model", HEAD, rows, "llrrrrrrrr", note)
    return Section("export", "Export", [table], in_card=1)


def _rows(parity: Parity) -> str:
    some = f" of {parity.n_holdout:,}" if parity.n_rows < parity.n_holdout else ""
    return f"{parity.n_rows:,}{some}"


def _row(format_: str, parity: Parity) -> list[Content]:
    name = format_ if format_ == parity.name else f"{format_}: {parity.name}"
    return [
        name, Cell("yes", "good") if parity.is_within else Cell("no", "bad"), _rows(parity),
        f"{parity.n_hard:,}", f"{parity.largest:.2g}", f"{parity.of_999:.2g}", f"{parity.flips:,}",
        number(parity.megabytes, 3), f"{parity.rows_per_second:,.0f}", f"{parity.model_rows_per_second:,.0f}",
    ]  # fmt: skip
