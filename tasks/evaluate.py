"""Evaluate: open the holdout's labels, once, and judge the final model on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import decision as decisions
from tasks import looks, parquet
from tasks import metric as metrics
from tasks import model as models
from tasks.bootstrap import intervals, resamples_for
from tasks.constant import constant
from tasks.decision import labels_of
from tasks.linear_baseline import fitted_linear
from tasks.loss import Loss
from tasks.model import Fitted, Floats, Model
from tasks.records import Evaluation, HoldoutScore, Problem, Split, Trained
from tasks.store import write_file

N_RESAMPLES = 1_000  # fewer on large holdouts
# Of fewer rows, or groups, the interval is too narrow to be shown: of 10 rows of a normal law a mean's interval holds
# the truth in 90 % of samples, of 20 in 93 %.
FEWEST_UNITS = 20

# Given the file of the sealed labels and the digest of the model, notes the look and gives the MLflow runs of all looks
# so far.
Look = Callable[[Path, str], tuple[str, ...]]


@task(name="evaluate", task_run_name="evaluate", cache_policy=NO_CACHE, persist_result=False)
def evaluate(
    split: Split,
    trained: Trained,
    problem: Problem,
    loss: Loss,
    metric: str,
    seed: int,
    look: Look,
    linear: Model,
    text: Sequence[str] = (),
) -> Evaluation:
    """The selected metric and every other that fits the problem, with its 95 % bootstrap interval beside that of a
    constant predictor and of a linear model, and the predictions beside the model for the stages after this one.
    Features are read and predicted part by part. Rows are labelled by the model's own decision, for all three.

    look: called before a label is read, see `tasks.looks`. linear: the family that the linear model is of. text: the
    features that are prose, which it doesn't see.
    """
    folder, model = Path(split.folder), models.load(Path(trained.folder))
    prediction = _predicted(model, folder)
    reference = fitted_linear(folder, problem, loss, linear, text)
    of_linear = None if reference is None else _predicted(reference, folder)
    sealed = folder / "holdout_labels.parquet"
    looked = look(sealed, looks.model_digest(prediction, Path(trained.folder)))
    roles = pd.read_parquet(sealed)
    y = roles["target"].to_numpy(dtype=np.float64)
    baseline = constant(pd.read_parquet(folder / "train_roles.parquet"), problem, loss, y)
    decision = decisions.read(Path(trained.folder))

    def labelled(predicted: Floats) -> metrics.Integers | None:
        return labels_of(predicted, decision) if problem.is_classification else None

    names = tuple(dict.fromkeys((metric, *metrics.for_problem(problem.kind))))
    scores = _scores(names, roles, prediction, baseline, of_linear, labelled, seed)
    plain = roles.drop(columns="weight", errors="ignore")
    unweighted = None
    if "weight" in roles:
        unweighted = _scores([metric], plain, prediction, baseline, of_linear, labelled, seed)[metric]
    table = _table(roles, prediction, labelled(prediction), problem)
    path = Path(f"{trained.folder}-predictions.parquet")
    write_file(path, lambda beside: table.to_parquet(beside, index=False))
    return Evaluation(str(path), scores, len(looked), looked, unweighted=unweighted)


def _predicted(model: Fitted, split: Path) -> Floats:
    return np.concatenate([model.predict(X) for X in parquet.frames(split / "holdout_features.parquet")])


def _scores(
    names: Sequence[str],
    roles: pd.DataFrame,
    prediction: Floats,
    baseline: Floats,
    linear: Floats | None,
    labelled: Callable[[Floats], metrics.Integers | None],
    seed: int,
) -> dict[str, HoldoutScore]:
    y = roles["target"].to_numpy(dtype=np.float64)
    weight = roles["weight"].to_numpy(dtype=np.float64) if "weight" in roles else None
    groups = pd.factorize(roles["group"], sort=True)[0] if "group" in roles else None
    sure = dict.fromkeys(names, (np.nan, np.nan))
    if (len(y) if groups is None else len(np.unique(groups))) >= FEWEST_UNITS:
        n_resamples = resamples_for(len(y), N_RESAMPLES)
        sure = intervals(
            names, y, prediction, weight, groups=groups, labels=labelled(prediction), n_resamples=n_resamples, seed=seed
        )

    def value(name: str, predicted: Floats | None) -> float:
        return np.nan if predicted is None else metrics.value(name, y, predicted, weight, labelled(predicted))

    return {
        name: HoldoutScore(value(name, prediction), *sure[name], value(name, baseline), value(name, linear))
        for name in names
    }


def _table(
    roles: pd.DataFrame, prediction: Floats, labels: metrics.Integers | None, problem: Problem
) -> pd.DataFrame:
    columns = dict(zip(problem.outputs, np.atleast_2d(prediction.T), strict=True))
    return pd.DataFrame({"target": roles["target"], **({} if labels is None else {"prediction": labels}), **columns})
