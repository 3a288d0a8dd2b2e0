"""`python -m benchmarks.promotion pairs=500`: how often the gate promotes a challenger that is no better than the
champion, and how often one that is.

Predictions of pairs of models for synthetic rows of two classes go through the very rule of `promotion=gate`. A row
has a true chance of class 1; both models know it with an error of their own on the scale of log-odds, and one that
they share. Equally good: errors of one size; of those that lean each towards another class, the champion's log-odds
are higher by as much as the challenger's are lower. Better: the champion's error is so much larger that it has two
points of accuracy less, for pairs of models that disagree on few rows, and on many. As cheap as the champion, unless
it says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from benchmarks import arguments, report
from flows.build import build
from flows.config import compose
from tasks.metric import Floats
from tasks.promotion import Contest, Duel
from tasks.promotion.gate import Gate
from tasks.records import Footprint, Problem

PROBLEM = Problem("binary", "y", ("no", "yes"))
SIGNAL = 2.0  # standard deviation of the true log-odds
MANY = np.random.default_rng(1).normal(size=(4, 400_000))  # what accuracies are tuned on
METRICS = ("accuracy", "roc_auc", "log_loss")
HEADINGS = ("challenger", "rows", "metric", "rows of different class", "promoted")
SAME, CHEAPER = Footprint(1.0, 1.0), Footprint(0.5, 0.5)


@dataclass(frozen=True)
class Pair:
    """Standard deviations of the errors: what both have in common, and each one's own. lean: of the champion towards
    class 1, and of the challenger towards class 0, in log-odds."""

    shared: float
    champion: float
    challenger: float
    lean: float = 0.0

    def drawn(self, n: int, seed: int) -> tuple[Floats, Floats, Floats]:
        """y, (n,), and both predictions, (n, 2)."""
        random = np.random.default_rng(seed)
        truth, common, *own = random.normal(size=(4, n))
        y = (random.random(n) < expit(SIGNAL * truth)).astype(np.float64)
        both = [
            expit(SIGNAL * truth + self.shared * common + size * error + lean)
            for size, error, lean in zip((self.champion, self.challenger), own, (self.lean, -self.lean), strict=True)
        ]
        champion, challenger = (np.column_stack([1 - p, p]) for p in both)
        return y, champion, challenger


def accuracy(shared: float, own: float) -> float:
    """Expected, of a model with such errors."""
    truth, common, error, _ = MANY
    chance = expit(SIGNAL * truth)
    return float(np.mean(np.where(SIGNAL * truth + shared * common + own * error > 0, chance, 1 - chance)))


def disagreement(pair: Pair) -> float:
    """The share of rows to which the two give different classes."""
    truth, common, *own = MANY
    log_odds = SIGNAL * truth + pair.shared * common
    return float(np.mean((log_odds + pair.champion * own[0] > 0) != (log_odds + pair.challenger * own[1] > 0)))


def worse_by(shared: float, own: float, points: float) -> float:
    """The own error at which a model has so many points of accuracy less."""
    wanted = accuracy(shared, own) - points / 100
    return float(brentq(lambda size: accuracy(shared, size) - wanted, own, 20.0, xtol=1e-3))


def promoted(gate: Gate, pair: Pair, metric: str, n: int, n_pairs: int, after: Footprint) -> int:
    """Of so many pairs."""
    found = 0
    for seed in range(n_pairs):
        y, champion, challenger = pair.drawn(n, seed)
        constant = np.tile([1 - y.mean(), y.mean()], (n, 1))
        duel = Duel(PROBLEM, metric, y, champion, challenger, constant, costs=(SAME, after), seed=seed)
        found += gate.rule(Contest(1, duel, "", after)).promotes
    return found


def cases() -> Iterator[tuple[str, Pair, int, str, Footprint]]:
    """What the challenger is, the two models, rows, metric, and what the challenger comes to."""
    for n in (100, 500, 2_000):
        for metric in METRICS:
            yield "equally good", Pair(0.8, 0.5, 0.5), n, metric, SAME
    for metric in METRICS:
        yield "equally good, each leaning to another class", Pair(0.8, 0.2, 0.2, lean=0.3), 500, metric, SAME
    for shared, own in ((0.8, 0.2), (0.2, 1.0)):
        better = Pair(shared, worse_by(shared, own, 2.0), own)
        for metric in METRICS:
            yield "2 points of accuracy better", better, 2_000, metric, SAME
    yield "equally good, half as large and slow", Pair(0.8, 0.2, 0.2), 2_000, "roc_auc", CHEAPER
    worse = Pair(0.8, 0.2, worse_by(0.8, 0.2, 2.0))
    yield "2 points of accuracy worse, half as large and slow", worse, 2_000, "roc_auc", CHEAPER


def main() -> None:
    n_pairs = report.argument("pairs", 500)
    rows, metrics = arguments.numbers("rows", (100, 500, 2_000)), arguments.names("metrics", list(METRICS))
    arguments.check(("pairs", "rows", "metrics"))
    gate = build(compose(["promotion=gate"]).config.promotion, "promotion")
    lines = []
    for what, pair, n, metric, after in cases():
        if n in rows and metric in metrics:
            n_promoted = promoted(gate, pair, metric, n, n_pairs, after)
            share = f"{n_promoted / n_pairs:.1%} ({n_promoted} of {n_pairs})"
            lines.append([what, f"{n:,}", metric, f"{disagreement(pair):.1%}", share])
    print(report.table(HEADINGS, lines))
    print(f"\n{report.machine(1)}")


if __name__ == "__main__":
    main()
