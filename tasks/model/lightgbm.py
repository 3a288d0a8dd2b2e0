"""Gradient-boosted trees by LightGBM (Ke et al. 2017), on bins that all trials of a study share."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

import lightgbm as lgb
import numpy as np
import pandas as pd
from pydantic import Field

from tasks import parquet
from tasks.loss import Loss
from tasks.model import (
    Contributions,
    Floats,
    Model,
    OutOfTimeError,
    Places,
    Training,
    Validated,
    Watch,
    own_files,
    rounds_left,
    unsupported,
    unwatched,
)
from tasks.model._booster import Form, InParts, Link, Matrix, leaf_counts, many
from tasks.model._encode import Levels, relative
from tasks.model._going_on import Knobs
from tasks.model._kept import Kept
from tasks.model._objective import IDENTITY, LOG, Look, Objective, can_be_log, start_at, trainable, weigh
from tasks.records import Footprint, Problem
from tasks.refusal import Refusal

SILENT = logging.getLogger("finefold.lightgbm")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False
# Parameters that decide how a Dataset is binned; all others may vary between trials on one Dataset.
DATASET_PARAMETERS = ("max_bin", "min_data_in_bin")
USUAL_ROUNDS = 300  # until a fold stops by itself
LEAST_ROUNDS = 50  # whatever a budget pays for
MOST_OF_A_STEP = 1 / 2  # of the search's, in a final fit that has the time; one that hasn't takes as large ones
N_LOOKS = 50  # at the time, of a final fit
MOST_LARGER = 2.0  # times the start's learning rate, where the budget pays for few rounds: at three times it was worse
VISIT_MILLISECONDS = 0.009  # of 1,000 rows to a node: 5 to 18 ns each on a busy machine, 20,000 rows at the most


@dataclass(frozen=True)
class Fold:
    """The binned rows of one fold, and their positions, (n_train,) and (n_valid,) int32, in the table."""

    train: lgb.Dataset
    valid: lgb.Dataset
    train_rows: Places
    valid_rows: Places

    @property
    def n_bytes(self) -> int:
        """About a byte for each binned value."""
        return (self.train.num_data() + self.valid.num_data()) * self.train.num_feature()


@dataclass(frozen=True)
class Workspace:
    """All training rows, binned once; a fold is a subset of them, cut when a trial first needs it.

    So the edges of the bins (never a target) are learned from a fold's validation rows too, as in LightGBM's own
    cross-validation; the holdout is not among these rows.
    """

    training: Training
    base: Fitted | None
    n_threads: int
    levels: Levels
    data: lgb.Dataset
    folds: Kept[Fold]

    @property
    def parameters(self) -> dict[str, Any]:
        return dict(self.data.params or {})

    @property
    def objective(self) -> Objective:
        return Objective(self.training)

    def objective_of(self, hyperparameters: Mapping[str, Any]) -> Objective:
        """By the link that a trial, or before it the base, chose, where the loss has a choice."""
        link = self.base.link if self.base else hyperparameters.get("link", IDENTITY)
        has_choice = can_be_log(self.training.loss, self.training.problem)
        return Objective(self.training, link if has_choice else IDENTITY)

    def fold(self, fold: int, n_rows: int | None) -> Fold:
        return self.folds.get((fold, n_rows), lambda: self._cut(fold, n_rows))

    def _cut(self, fold: int, n_rows: int | None) -> Fold:
        train, valid = (rows.astype(np.int32) for rows in self.training.fold(fold, n_rows))
        cut = Fold(self._subset(train), self._subset(valid), train, valid)
        if self.training.class_weight is not None:  # which the validation rows are not scored by
            weigh(cut.train, self.training.fit_weight(train))
            weigh(cut.valid, None if self.training.weight is None else self.training.weight[valid])
        if self.base is None and not self.objective.is_own:
            for side in (cut.train, cut.valid):
                start_at(side, self.objective.initial(train))
        return cut

    def _subset(self, rows: Places) -> lgb.Dataset:
        subset = self.data.subset([0])
        # `subset` itself would make a Python list of them, as which the attribute is typed
        subset.used_indices = rows  # type: ignore[assignment]  # see above
        return _lean(subset.construct())


def _lean(data: lgb.Dataset) -> lgb.Dataset:
    """Without the copies of labels and weights that Python keeps beside LightGBM's own, and makes anew where needed."""
    data.label = data.weight = None
    return data


