"""Features: what the model goes by."""

from __future__ import annotations

from tasks.page._blocks import Section
from tasks.page._values import Values


def section(values: Values) -> Section | None:
    """Left out where no importance was drawn."""
    shown = values.pictures("feature_importance")
    return Section("features", "What it goes by", shown) if shown else None
