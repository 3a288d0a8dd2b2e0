"""The multilayer perceptron as it goes on from a base of its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from tasks.loss import Loss
from tasks.model import Curve, OutOfTimeError, Rows, Training, Validated, Watch, WatchAll, unwatched
from tasks.model import _epochs as epochs
from tasks.model._base_rows import BaseRows, FromBase
from tasks.model._batches import Rehearsal
from tasks.model._device import device, memory_of_a_batch, one_thread
from tasks.model._going_on import Knobs, out_of_limits, rehearsed
from tasks.model._net_way import Way, way
from tasks.model._sides import Encoded
from tasks.model._unit import job_of, tensors
from tasks.model.mlp import MLP, PACKAGES, Fitted
from tasks.records import Footprint, Problem
from tasks.refusal import Refusal

KEPT = ("dropout", "batch_size", "epochs", "patience", "schedule")  # of the family's hyperparameters
FIXED_BY_THE_BASE = ("layers", "width")  # which the family would search
# Of the time of training all layers, where some are computed once: a base of two layers of 128 (docs/log.md)
SHARE_OF_SECONDS = {"feature_extraction": 0.5, "last_layers": 0.7, "lora": 0.85}


def going_on(family: MLP, name: str, knobs: Knobs) -> OnBase:
    """The family in one of its ways, with what is left to be tuned: the strategy's knobs, and how it is trained.

    The learning rate is the family's own (fixed, or its start) times the knob `step`; without a weight decay that is
    asked for there is none, since it would pull away from the base.
    """
    asked = family.hyperparameters
    fixed = {
        "learning_rate": asked["learning_rate"] or family.start["learning_rate"],
        "weight_decay": asked["weight_decay"] or 0.0,
        **({"dropout": 0.0} if name == "feature_extraction" else {}),  # there is no hidden layer left that it drops of
    }
    own = {**{key: asked[key] for key in KEPT}, **fixed}
    free = [key for key, value in own.items() if value is None]
    return OnBase(
        family, name,
        hyperparameters={**own, **knobs.hyperparameters},
        start={**{key: family.start[key] for key in free if key in family.start}, **knobs.start},
        space={**{key: family.space[key] for key in free if key in family.space}, **knobs.space},
        grid=dict(knobs.grid),
        portfolio=[],
    )


@dataclass(frozen=True)
class OnBase:
    """The family in a way of going on. Sizes of the net, its activation and its encoding are the base's."""

    family: MLP
    way: str
    hyperparameters: dict[str, Any]
    start: dict[str, Any]
    space: dict[str, Any]
    grid: dict[str, Any]
    portfolio: list[dict[str, Any]]

    rounds_are_epochs = True
    takes_new_classes = True  # each gets an output of the head
    packages = PACKAGES

    def check(self, problem: Problem, loss: Loss) -> list[str]:
        return self.family.check(problem, loss) + out_of_limits(self.hyperparameters)

    @property
    def rounds(self) -> int:
        return self.family.rounds

    def seconds(self, n_rows: int, n_columns: int, n_classes: int) -> float:
        """As from nothing, of a base of usual size, but for what is computed once."""
        return SHARE_OF_SECONDS.get(self.way, 1.0) * self.family.seconds(n_rows, n_columns, n_classes)

    def affordable(self, seconds: float, n_rows: int, n_columns: int, n_classes: int) -> Self:
        return replace(self, family=self.family.affordable(seconds, n_rows, n_columns, n_classes))

    def final(self, hyperparameters: Mapping[str, Any], rounds: int | None) -> tuple[dict[str, Any], int | None]:
        return self.family.final(hyperparameters, rounds)

    def n_models(self, hyperparameters: Mapping[str, Any]) -> int:
        return self.family.n_models(hyperparameters)

    def of_fewer(self, hyperparameters: Mapping[str, Any], n: int) -> dict[str, Any]:
        return self.family.of_fewer(hyperparameters, n)

    def footprint(
        self, workspace: Any, fitted: Fitted, hyperparameters: Mapping[str, Any], rounds: int | None, more_rows: float
    ) -> Footprint:
        return self.family.footprint(workspace, fitted, hyperparameters, rounds, more_rows)

    def workspace(self, training: Training, base: Path | None, n_threads: int) -> BaseRows:
        """
        Raises:
            Refusal: where a size of the net is asked for that the base doesn't have; for rehearsal without rows.
        """
        assert base is not None
        made = BaseRows.read(training, base, rehearsed(self.hyperparameters, base, training.problem))
        faults = self._other_sizes(made.base)
        if faults:
            raise Refusal(*faults)
        return made

    def validate(
        self, workspace: BaseRows, fold: int, hyperparameters: Mapping[str, Any], seed: int,
        watch: Watch = unwatched, n_rows: int | None = None,
    ) -> Validated:
        def watch_it(curves: Sequence[Curve]) -> None:
            watch(curves[0])

        return self.validate_together(workspace, [fold], hyperparameters, seed, watch_it, n_rows)[0]

    def are_one(
        self, workspace: BaseRows, hyperparameters: Mapping[str, Any], folds: Sequence[int], n_rows: int | None
    ) -> bool:
        width, batch_size = workspace.base.shape.width, int(hyperparameters["batch_size"])
        return self.family.are_small(workspace.sizes, width, batch_size, folds, n_rows)

    def times_alone(
        self, workspace: BaseRows, hyperparameters: Mapping[str, Any], n: int, n_rows: int | None
    ) -> float:
        width, batch_size = workspace.base.shape.width, int(hyperparameters["batch_size"])
        return self.family.times_one(workspace.sizes, width, batch_size, n, n_rows)

    def validate_together(
        self, workspace: BaseRows, folds: Sequence[int], hyperparameters: Mapping[str, Any], seed: int,
        watch: WatchAll, n_rows: int | None = None,
    ) -> list[Validated]:
        how, n_train = self._way(workspace, hyperparameters), workspace.sizes.n_train(folds[0], n_rows)
        encoded = [workspace.fold(fold, n_rows, how.first) for fold in folds]
        nets = [workspace.net(workspace.training.fold(fold, n_rows)[0]) for fold in folds]
        with memory_of_a_batch(hyperparameters, n_train, "model.mlp", "a smaller base"):
            jobs = [self._job(workspace, how, one, net) for one, net in zip(encoded, nets, strict=True)]
            every = epochs.train(jobs, self._plan(workspace, how, hyperparameters, n_train, seed), watch)
        rows = [workspace.training.fold(fold, n_rows) for fold in folds]
        return [
            _validated(workspace, valid, _fitted(workspace, how, train, net, done), done)
            for (train, valid), net, done in zip(rows, nets, every, strict=True)
        ]

    def fit(
        self, workspace: BaseRows, hyperparameters: Mapping[str, Any], rounds: int | None, seed: int,
        watch: Watch = unwatched, n_threads: int | None = None,
    ) -> Fitted:
        """Of several nets of the base each is gone on with; the search judges the first."""
        how, rows = self._way(workspace, hyperparameters), np.arange(len(workspace.training.y))
        seeds = self.family.seeds(hyperparameters, seed)
        of_nets = [workspace.of_net(k) for k in range(len(seeds))]
        begun = [one.net(rows) for one in of_nets]
        nets = []
        with memory_of_a_batch(hyperparameters, len(rows), "model.mlp", "a smaller base"):
            for one, net, own in zip(of_nets, begun, seeds, strict=True):
                encoded = Encoded(one.base.inputs, one.train(rows, how.first), None)
                plan = self._plan(one, how, hyperparameters, len(rows), own)
                nets.append((self._job(one, how, encoded, net), plan))
            n_epochs = rounds or plan.epochs
            done = epochs.train_whole(nets, n_epochs, lambda: watch(()), OutOfTimeError, n_threads or 1)
        first, *others = (_fitted(workspace, how, rows, *one) for one in zip(begun, done, strict=True))
        n_frozen = sum(one.n_frozen for one in (first, *others))
        return replace(first, others=tuple(one.net for one in others), n_frozen=n_frozen)

    def _way(self, workspace: BaseRows, hyperparameters: Mapping[str, Any]) -> Way:
        n_epochs = min(int(hyperparameters["epochs"]), self.rounds)
        return way(self.way, workspace.base.shape, hyperparameters, n_epochs)

    def _job(self, workspace: BaseRows, how: Way, encoded: Encoded, net: Mapping[str, Any]) -> epochs.Job:
        return job_of(
            how.shape(workspace.shape), FromBase(how.cut(net)), encoded.train, encoded.valid, workspace.unit,
            workspace.training, device(self.family.device),
        )

    def _plan(
        self, workspace: BaseRows, how: Way, given: Mapping[str, Any], n_rows: int, seed: int
    ) -> epochs.Plan:
        complete = {**given, "activation": workspace.base.activation}
        plan = self.family.plan(workspace.training, complete, n_rows, seed)
        share, rehearsal = float(given.get("rehearsal", 0.0)), None
        if share:
            rows = tensors(workspace.rehearsed(how.first), workspace.unit, device(self.family.device))
            rehearsal = Rehearsal.of_share(rows, share, n_rows, plan.n_steps)
        rate = plan.learning_rate * float(given["step"])
        return replace(plan, learning_rate=rate, tuning=how.tuning, rehearsal=rehearsal)

    def _other_sizes(self, base: Fitted) -> list[str]:
        asked = {key: self.family.hyperparameters[key] for key in FIXED_BY_THE_BASE}
        return [
            f"model.mlp.hyperparameters.{key}={value}: the base has {getattr(base.shape, key)}, and so has a net that "
            "goes on from it; leave it out."
            for key, value in asked.items() if value is not None and int(value) != getattr(base.shape, key)
        ]


def _fitted(
    workspace: BaseRows, how: Way, rows: Rows, begun: Mapping[str, Any], done: epochs.Progress
) -> Fitted:
    """The whole net on its training rows."""
    net = how.joined(begun, {name: value.cpu() for name, value in done.net.items()})
    n_frozen = max(0, sum(value.numel() for value in net.values()) - done.n_trained)
    base = workspace.base
    adapters = {name: value.cpu() for name, value in done.adapters.items()} or None
    whole = Fitted(base.inputs, workspace.shape, base.activation, workspace.unit, net, (), n_frozen, None, adapters)
    return whole.seen_on(workspace.train(rows, None))


def _validated(workspace: BaseRows, rows: Rows, fitted: Fitted, done: epochs.Progress) -> Validated:
    with one_thread:
        prediction = fitted.predicted(workspace.numbers[rows], workspace.levels[rows])
    return Validated(prediction, done.epoch, tuple(done.curve), fitted, tuple(done.costs))
