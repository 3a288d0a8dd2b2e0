"""The table's columns as inputs of a graph, and what families make of them: features, codes of levels, matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from tasks.cells import MISSING
from tasks.format._graph import Graph, Operand
from tasks.model._encode import Levels
from tasks.model._inputs import MISSING as MISSING_CODE
from tasks.model._inputs import N_OWN, UNSEEN
from tasks.schema import Column, Schema

GIVEN_AS = {
    "numeric": ("double", "a number; NaN where it is missing, and infinities count as missing"),
    "boolean": ("double", "1 for true, 0 for false; NaN where it is missing"),
    "categorical": ("string", "text as in the table, without spaces around it; '' where it is missing"),
    "time": ("double", "seconds since 1970-01-01 00:00 UTC; NaN where it is missing"),
}
DAY = 86400.0


def add_inputs(graph: Graph, schema: Schema) -> list[dict[str, Any]]:
    """An input for each column, whose features the graph then knows; gives what a caller is told of each. Prose is left
    to the family that reads it."""
    told = []
    for column in schema.columns:
        if column.kind == "text":
            continue
        kind, meaning = GIVEN_AS[column.kind]
        given = graph.input(column.name, kind)
        graph.features |= _features(graph, column, given)
        told.append({"name": column.name, "type": kind, "shape": ["rows"], "given_as": meaning})
    return told


def _features(graph: Graph, column: Column, given: str) -> dict[str, str]:
    if column.kind == "categorical":
        return {column.name: given}
    finite = graph("Where", graph("IsInf", given), np.float64(np.nan), given)
    if column.kind != "time":
        return {column.name: finite}
    parts = _parts(graph, finite)
    return {feature: parts[part] for feature, part in zip(column.features(), column.parts, strict=True)}


def _parts(graph: Graph, seconds: str) -> dict[str, str]:
    """Of dates in the Gregorian calendar (H. Hinnant, chrono-Compatible Low-Level Date Algorithms, civil_from_days), as
    `tasks.schema.part_of` has them."""

    def whole(value: str, divisor: float) -> str:
        return graph("Floor", graph("Div", value, divisor))

    def rest(value: str, divisor: float) -> str:
        return graph("Sub", value, graph("Mul", whole(value, divisor), divisor))

    day = whole(seconds, DAY)
    shifted = graph("Add", day, 719468.0)
    era, of_era = whole(shifted, 146097.0), rest(shifted, 146097.0)
    leap = graph("Sub", graph("Sub", of_era, whole(of_era, 1460.0)), whole(of_era, 146096.0))
    year = whole(graph("Add", leap, whole(of_era, 36524.0)), 365.0)
    days_before = graph("Sub", graph("Add", graph("Mul", year, 365.0), whole(year, 4.0)), whole(year, 100.0))
    of_year = graph("Sub", of_era, days_before)
    month = whole(graph("Add", graph("Mul", of_year, 5.0), 2.0), 153.0)  # from March on
    before = whole(graph("Add", graph("Mul", month, 153.0), 2.0), 5.0)
    is_next = graph("GreaterOrEqual", month, 10.0)
    calendar_month = graph("Add", month, graph("Where", is_next, -9.0, 3.0))
    calendar_year = graph("Add", graph("Add", year, graph("Mul", era, 400.0)), graph("Where", is_next, 1.0, 0.0))
    of_day = rest(seconds, DAY)
    return {
        "year": calendar_year, "month": calendar_month, "day": graph("Add", graph("Sub", of_year, before), 1.0),
        "weekday": rest(graph("Add", day, 3.0), 7.0), "hour": whole(of_day, 3600.0),
        "minute": whole(rest(of_day, 3600.0), 60.0), "days": graph("Div", seconds, DAY),
    }  # fmt: skip


def indices(graph: Graph, levels: Levels, column: str) -> str:
    """(n,) int64: 0 for a missing level, 1 for one that is not among the levels, from 2 on its place among them."""
    known = [str(level) for level in levels.levels[column]]
    keys = [*sorted(MISSING), *known]
    values = [MISSING_CODE] * len(MISSING) + [place + N_OWN for place in range(len(known))]
    return graph("LabelEncoder", graph.features[column], domain="ai.onnx.ml", keys_strings=keys, values_int64s=values,
                 default_int64=UNSEEN)  # fmt: skip


def encoded(graph: Graph, levels: Levels, unseen: float = np.nan) -> list[str]:
    """The columns as `Levels.encode` gives them: (n,) float64 each."""
    found = []
    for column in levels.columns:
        if column in levels.levels:
            codes = np.array([np.nan, unseen, *range(len(levels.levels[column]))], dtype=np.float64)
            found.append(graph("Gather", codes, indices(graph, levels, column)))
        else:
            found.append(graph.features[column])
    return found


def missing(graph: Graph, tensor: str) -> str:
    return graph("IsNaN", tensor)


def filled(graph: Graph, tensor: str, value: Operand) -> str:
    return graph("Where", graph("IsNaN", tensor), value, tensor)
