"""Slices: whether a part of the rows is served worse by the challenger."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.bootstrap import middle
from tasks.check.slices import Slice, is_judged, listed, n_units, one_sided, slices_of
from tasks.holm import holm
from tasks.metric import Statistic
from tasks.promotion import Duel
from tasks.verdict import Finding, Number


def judged(duel: Duel, level: float, least_rows: int, least_of_a_class: int, n_resamples: int) -> Finding:
    """The scores of both on each slice, on the same resamples, and whether one got significantly worse, corrected for
    the number of slices (Holm 1979). Slices on which the metric isn't defined are named, not judged."""
    assert duel.slices is not None
    every = slices_of(duel.slices)
    large = [one for one in every if is_judged(duel.problem, duel.y, one, least_rows, least_of_a_class)]
    parts = _parts(duel, large, n_resamples) if large else {}
    left_out = [f"{one.name} ({len(one.rows):,})" for one in every if one.name not in parts]
    why = f"not judged, of too few rows or too few of a class, or without a defined {duel.metric}: "
    few = listed(why, left_out)
    if not parts:
        return Finding("slices", "not_measurable", few, {})
    worse = [name for name, part in parts.items() if part["p"].value < level]
    if not worse:
        return Finding("slices", "passed", few, {}, parts)
    said = f"significantly worse (promotion.slice_level={level:g}, corrected for {len(parts)} slices): "
    return Finding("slices", "failed", "; ".join(filter(None, [listed(said, worse), few])), {}, parts)


def _parts(duel: Duel, large: Sequence[Slice], n_resamples: int) -> dict[str, dict[str, Number]]:
    """Of each slice that has a score: rows, both scores, by how much it is worse, and the corrected p."""
    champion, challenger = zip(*(_of(duel, one) for one in large), strict=True)
    scores = (*champion, *challenger)
    value, found = duel.resampled(lambda w: np.stack([score(w) for score in scores], axis=1), n_resamples)
    n = len(large)
    worse, resamples = duel.sign * (value[:n] - value[n:]), duel.sign * (found[:, :n] - found[:, n:])
    defined = [i for i in range(n) if np.isfinite(worse[i])]
    p = holm([one_sided(float(worse[i]), resamples[:, i], n_units(large[i].rows, duel.groups)) for i in defined])
    return {
        large[i].name: {
            "rows": Number(len(large[i].rows)),
            "champion": Number(float(value[i]), *middle(found[:, i])),
            "challenger": Number(float(value[n + i]), *middle(found[:, n + i])),
            "worse_by": Number(float(worse[i]), *middle(resamples[:, i])),
            "p": Number(adjusted),
        }
        for i, adjusted in zip(defined, p, strict=True)
    }


def _of(duel: Duel, one: Slice) -> tuple[Statistic, Statistic]:
    """Of the weights of all rows."""
    champion, challenger = duel.statistics(one.rows)
    return (
        lambda weights: champion(np.take(weights, one.rows, axis=1)),
        lambda weights: challenger(np.take(weights, one.rows, axis=1)),
    )
