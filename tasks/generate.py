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
from tasks.metric import Floats
from tasks.model import Writes
from tasks.overlap import is_exact, token_f1
from tasks.records import Generated, Split, Trained
from tasks.source_rows import evenly
from tasks.store import write_file
from tasks.verdict import Number

N_ROWS = 200  # of the holdout for which something is written: a response takes as many passes as it has tokens
N_RESAMPLES = 1_000


@task(name="generate", task_run_name="generate", cache_policy=NO_CACHE, persist_result=False)
def generate(split: Split, trained: Trained, base: Path | None, seed: int) -> Generated:
    """For `N_ROWS` rows of the holdout, taken evenly; the most probable token each time, so that the same model writes
    the same. base: the folder of the model that was gone on from, or None."""
    file = Path(split.folder) / "holdout_features.parquet"
    n_rows = pq.read_metadata(file).num_rows
    prompts, references = pairs.asked(parquet.take(file, evenly(np.arange(n_rows), N_ROWS)))
    after = _written(Path(trained.folder), prompts)
    table = pd.DataFrame({"prompt": prompts, "reference": references, "after": after})
    before = dict[str, Number]()
    if base is not None and (models.own_files(base) / models.FAMILY).exists():
        table.insert(2, "before", _written(base, prompts))
        before = scores(table["before"].tolist(), references, seed)
    table = table.assign(**_of_rows(after, references))
    path = Path(f"{trained.folder}-generations.parquet")
    write_file(path, lambda beside: table.to_parquet(beside, index=False))
    return Generated(str(path), len(table), scores(after, references, seed), before)


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
    """The mean over the rows with its 95 % bootstrap interval."""
    of_rows = _of_rows(written, references)
    each = np.stack(list(of_rows.values()), axis=1)
    value, found = resampled(
        lambda weights: weights @ each / weights.sum(axis=1, keepdims=True), np.zeros(len(each)),
        n_resamples=resamples_for(len(each), N_RESAMPLES), seed=seed,
    )  # fmt: skip
    return {name: Number(float(value[k]), *middle(found[:, k])) for k, name in enumerate(of_rows)}
