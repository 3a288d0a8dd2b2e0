"""How a benchmark reports: one Markdown table, and the machine and versions that it holds for."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from statistics import median

PACKAGES = ("prefect", "mlflow", "optuna", "lightgbm", "scikit-learn", "pandas")


def argument(name: str, default: int) -> int:
    """`name=value` from the command line."""
    for text in sys.argv[1:]:
        key, _, value = text.partition("=")
        if key == name:
            return int(value)
    return default


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def spread(values: Sequence[float], digits: int = 1) -> str:
    """`12.3 (11.9 to 13.0)`: the median and the range."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def machine(repeats: int) -> str:
    """One line: cores, load at the end, versions, repeats."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f"load {os.getloadavg()[0]:.1f} at the end"
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{platform.system()} {platform.machine()}, {n_cores} cores ({load}), Python {platform.python_version()}, "
        f"{versions}; {repeats} repeats"
    )