def _bin(training: Training, base: Fitted | None, parameters: Mapping[str, Any]) -> tuple[Levels, lgb.Dataset]:
    levels = Levels.learn(training.batches(), base.levels if base else None)
    matrix = levels.matrix(training.batches(), len(training.y))
    rows = np.arange(len(training.y))
    data = lgb.Dataset(
        matrix, training.y, weight=relative(training.fit_weight(rows)),
        init_score=None if base is None else base.raw(matrix).ravel(order="F"),
        # Named by position: LightGBM refuses `: , " [` and the like in feature names.
        feature_name=[f"f{i}" for i in range(matrix.shape[1])], categorical_feature=levels.categorical,
        params=dict(parameters), free_raw_data=True,
    )
    return levels, data


@dataclass(frozen=True)
class Fitted:
    """A booster with its encoding. n_frozen: parameters of the base that it went on from. link: of a regression."""

    booster: lgb.Booster
    levels: Levels
    is_binary: bool
    n_frozen: int = 0
    link: str = IDENTITY

    @cached_property
    def n_parameters(self) -> int:
        """Leaf values and split thresholds of all trees, counted in the model's text: dump_model takes a second."""
        return sum(2 * n - 1 for n in leaf_counts(self.booster.model_to_string()))

    @cached_property
    def _in_parts(self) -> InParts | None:
        return InParts.of(self.booster)

    def predict(self, X: pd.DataFrame) -> Floats:
        """Of many rows a large model predicts each as among few but for rounding."""
        matrix = self.levels.encode(X)
        parts = self._in_parts if many(self.booster, len(matrix)) else None
        prediction = np.asarray((parts or self.booster).predict(matrix), dtype=np.float64)
        return np.column_stack([1 - prediction, prediction]) if self.is_binary else prediction

    def raw(self, matrix: Matrix) -> Floats:
        """Scores before the link function: (n_rows,) or (n_rows, n_classes)."""
        if many(self.booster, len(matrix)) and self._in_parts is not None:
            return self._in_parts.raw(matrix)
        return np.asarray(self.booster.predict(matrix, raw_score=True), dtype=np.float64)

    def importance(self) -> dict[str, float]:
        """Share of the total gain."""
        gain = self.booster.feature_importance("gain")
        return dict(zip(self.levels.columns, (gain / max(gain.sum(), 1e-300)).tolist(), strict=True))

    def contributions(self, X: pd.DataFrame) -> Floats:
        """(n_rows, n_columns) mean absolute SHAP values over the classes (Lundberg and Lee 2017, exact for trees)."""
        values = np.asarray(self.booster.predict(self.levels.encode(X), pred_contrib=True))
        per_class = values.reshape(len(X), -1, len(self.levels.columns) + 1)[:, :, :-1]
        return np.asarray(np.abs(per_class).mean(axis=1), dtype=np.float64)

    def explain(self, X: pd.DataFrame) -> Contributions | None:
        """SHAP values (Lundberg and Lee 2017), exact for trees, of the raw scores; LightGBM has none of linear
        trees."""
        try:
            found = np.asarray(self.booster.predict(self.levels.encode(X), pred_contrib=True), dtype=np.float64)
        except lgb.basic.LightGBMError:
            return None
        found = found.reshape(len(X), -1, len(self.levels.columns) + 1)
        return Contributions(self.levels.columns, found[:, :, :-1], found[:, :, -1], "score")

    def save(self, folder: Path) -> None:
        self.booster.save_model(str(folder / "booster.txt"))
        kept = {**self.levels.as_json(), "n_frozen": self.n_frozen}
        (folder / "levels.json").write_text(json.dumps(kept, ensure_ascii=False))

    @classmethod
    def load(cls, folder: Path) -> Fitted:
        kept = json.loads((folder / "levels.json").read_text())
        text = (folder / "booster.txt").read_text(encoding="utf-8")
        if "\nend of trees" not in text:  # LightGBM ends the process then
            raise ValueError("booster.txt ends in its middle")
        try:
            booster = lgb.Booster(model_str=text)
        except lgb.basic.LightGBMError as error:
            raise ValueError(str(error)) from error
        objective = Link.of(booster).objective
        link = LOG if objective == "poisson" else IDENTITY
        return cls(booster, Levels.from_json(kept), objective == "binary", kept.get("n_frozen", 0), link)


