"""The monitor's false alarms on rows without drift, and how many rows it takes to see a shift.

    python -m benchmarks.monitor [runs=200] [rows=200,1000,10000,100000] [trained_on=20000] [columns=50]

Columns are numbers, counts, levels and rare levels in turn, correlated by common factors, some with missing values;
each run draws another reference, of `trained_on` rows. Ends with status 1 where in more than 5 % of the runs without
drift a column is significant.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks import arguments
from benchmarks.report import table
from flows.config import compose
from tasks.drift import Drift, drifts
from tasks.histogram import Histogram, kind_of
from tasks.metric import Floats
from tasks.remedy import Rules

Change = Callable[[Floats, np.random.Generator], Floats]  # of the (n, columns) normal scores that columns are made of
N_FACTORS, MOST_FALSE = 5, 0.05
SIZES = (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
N_SEEN = 20  # runs for each shift and size; seen: in at least nine of ten


@dataclass(frozen=True)
class Shift:
    """A change of the rows. missing: the share of values that are lost in the first column."""

    name: str
    change: Change
    missing: float = 0.0


def main() -> None:
    arguments.check(("runs", "rows", "trained_on", "columns"))
    (n_runs,), (trained_on,) = arguments.numbers("runs", [200]), arguments.numbers("trained_on", [20_000])
    (n_columns,) = arguments.numbers("columns", [50])
    rules = compose([]).config.monitor
    head = ("rows", "a column significant", "a column drifted", "largest PSI")
    rows = []
    worst = 0.0
    for n_rows in arguments.numbers("rows", [200, 1_000, 10_000, 100_000]):
        found = [look(n_rows, trained_on, n_columns, seed, None, rules) for seed in range(n_runs)]
        significant = np.mean([any(one.adjusted <= rules.false_alarms for one in run) for run in found])
        drifted = np.mean([any(one.is_drifted for one in run) for run in found])
        worst = max(worst, float(drifted), float(significant))
        largest = max(one.psi for run in found for one in run)
        rows.append((f"{n_rows:,}", f"{significant:.1%}", f"{drifted:.1%}", f"{largest:.3f}"))
        print(rows[-1], file=sys.stderr, flush=True)
    print(table(head, rows), "\n")
    seen = [(shift.name, *first_seen(shift, trained_on, n_columns, rules)) for shift in SHIFTS]
    print(table(("change", "PSI", "rows until it is called drifted", "until it is significant"), seen))
    sys.exit(int(worst > MOST_FALSE))


def counted(rows: pd.DataFrame) -> dict[str, Histogram]:
    return {str(name): Histogram.of(values, kind_of(values)) for name, values in rows.items()}


def look(
    n_rows: int, trained_on: int, n_columns: int, seed: int, shift: Shift | None, rules: Rules
) -> tuple[Drift, ...]:
    generator = np.random.default_rng(seed)
    mixing = generator.standard_normal((N_FACTORS, n_columns)) * 0.5
    reference = counted(rows_of(scores(trained_on, mixing, generator), generator))
    return looked(reference, n_rows, mixing, generator, shift, rules)


def looked(
    reference: Mapping[str, Histogram], n_rows: int, mixing: Floats, generator: np.random.Generator,
    shift: Shift | None, rules: Rules,
) -> tuple[Drift, ...]:  # fmt: skip
    z = scores(n_rows, mixing, generator)
    now = rows_of(z if shift is None else shift.change(z, generator), generator)
    if shift is not None and shift.missing:
        first = now.columns[0]
        now[first] = now[first].mask(generator.random(n_rows) < shift.missing)
    counts = {name: column.counted(now[name]) for name, column in reference.items()}
    return drifts(reference, counts, false_alarms=rules.false_alarms, psi=rules.psi.drifted)


def scores(n_rows: int, mixing: Floats, generator: np.random.Generator) -> Floats:
    """(n_rows, columns) normal numbers of variance one, correlated."""
    z = generator.standard_normal((n_rows, len(mixing))) @ mixing + generator.standard_normal((n_rows, mixing.shape[1]))
    made: Floats = z / np.sqrt(1 + np.square(mixing).sum(axis=0))
    return made


def rows_of(z: Floats, generator: np.random.Generator) -> pd.DataFrame:
    """Columns of five kinds in turn: numbers, numbers with missing ones, counts, levels, rare levels."""
    columns: dict[str, pd.Series[float] | pd.Series[str]] = {}
    for place in range(z.shape[1]):
        values = z[:, place]
        kind = place % 5
        if kind == 0:
            columns[f"number {place}"] = pd.Series(values)
        elif kind == 1:
            columns[f"gaps {place}"] = pd.Series(np.exp(values)).mask(generator.random(len(z)) < 0.1)
        elif kind == 2:
            columns[f"count {place}"] = pd.Series(np.floor(np.exp(values) * 2))
        elif kind == 3:
            columns[f"level {place}"] = levels(np.floor(values * 1.5))
        else:
            columns[f"rare {place}"] = levels(np.floor(np.exp(2 * values)).clip(max=400))
    return pd.DataFrame(columns)


def levels(values: Floats) -> pd.Series[str]:
    return pd.Series(np.char.add("l", values.astype(np.int64).astype(str)), dtype="str")


def first_seen(shift: Shift, trained_on: int, n_columns: int, rules: Rules) -> tuple[str, str, str]:
    """The PSI that the change comes to, and from how many rows on nine runs in ten see it: by test and effect, and by
    the test alone."""
    generator = np.random.default_rng(1)
    mixing = generator.standard_normal((N_FACTORS, n_columns)) * 0.5
    reference = counted(rows_of(scores(trained_on, mixing, generator), generator))
    seen: list[int | None] = [None, None]
    psi = 0.0
    for n_rows in SIZES:
        found = [looked(reference, n_rows, mixing, generator, shift, rules) for _ in range(N_SEEN)]
        shares = (
            np.mean([any(one.is_drifted for one in run) for run in found]),
            np.mean([any(one.adjusted <= rules.false_alarms for one in run) for run in found]),
        )
        seen = [
            was if was is not None else n_rows if share >= 0.9 else None
            for was, share in zip(seen, shares, strict=True)
        ]
        psi = float(np.mean([max(one.psi for one in run) for run in found]))
        if None not in seen:
            break
    print(shift.name, psi, seen, file=sys.stderr, flush=True)
    told = ["never" if n is None and not which else "more" if n is None else f"{n:,}" for which, n in enumerate(seen)]
    return f"{psi:.2f}", told[0], told[1]


def moved(by: float, place: int | None) -> Change:
    """One column, or all of them, by so many standard deviations."""
    def change(z: Floats, generator: np.random.Generator) -> Floats:
        shift = np.zeros(z.shape[1])
        shift[slice(None) if place is None else place] = by
        return z + shift
    return change


SHIFTS = (
    *(Shift(f"one number moves by {by:g} standard deviations", moved(by, 0)) for by in (0.1, 0.3, 0.5, 1.0)),
    *(Shift(f"all columns move by {by:g}", moved(by, None)) for by in (0.1, 0.3, 0.5)),
    *(Shift(f"levels move by {by:g}", moved(by, 3)) for by in (0.3, 0.5, 1.0)),
    *(Shift(f"{share:.0%} of a number go missing", moved(0, 0), share) for share in (0.01, 0.05, 0.2)),
)

if __name__ == "__main__":
    main()
