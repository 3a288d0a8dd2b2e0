"""Crossovers of two genes in unit coordinates, for genetic searches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

ALPHA = 0.5  # how far beyond its parents a child may lie, in their distance; Eshelman and Schaffer 1993
ETA = 2.0  # distribution index; Deb and Agrawal 1995 use 2 to 5: smaller lies further from the parents

Crossover = Callable[[float, float, np.random.Generator], float]


def uniform(a: float, b: float, rng: np.random.Generator) -> float:
    """Either parent's (Syswerda 1989)."""
    return a if rng.random() < 0.5 else b


def blx_alpha(a: float, b: float, rng: np.random.Generator) -> float:
    """Anywhere between the parents and `ALPHA` of their distance beyond (Eshelman and Schaffer 1993, BLX-alpha)."""
    low, high = min(a, b), max(a, b)
    margin = ALPHA * (high - low)
    return float(np.clip(rng.uniform(low - margin, high + margin), 0, 1))


def sbx(a: float, b: float, rng: np.random.Generator) -> float:
    """Simulated binary crossover (Deb and Agrawal 1995, equations 5 and 6): near either parent, in proportion to
    their distance."""
    u = rng.random()
    beta = (2 * u) ** (1 / (ETA + 1)) if u <= 0.5 else (1 / (2 * (1 - u))) ** (1 / (ETA + 1))
    sign = 1 if rng.random() < 0.5 else -1
    return float(np.clip(0.5 * ((a + b) + sign * beta * (a - b)), 0, 1))


CROSSOVERS: dict[str, Crossover] = {"uniform": uniform, "blx_alpha": blx_alpha, "sbx": sbx}
