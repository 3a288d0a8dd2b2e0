"""Export: in which formats the model went out, and how far each predicts as the model does."""

from __future__ import annotations

from typing import Any

from tasks.page._blocks import Section, Table
from tasks.page._number import short
from tasks.page._values import Values


def section(values: Values) -> Section | None:
    """Left out where nothing was exported."""
    if not values.parity:
        return None
    names = list(dict.fromkeys(name for line in values.parity for name in line))
    rows = [[_cell(line.get(name)) for name in names] for line in values.parity]
    align = "".join("r" if all(_is_number(line.get(name)) for line in values.parity) else "l" for name in names)
    table = Table("Parity of each format with the model", [name.replace("_", " ") for name in names], rows, align)
    return Section("export", "Export", [table], in_card=1)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else short(value)
