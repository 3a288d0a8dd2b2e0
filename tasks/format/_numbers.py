"""Numbers through piecewise linear functions and scikit-learn's scalers, in float64, as nodes of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from tasks.format import _trees as trees
from tasks.format._graph import Graph

Floats = npt.NDArray[np.float64]
BOUND = 1e-7  # BOUNDS_THRESHOLD of sklearn/preprocessing/_data.py
# Wichura 1988, Algorithm AS 241 (PPND16): numerators and denominators from the constant on, within .425 of the middle,
# and from there to a probability of 1.4e-11.
INNER = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)  # fmt: skip
OUTER = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
     1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip


@dataclass(frozen=True)
class Pieces:
    """y + slope (x - begin) from one edge to the next: edges (m,) ascending, the others (m + 1,); an edge belongs to
    the piece before it."""

    edges: Floats
    begin: Floats
    y: Floats
    slope: Floats


def piecewise(graph: Graph, matrix: str, columns: Sequence[Pieces]) -> str:
    """(n, k) of (n, k), each column by its own pieces."""
    offsets = np.cumsum([0, *(len(one.begin) for one in columns[:-1])])
    place = graph("Add", trees.places(graph, matrix, [one.edges for one in columns]), offsets[None])

    def of_piece(values: list[Floats]) -> str:
        return graph("Gather", np.concatenate(values), place)

    along = graph("Sub", matrix, of_piece([one.begin for one in columns]))
    rise = graph("Mul", along, of_piece([one.slope for one in columns]))
    return graph("Add", of_piece([one.y for one in columns]), rise)


def interpolation(x: Floats, y: Floats) -> Pieces:
    """As `numpy.interp`: straight lines between points, and level beyond the first and the last. x: ascending; of
    points above each other a number that equals theirs gets the last."""
    x, first, count = np.unique(x, return_index=True, return_counts=True)
    below, above = y[first], y[first + count - 1]
    slope = np.concatenate([[0.0], (below[1:] - above[:-1]) / np.diff(x), [0.0]])
    edges = np.where(count > 1, np.nextafter(x, -np.inf), x)
    return Pieces(edges, np.concatenate([x[:1], x]), np.concatenate([below[:1], above]), slope)


def scaled(graph: Graph, matrix: str, scaler: Any) -> str:
    """What a pipeline of scikit-learn's scalers makes of (n, k); a missing value stays missing."""
    for step in scaler.named_steps.values():
        kind = type(step).__name__
        if kind == "QuantileTransformer":
            matrix = _ranked(graph, matrix, step)
        elif kind == "FunctionTransformer":
            matrix = graph.clip(matrix, float(step.kw_args["a_min"]), float(step.kw_args["a_max"]))
        else:
            center = step.center_ if kind == "RobustScaler" else step.mean_
            matrix = graph("Div", graph("Sub", matrix, center[None]), step.scale_[None])
    return matrix


def _ranked(graph: Graph, matrix: str, transformer: Any) -> str:
    """QuantileTransformer with a normal distribution."""
    columns = [rank_of(column, transformer.references_) for column in transformer.quantiles_.T]
    rank = piecewise(graph, matrix, columns)
    ends = norm.ppf([BOUND - np.spacing(1), 1 - (BOUND - np.spacing(1))])
    return graph.clip(normal_quantile(graph, rank), float(ends[0]), float(ends[1]))


def rank_of(quantiles: Floats, references: Floats) -> Pieces:
    """A number's rank, 0 to 1: between quantiles a straight line; where several are equal the middle of their ranks."""
    low, high = _last_below(quantiles[0]), np.nextafter(-_last_below(-quantiles[-1]), -np.inf)
    x, first, count = np.unique(quantiles, return_index=True, return_counts=True)
    last = first + count - 1
    is_tied = count > 1
    edges = np.unique(np.concatenate([[low, max(low, high)], x, np.nextafter(x[is_tied], -np.inf)]))
    edges = edges[(edges >= low) & (edges <= max(low, high))]
    begin, y, slope = np.zeros((3, len(edges) + 1))
    for piece, end in enumerate(edges[1:], start=1):
        i = min(int(np.searchsorted(x, end)), len(x) - 1)
        if is_tied[i] and end == x[i] and (edges[piece - 1] == np.nextafter(end, -np.inf)):
            y[piece] = (references[first[i]] + references[last[i]]) / 2
        elif i:
            begin[piece], y[piece] = x[i - 1], references[last[i - 1]]
            slope[piece] = (references[first[i]] - y[piece]) / (x[i] - x[i - 1])
    y[-1] = 1.0
    return Pieces(edges, begin, y, slope)


def _last_below(quantile: float) -> float:
    """The largest number that still counts as lying below all, as scikit-learn rounds: x - 1e-7 < quantile."""
    found = quantile + BOUND
    while found - BOUND < quantile:
        found = np.nextafter(found, np.inf)
    while not found - BOUND < quantile:
        found = np.nextafter(found, -np.inf)
    return float(found)


def normal_quantile(graph: Graph, rank: str) -> str:
    """The standard normal distribution's quantile function, to 1e-15, for ranks of 1e-7 to 1 - 1e-7; ranks beyond
    are taken for these."""
    rank = graph.clip(rank, BOUND / 2, 1 - BOUND / 2)
    middle = graph("Sub", rank, 0.5)
    near = graph("Sub", 0.180625, graph("Mul", middle, middle))
    inner = graph("Mul", middle, _ratio(graph, near, INNER))
    tail = graph("Min", rank, graph("Sub", 1.0, rank))
    far = graph("Sub", graph("Sqrt", graph("Neg", graph("Log", tail))), 1.6)
    outer = graph("Mul", graph("Sign", middle), _ratio(graph, far, OUTER))
    return graph("Where", graph("LessOrEqual", graph("Abs", middle), 0.425), inner, outer)


def _ratio(graph: Graph, x: str, of: tuple[Sequence[float], Sequence[float]]) -> str:
    return graph("Div", *(_polynomial(graph, x, coefficients) for coefficients in of))


def _polynomial(graph: Graph, x: str, coefficients: Sequence[float]) -> str:
    """By Horner's rule."""
    value = graph("Mul", x, coefficients[-1])
    for coefficient in coefficients[-2:0:-1]:
        value = graph("Mul", graph("Add", value, coefficient), x)
    return graph("Add", value, coefficients[0])
