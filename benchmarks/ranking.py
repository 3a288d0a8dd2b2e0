"""What the results of the quality benchmark say: who is how far behind whom, and how sure that is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from benchmarks.entrants import OWN
from benchmarks.report import table as markdown
from benchmarks.tables import Divided
from tasks.metric import METRICS, Floats

N_RESAMPLES, CHUNK_CELLS, SEED = 500, 1_000_000, 0
HEADINGS = (
    "", "seeds", "score", "behind the best", "standard error", "within", "until fitted, s", "whole process, s",
    "others' CPU",
)  # fmt: skip


@dataclass(frozen=True)
class Standing:
    """A peer on a table: the median score over its seeds, how much worse than the best peer's that is (at least 0),
    and the standard error of that difference over resamples of the holdout's rows, the same for both."""

    peer: str
    scores: tuple[float, ...]
    behind: float
    error: float
    rows: tuple[dict[str, Any], ...]

    @property
    def is_within(self) -> bool:
        return self.behind <= self.error


def report(rows: Sequence[dict[str, Any]], folder: Path) -> str:
    """Markdown, by budget: a table for each table, and the mean ranks. `predictions/` and `tables/` are in `folder`."""
    texts = []
    for seconds in sorted({row["seconds"] for row in rows}):
        latest = newest([row for row in rows if row["seconds"] == seconds])
        names = list(dict.fromkeys(row["table"] for row in latest))
        on_tables = {name: standings(name, [row for row in latest if row["table"] == name], folder) for name in names}
        texts += [f"### {seconds} s"]
        texts += [section(name, found, latest, seconds) for name, found in on_tables.items() if found]
        texts += ["Mean ranks", mean_ranks(on_tables)]
    return "\n\n".join(texts)


def newest(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the code and the data that ran last, of each peer and of each table."""
    code = {row["peer"]: row["code"] for row in rows}
    data = {row["table"]: row["data"] for row in rows}
    return [row for row in rows if code[row["peer"]] == row["code"] and data[row["table"]] == row["data"]]


def standings(name: str, rows: Sequence[dict[str, Any]], folder: Path) -> list[Standing]:
    """The peers that finished at least once, the best first."""
    finished = [row for row in rows if row["state"] == "finished" and np.isfinite(row["score"])]
    if not finished:
        return []
    table = Divided(**json.loads((folder / "tables" / name / "table.json").read_text()))
    sign, by_peer = METRICS[table.metric].sign, {}
    for row in finished:
        by_peer.setdefault(row["peer"], []).append(row)
    middle = {peer: sign * median(row["score"] for row in own) for peer, own in by_peer.items()}
    best = max(middle, key=lambda peer: middle[peer])
    resampled = {peer: sign * resampled_median(table, own, folder) for peer, own in by_peer.items()}
    found = [
        Standing(
            peer, tuple(row["score"] for row in own), middle[best] - middle[peer],
            float(np.nanstd(resampled[best] - resampled[peer], ddof=1)), tuple(own),
        )
        for peer, own in by_peer.items()
    ]  # fmt: skip
    return sorted(found, key=lambda standing: standing.behind)


def resampled_median(table: Divided, rows: Sequence[dict[str, Any]], folder: Path) -> Floats:
    """The median over the seeds of the metric, on each resample: (N_RESAMPLES,)."""
    y = table.y_test()
    predictions = [as_prediction(pd.read_parquet(folder / row["predictions"])) for row in rows]
    statistics = [METRICS[table.metric].statistic(y, prediction) for prediction in predictions]
    parts = [
        np.median([statistic(weights) for statistic in statistics], axis=0)
        for weights in resamples(y, is_stratified=table.problem != "regression")
    ]
    return np.concatenate(parts)


def resamples(y: Floats, *, is_stratified: bool) -> Iterator[Floats]:
    """How often each row is drawn, with replacement, within its class where there are classes: (some, n)."""
    generator = np.random.default_rng(SEED)
    strata = [np.flatnonzero(y == code) for code in np.unique(y)] if is_stratified else [np.arange(len(y))]
    n_chunk = max(1, CHUNK_CELLS // len(y))
    for start in range(0, N_RESAMPLES, n_chunk):
        weights = np.empty((min(n_chunk, N_RESAMPLES - start), len(y)))
        for rows in strata:
            weights[:, rows] = generator.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=len(weights))
        yield weights


def as_prediction(table: pd.DataFrame) -> Floats:
    """(n, k), or (n,) of one column."""
    values = table.to_numpy(dtype=np.float64)
    return values[:, 0] if values.shape[1] == 1 else values


def section(name: str, found: Sequence[Standing], rows: Sequence[dict[str, Any]], seconds: int) -> str:
    """One table, with who didn't finish below it."""
    metric = found[0].rows[0]["metric"]
    digits = 4 if max(found[0].scores) < 10 else 1
    lines = [line(standing, digits, seconds) for standing in found]
    own = [standing for standing in found if standing.peer.startswith(OWN)]
    verdict = "; ".join(
        f"{standing.peer} is {'the best' if not standing.behind else 'within' if standing.is_within else 'NOT within'}"
        for standing in own
    )
    lost = [
        f"{row['peer']} (seed {row['seed']}) {row['state']} after {row['watched']['seconds']:.0f} s"
        for row in rows
        if row["table"] == name and row["state"] != "finished"
    ]
    notes = ". ".join(part for part in (verdict, "; ".join(lost)) if part)
    return f"**{name}**, {metric}\n\n{markdown(HEADINGS, lines)}\n\n{notes}."


def line(standing: Standing, digits: int, seconds: int) -> list[str]:
    low, high = min(standing.scores), max(standing.scores)
    fitted = median(row["fit_seconds"] for row in standing.rows)
    taken = median(row["watched"]["seconds"] for row in standing.rows)
    foreign = max(row["watched"]["foreign_share"] for row in standing.rows)
    return [
        standing.peer,
        str(len(standing.scores)),
        f"{median(standing.scores):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})",
        f"{standing.behind:.{digits}f}",
        f"{standing.error:.{digits}f}",
        "yes" if standing.is_within else "no",
        f"{fitted:.0f} of {seconds}",
        f"{taken:.0f}",
        f"{100 * foreign:.0f} %",
    ]


def mean_ranks(on_tables: dict[str, list[Standing]]) -> str:
    """The mean over the tables of each peer's rank; who didn't finish on a table is last there."""
    peers = sorted({standing.peer for found in on_tables.values() for standing in found})
    ranks: dict[str, list[float]] = {peer: [] for peer in peers}
    for found in on_tables.values():
        behind = {standing.peer: standing.behind for standing in found}
        for peer, rank in zip(peers, rankdata([behind.get(peer, np.inf) for peer in peers]), strict=True):
            ranks[peer].append(float(rank))
    n_within = {
        peer: sum(standing.is_within for found in on_tables.values() for standing in found if standing.peer == peer)
        for peer in peers
    }
    rows = [
        [peer, f"{fmean(ranks[peer]):.2f}", f"{n_within[peer]} of {len(on_tables)}"]
        for peer in sorted(peers, key=lambda peer: fmean(ranks[peer]))
    ]
    return markdown(("", "mean rank", "best or within"), rows)