@dataclass(frozen=True)
class LightGBM:
    """The family. `rounds` is the most a fold may train; it stops after `patience` rounds without gain, looking
    every `check_every` rounds (looking at AUC every round costs 5-19 % of a trial, every tenth 1-4 %). leaves: the
    fields of `tasks.model._leaves.Leaves`."""

    hyperparameters: dict[str, Any]
    start: dict[str, Any]
    space: dict[str, Any]
    grid: dict[str, Any]
    portfolio: list[dict[str, Any]]
    rounds: Annotated[int, Field(ge=1)]
    patience: Annotated[int, Field(ge=1)]
    final_step: Annotated[float, Field(gt=0, le=1)]
    check_every: Annotated[int, Field(ge=1)]
    leaves: dict[str, Any]

    ways = ("feature_extraction", "full")
    adds_to_its_base = True  # so a fold's model alone predicts nothing
    takes_new_levels = True  # after the base's own, with codes that none of its trees asks for

    def going_on(self, way: str, knobs: Knobs) -> Model:
        """full: new trees on top of the base's, which `workspace` is given; feature_extraction: a linear head on what
        its trees tell apart."""
        if given := {key: value for key, value in knobs.hyperparameters.items() if value}:
            (key, value), *_ = given.items()
            raise Refusal(f"strategy.hyperparameters.{key}={value}: lightgbm has none in strategy={way}; leave it out.")
        if way == "full":
            return self
        from tasks.model._leaves import Leaves

        return Leaves(**self.leaves)

    def check(self, problem: Problem, loss: Loss) -> list[str]:
        free = [name for name in self.space if self.hyperparameters.get(name) is None]
        return unsupported("lightgbm", loss, trainable(loss, problem), problem.kind) + self._misfits(loss, problem) + [
            f"model.lightgbm.space.{name}: all trials share one set of bins, so it can't be searched; fix it by "
            f"model.lightgbm.hyperparameters.{name}=VALUE, or compare values by --multirun."
            for name in free
            if name in DATASET_PARAMETERS
        ]

    def _misfits(self, loss: Loss, problem: Problem) -> list[str]:
        link = self.hyperparameters["link"]
        given = f"model.lightgbm.hyperparameters.link={link}"
        if link not in (None, IDENTITY, LOG):
            return [f"{given}: it is {IDENTITY} or {LOG}, or null for either."]
        if link != LOG or can_be_log(loss, problem):
            return []
        return [f"{given} is for a regression by mse or rmse; leave it out."]

    def forced(self, problem: Problem, loss: Loss, y: Floats, base: Path | None) -> dict[str, Any]:
        """The base's link, and identity where a target below 0, or nothing but zeros, allows no other."""
        if base is not None:
            link = Fitted.load(own_files(base)).link
            if link == LOG and (not can_be_log(loss, problem) or y.min() < 0):
                raise Refusal("base predicts by the link log, which trains by loss=mse or rmse on targets from 0 on; "
                              "choose such a loss, or strategy=from_scratch.")  # fmt: skip
        elif not can_be_log(loss, problem) or y.min() < 0 or y.max() == 0:
            link = IDENTITY
        else:
            return {}
        if self.hyperparameters["link"] not in (None, link):
            why = "its base's is" if base is not None else "a target below 0, or of zeros alone, allows only"
            raise Refusal(f"model.lightgbm.hyperparameters.link={self.hyperparameters['link']}: {why} {link}.")
        return {"link": link}

    @property
    def usual_rounds(self) -> int:
        return min(self.rounds, USUAL_ROUNDS)

    def seconds(self, n_rows: int, n_columns: int, n_classes: int) -> float:
        """From 5 x 100 rounds of 31 leaves on 20 columns: 1.0 s at 2,000 rows, 3.7 s at 50,000 (4/5 of them a fold)."""
        n_outputs = n_classes if n_classes > 2 else 1
        return self.usual_rounds * n_columns * n_outputs * (9.2e-9 * n_rows + 8.4e-5)

    def affordable(self, seconds: float, n_rows: int, n_columns: int, n_classes: int) -> Self:
        """With larger steps in the final fit, and where these don't do, with fewer rounds in every fit, and in these
        larger steps too: 53 rounds of a table with many classes had a log-loss of .600, at twice the step .577."""
        share = self.seconds(n_rows, n_columns, n_classes) / seconds
        if share <= self._step:
            return self
        rounds = min(self.rounds, max(LEAST_ROUNDS, round(self.usual_rounds / share))) if share > 1 else self.rounds
        is_free = share > 1 and self.hyperparameters.get("learning_rate") is None
        larger = {"learning_rate": self.start["learning_rate"] * min(MOST_LARGER, share)} if is_free else {}
        final_step = max(self.final_step, min(MOST_OF_A_STEP, share))
        return replace(self, final_step=final_step, rounds=rounds, start={**self.start, **larger})

    def final(self, hyperparameters: Mapping[str, Any], rounds: int | None) -> tuple[dict[str, Any], int | None]:
        """A smaller learning rate, unless the user fixed it, with as many more rounds. At .3 of it the holdout's RMSE
        on housing fell from 45,298 to 44,309 and from 47,221 to 46,570 (two draws); telco's AUC stayed (.8668 to
        .8681, .8558 to .8554)."""
        slower = float(hyperparameters["learning_rate"]) * self._step
        return {**hyperparameters, "learning_rate": slower}, rounds and round(rounds / self._step)

    def shorter(self, hyperparameters: Mapping[str, Any], rounds: int, most: int) -> dict[str, Any]:
        return {**hyperparameters, "learning_rate": float(hyperparameters["learning_rate"]) * rounds / most}

    @property
    def least_share(self) -> float:
        return self._step

    @property
    def _step(self) -> float:
        return self.final_step if self.hyperparameters.get("learning_rate") is None else 1.0

    def footprint(
        self, workspace: Workspace, fitted: Fitted, hyperparameters: Mapping[str, Any], rounds: int | None,
        more_rows: float,
    ) -> Footprint:
        """As many times as large as the fold's as there are more rounds: of 16 models on 2,000 to 20,000 rows 15 came
        within 7 %, the last (120 leaves on 2,000 rows) was larger by a quarter. For with more rows a tree that
        min_data_in_leaf kept small grows, at most in proportion and to num_leaves; the root of that is taken."""
        form = Form.of(fitted.booster)
        longer = (rounds or self.rounds) / max(1, form.n_trees / form.n_outputs)
        n_leaves = form.n_leaves / form.n_trees
        larger = max(1.0, min(hyperparameters["num_leaves"], n_leaves * more_rows) / n_leaves) ** 0.5
        n_bytes, visits = longer * larger * form.n_bytes + form.n_bytes_around, longer * form.n_visits
        if workspace.base is not None:  # which the model of a fold doesn't hold
            base = Form.of(workspace.base.booster)
            n_bytes, visits = n_bytes + base.n_bytes, visits + base.n_visits
        return Footprint(n_bytes / 1e6, VISIT_MILLISECONDS * visits + workspace.levels.milliseconds)

    def workspace(self, training: Training, base: Path | None, n_threads: int) -> Workspace:
        binning = {name: self.hyperparameters[name] for name in DATASET_PARAMETERS if name in self.hyperparameters}
        lgb.register_logger(SILENT)  # what it says of a failing trial is in the exception too
        # feature_pre_filter would tie the bins to one min_data_in_leaf.
        quiet = {"verbose": -1, "num_threads": n_threads, "feature_pre_filter": False}
        fitted = Fitted.load(own_files(base)) if base else None
        levels, data = _bin(training, fitted, {**quiet, **binning})
        _lean(data.construct())
        objective = Objective(training)
        if fitted is None and not objective.is_own:
            start_at(data, objective.initial(np.arange(len(training.y))))
        parquet.give_back_memory()
        return Workspace(training, fitted, n_threads, levels, data, Kept(lambda fold: fold.n_bytes, n_least=0))

    def validate(
        self, workspace: Workspace, fold: int, hyperparameters: Mapping[str, Any], seed: int,
        watch: Watch = unwatched, n_rows: int | None = None,
    ) -> Validated:
        rows = workspace.fold(fold, n_rows)
        booster = lgb.Booster(self._parameters(workspace, hyperparameters, seed), rows.train)
        booster.add_valid(rows.valid, "valid")
        objective = workspace.objective_of(hyperparameters)
        grown = self._boost_until_no_gain(
            booster, objective, rows, watch if objective.watches_the_metric else lambda _: watch(())
        )
        begins_at_constant = workspace.base is None and not objective.is_own
        made = objective.finished(booster, objective.initial(rows.train_rows) if begins_at_constant else None)
        fitted = Fitted(made, workspace.levels, workspace.training.problem.kind == "binary", link=objective.link)
        return Validated(grown.prediction, grown.rounds, grown.curve, fitted, grown.costs)

    def fit(
        self, workspace: Workspace, hyperparameters: Mapping[str, Any], rounds: int | None, seed: int,
        watch: Watch = unwatched, n_threads: int | None = None,
    ) -> Fitted:
        """The base's trees stand first in the result, the new ones after them."""
        workspace.folds.clear()
        parquet.give_back_memory()
        parameters = self._parameters(workspace, hyperparameters, seed)
        data, base = workspace.data, None
        if workspace.base is not None:  # init_model wants raw data, and adds the base's raw scores itself
            data = _bin(workspace.training, workspace.base, workspace.parameters)[1].set_init_score(None)
            base = workspace.base.booster
        rows = np.arange(len(workspace.training.y))
        objective = workspace.objective_of(hyperparameters)
        gradient = objective.gradient(rows)
        parameters |= {"num_threads": n_threads or workspace.n_threads, **({"objective": gradient} if gradient else {})}
        booster = lgb.train(
            parameters, data, num_boost_round=rounds or self.rounds, init_model=base,
            callbacks=[self._paced(watch, parameters["learning_rate"])],
        )
        made = objective.finished(booster, objective.initial(rows) if base is None else None)
        n_frozen = workspace.base.n_parameters if workspace.base else 0
        is_binary = workspace.training.problem.kind == "binary"
        return Fitted(made.free_dataset(), workspace.levels, is_binary, n_frozen, objective.link)

    def _paced(self, watch: Watch, step: float) -> Callable[[lgb.callback.CallbackEnv], None]:
        """Ends a fit with its time, and before that takes fewer and larger steps where there is no time for all, unless
        the user fixed them: ended in its middle, one on rentals of bicycles had an RMSE of 76.6, as a whole 56.4."""
        is_free = self.hyperparameters.get("learning_rate") is None
        most, last = MOST_LARGER * max(step, self.start.get("learning_rate", step)), math.inf

        def look(env: lgb.callback.CallbackEnv) -> None:
            nonlocal step, last
            n_rounds, n_done = env.end_iteration - env.begin_iteration, env.iteration - env.begin_iteration + 1
            try:
                watch(())
            except OutOfTimeError:
                last = n_done
            n_left = int(min(last, n_rounds)) - n_done
            if is_free and n_left > 0 and n_done % max(1, n_rounds // N_LOOKS) == 0:
                paid = rounds_left(watch, n_left)
                if paid < n_left:
                    step, last = min(most, step * n_left / paid), n_done + paid
                    assert isinstance(env.model, lgb.Booster)  # which it is but in lgb.cv
                    env.model.reset_parameter({"learning_rate": step})
            if n_done == last:
                raise lgb.callback.EarlyStopException(env.iteration, [])

        return look

    def _boost_until_no_gain(
        self, booster: lgb.Booster, objective: Objective, rows: Fold, watch: Watch
    ) -> _Grown:
        """The booster keeps all its trees; what it predicts with and saves are those up to its best round."""
        gradient = objective.gradient(rows.train_rows)
        best: tuple[int, Look] | None = None
        curve: list[tuple[int, float]] = []
        costs: list[tuple[int, float]] = []
        for n_rounds in range(1, self.rounds + 1):
            is_finished = booster.update(fobj=gradient)
            if n_rounds % self.check_every == 0 or n_rounds == self.rounds or is_finished:
                look = objective.look(booster, rows.valid_rows)
                curve.append((n_rounds, look.value))
                costs.append((n_rounds, look.cost))
                if best is None or look.is_better(best[1]):
                    best = (n_rounds, look)
                if is_finished or n_rounds - best[0] >= self.patience:
                    break
            watch(curve)
        assert best is not None
        booster.best_iteration = best[0]
        return _Grown(best[0], best[1].prediction, tuple(curve), tuple(costs))

    def _parameters(self, workspace: Workspace, hyperparameters: Mapping[str, Any], seed: int) -> dict[str, Any]:
        fixed = {"seed": seed, "deterministic": True, "force_row_wise": True}
        own = {key: value for key, value in hyperparameters.items() if key != "link"}  # which LightGBM doesn't know
        return {**workspace.parameters, **own, **workspace.objective_of(hyperparameters).parameters(), **fixed}


@dataclass(frozen=True)
class _Grown:
    """A fold's best round, its predictions there, and what was seen until the end."""

    rounds: int
    prediction: Floats
    curve: tuple[tuple[int, float], ...]
    costs: tuple[tuple[int, float], ...]

