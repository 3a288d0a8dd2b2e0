"""Generate: what a model writes for prompts of the holdout, beside the reference and what its base wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import model as models
from tasks import pairs, parquet
from tasks.bootstrap import middle, resampled, resamples_for
from tasks.check.duplicates import wilson
from tasks.check.slices import slices_of
from tasks.metric import Floats
from tasks.model import Writes
from tasks.overlap import is_exact, token_f1
from tasks.records import Generated, Split, Trained
from tasks.slices import held_slices
from tasks.source_rows import evenly
from tasks.store import write_file
from tasks.verdict import Number

N_ROWS = 200  # of the holdout for which something is written: a response takes as many passes as it has tokens
N_RESAMPLES = 1_000
LEAST_ROWS = 10  # of what is judged: of fewer an interval says little
SLICE = "slice "  # before the name of a column


@task(name="generate", task_run_name="generate", cache_policy=NO_CACHE, persist_result=False)
def generate(split: Split, trained: Trained, base: Path | None, slices: str, seed: int) -> Generated:
    """For `N_ROWS` rows of the holdout, taken evenly; the most probable token each time, so that the same model writes
    the same. base: the folder of the model that was gone on from, or None. slices: the table's file of slices, or
    ''."""
    file = Path(split.folder) / "holdout_features.parquet"
    rows = evenly(np.arange(pq.read_metadata(file).num_rows), N_ROWS)
    prompts, references = pairs.asked(parquet.take(file, rows))
    after = _written(Path(trained.folder), prompts)
    table = pd.DataFrame({"prompt": prompts, "reference": references, "after": after})
    before = dict[str, Number]()
    if base is not None and (models.own_files(base) / models.FAMILY).exists():
        table.insert(2, "before", _written(base, prompts))
        before = scores(table["before"].tolist(), references, seed)
    table = table.assign(**_of_rows(after, references))
    if slices:
        labels = held_slices(Path(slices), Path(split.folder)).iloc[rows].reset_index(drop=True)
        table = pd.concat([table, labels.add_prefix(SLICE)], axis=1)
    path = Path(f"{trained.folder}-generations.parquet")
    write_file(path, lambda beside: table.to_parquet(beside, index=False))
    return Generated(str(path), len(table), scores(after, references, seed), before, _by_slice(table, seed))


def _written(folder: Path, prompts: Sequence[str]) -> list[str]:
    fitted = models.load(folder)
    assert isinstance(fitted, Writes)
    return fitted.respond(prompts)


def _of_rows(written: Sequence[str], references: Sequence[str]) -> dict[str, Floats]:
    """(n,) each."""
    both = list(zip(written, references, strict=True))
    return {
        "exact_match": np.array([is_exact(*one) for one in both], dtype=np.float64),
        "token_f1": np.array([token_f1(*one) for one in both], dtype=np.float64),
    }


def scores(written: Sequence[str], references: Sequence[str], seed: int) -> dict[str, Number]:
    """The mean over the rows with its 95 % interval, which fewer than `LEAST_ROWS` have none of: of the exact matches
    Wilson's, of F1 the bootstrap's."""
    exact, f1 = _of_rows(written, references).values()
    if len(f1) < LEAST_ROWS:
        return {"exact_match": Number(float(exact.mean())), "token_f1": Number(float(f1.mean()))}
    value, found = resampled(
        lambda weights: (weights @ f1 / weights.sum(axis=1))[:, None], np.zeros(len(f1)),
        n_resamples=resamples_for(len(f1), N_RESAMPLES), seed=seed,
    )  # fmt: skip
    return {
        "exact_match": Number(float(exact.mean()), *wilson(int(exact.sum()), len(exact))),
        "token_f1": Number(float(value[0]), *middle(found[:, 0])),
    }


def _by_slice(table: pd.DataFrame, seed: int) -> dict[str, dict[str, Number]]:
    """Of every slice of enough rows."""
    labels = table[[name for name in table if str(name).startswith(SLICE)]]
    found = {}
    for one in slices_of(labels.rename(columns=lambda name: name.removeprefix(SLICE))):
        rows = table.iloc[one.rows]
        if len(rows) >= LEAST_ROWS:
            own = scores(rows["after"].tolist(), rows["reference"].tolist(), seed)
            found[one.name] = {"rows": Number(len(rows)), **own}
    return found
