"""Settings that are known to be good, and the tables that they were found good on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# {rows: ..., classes: ...}: the least training rows and classes of such tables; most_rows: the most.
MADE_FOR = "made_for"
SIZES = {"rows", "classes", "most_rows"}


def faults(prefix: str, portfolio: Sequence[Mapping[str, Any]]) -> list[str]:
    """prefix: what stands before a portfolio where the user wrote it."""
    return [
        f"{prefix}: {MADE_FOR}={given}; write {{rows: 20000, classes: 3}}, or one of them, the least of such a table; "
        "or {most_rows: 20000}."
        for one in portfolio
        if (given := one.get(MADE_FOR)) is not None and not _are_sizes(given)
    ]


def _are_sizes(given: Any) -> bool:
    is_known = isinstance(given, Mapping) and bool(given) and set(given) <= SIZES
    return is_known and all(isinstance(n, int) and not isinstance(n, bool) for n in given.values())


def ordered(portfolio: Sequence[Mapping[str, Any]], n_rows: int, n_classes: int) -> list[Mapping[str, Any]]:
    """Those made for such a table first, those made for others last; else as they were."""

    def place(one: Mapping[str, Any]) -> int:
        if (sizes := one.get(MADE_FOR)) is None:
            return 1
        has_rows = sizes.get("rows", 0) <= n_rows <= sizes.get("most_rows", n_rows)
        return 0 if has_rows and n_classes >= sizes.get("classes", 0) else 2

    return sorted(portfolio, key=place)
