"""Asked: calibration, threshold and costs as a configuration has them, and what in them can't be."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from flows.build import build
from flows.config import Composed
from tasks.conclude import Asked
from tasks.metric import METRICS
from tasks.records import Problem
from tasks.refusal import Refusal, did_you_mean

OF_LABELS = [name for name, metric in METRICS.items() if metric.is_of_labels]
COSTS = "costs=[[0,1],[5,0]], with a row and a column for each class"


def asked_of(composed: Composed) -> Asked:
    """
    Raises:
        Refusal: for what can't be, whatever the classes are; all faults at once.
    """
    config = composed.config
    if faults := [*_threshold_faults(config.threshold), *_cost_faults(config.costs), *_both(composed)]:
        raise Refusal(*faults)
    node: dict[str, Any] = config.calibration
    made = build(node, "calibration", config.allow_packages) if "_target_" in node else None
    return Asked(made, config.threshold, config.costs)


def check(composed: Composed, problem: Problem) -> None:
    """
    Raises:
        Refusal: for what doesn't fit the problem, all faults at once.
    """
    if faults := list(_unfit(composed, problem)):
        raise Refusal(*faults)


def _both(composed: Composed) -> Iterator[str]:
    threshold, costs = composed.config.threshold, composed.config.costs
    if threshold is not None and costs is not None:
        yield (
            f"threshold={threshold} and costs={_written(costs)}: each decides which class is taken; leave one out "
            "(costs=[[0,0.3],[0.7,0]] are threshold=0.3)."
        )


def _threshold_faults(threshold: Any) -> Iterator[str]:
    if threshold is None:
        return
    ways = f"give a number, or a metric that it is tuned for: {', '.join(OF_LABELS)}."
    if isinstance(threshold, str) and threshold in METRICS and threshold not in OF_LABELS:
        yield f"threshold={threshold}: no threshold changes this metric; {ways}"
    elif isinstance(threshold, str) and threshold not in OF_LABELS:
        yield f"threshold={threshold}: no such metric{did_you_mean(threshold, OF_LABELS)} {ways.capitalize()}"
    elif not isinstance(threshold, str) and not (_is_number(threshold) and 0 < threshold < 1):
        yield f"threshold={threshold}: a probability lies between 0 and 1; {ways}"


def _cost_faults(costs: Any) -> Iterator[str]:
    if costs is None:
        return
    given, rows = f"costs={_written(costs)}", costs if isinstance(costs, list) else []
    if len(rows) < 2 or any(not isinstance(row, list) or len(row) != len(rows) for row in rows):
        yield f"{given}: it is no square; write {COSTS}."
        return
    numbers = [cost for row in rows for cost in row]
    if not all(_is_number(cost) and math.isfinite(cost) and cost >= 0 for cost in numbers):
        yield f"{given}: a cost is a number of at least 0; what a right label earns is a cost of the others."
    elif not any(numbers):
        yield f"{given}: where nothing costs anything any class will do; leave costs out."


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _unfit(composed: Composed, problem: Problem) -> Iterator[str]:
    config, k = composed.config, len(problem.classes)
    asked = {"threshold": config.threshold, "costs": config.costs}
    if config.calibration:
        asked["calibration"] = composed.choices["calibration"]
    if not problem.is_classification:
        for key, value in asked.items():
            if value is not None:
                what = _written(value) if key == "costs" else value
                yield f"{key}={what}: {problem.target} poses a {problem.kind}, which has no classes; leave {key} out."
        return
    if config.threshold is not None and k != 2:
        yield (
            f"threshold={config.threshold} is for two classes, and {problem.target} has {k}; say by costs what each "
            "mistake costs, or leave it out."
        )
    if config.costs is not None and len(config.costs) != k:
        classes = ", ".join(map(str, problem.classes))
        yield (
            f"costs={_written(config.costs)} is for {len(config.costs)} classes, and {problem.target} has {k}; give "
            f"{k} rows of {k} numbers, in the order {classes}."
        )


def _written(costs: Any) -> str:
    return str(costs).replace(" ", "")
