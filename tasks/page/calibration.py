"""Calibration: whether a probability of 80 % is right eight times in ten, and how a prediction is decided by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.page._blocks import Block, Facts, Section, Table
from tasks.page._number import number
from tasks.page._values import Values


def section(values: Values) -> Section | None:
    """Left out where nothing was calibrated, decided or measured."""
    blocks: list[Block] = []
    if told := values.calibration:
        numbers = [(str(name).replace("_", " "), _said(value)) for name, value in told.items() if _is_plain(value)]
        blocks += [Facts(numbers)] if numbers else []
    if pairs := [*_calibrated(values), *_decided(values)]:
        blocks.append(Facts(pairs))
    blocks += values.pictures("calibration")
    if costs := (values.of_model("decision.json") or {}).get("costs"):
        blocks.append(_costs(values, costs))
    return Section("calibration", "Calibration and decision", blocks) if blocks else None


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) or hasattr(value, "low")


def _said(value: Any) -> str:
    if hasattr(value, "low"):
        ends = f" ({number(value.low)} to {number(value.high)})" if value.low == value.low else ""
        return f"{number(value.value)}{ends}"
    return number(float(value)) if isinstance(value, int | float) else str(value)


def _calibrated(values: Values) -> list[tuple[str, str]]:
    made: Mapping[str, Any] = values.of_model("calibration.json") or {}
    if not made:
        return []
    how = {
        "temperature": f"temperature {number(float(made.get('temperature', 1.0)))}: above 1 its odds were too sure",
        "isotonic": "isotonic: a monotone curve through what was seen out of fold",
    }
    kind = str(made.get("kind"))
    return [("calibrated by", how.get(kind, kind))]


def _decided(values: Values) -> list[tuple[str, str]]:
    made: Mapping[str, Any] = values.of_model("decision.json") or {}
    if made.get("threshold") is not None:
        positive = str(values.prepared.problem.classes[-1])
        return [("decided by", f"{positive} where its probability is at least {number(float(made['threshold']))}")]
    return [("decided by", "the class with the least expected cost")] if made else []


def _costs(values: Values, costs: Sequence[Sequence[float]]) -> Table:
    names = [str(label) for label in values.prepared.problem.classes]
    rows = [[name, *(number(float(cost)) for cost in row)] for name, row in zip(names, costs, strict=False)]
    return Table("Cost of a prediction", ("true class", *names), rows, "l" + "r" * len(names))
