"""A multilayer perceptron on tables, in PyTorch: levels embedded, numbers scaled and turned into waves.

Defaults follow Gorishniy et al. 2021 and 2022 and Holzmüller et al. 2024, as far as they paid here (docs/log.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field

from tasks import metric as metrics
from tasks import model as models
from tasks.loss import Loss
from tasks.model import Curve, Floats, OutOfTimeError, Training, Validated, Watch, WatchAll, unsupported, unwatched
from tasks.model import _estimator as estimators
from tasks.model._going_on import Knobs
from tasks.model._inputs import SCALINGS, Indices, Inputs, Singles
from tasks.model._sides import Encoded, Side, Sizes, Workspace, are_alike
from tasks.optimizer import KnowsItsDecay
from tasks.records import Footprint, Problem
from tasks.refusal import Refusal, did_you_mean

try:
    import torch
    from safetensors.torch import load_file, save_file

    from tasks.model import _epochs as epochs
    from tasks.model._batches import Rows, steps
    from tasks.model._device import absent, device, get_ready, memory_of_a_batch, one_thread
    from tasks.model._loss import trainable
    from tasks.model._net import ACTIVATIONS, Shape, Start
    from tasks.model._unit import Unit, job_of
except ImportError as missing:
    raise Refusal(f'model=mlp needs more packages ({missing}): pip install "finefold[neural]"') from missing

PACKAGES = ("safetensors", "torch")
CHOICES: dict[str, Sequence[str]] = {
    "scaling": SCALINGS, "activation": tuple(ACTIVATIONS), "schedule": tuple(epochs.SCHEDULES),
}
RANGES: tuple[tuple[str, Sequence[str], Callable[[float], bool]], ...] = (
    ("1 or more", ("layers", "width", "batch_size", "epochs", "patience", "level_width", "periodic_width"),
     lambda value: value >= 1),
    ("0 or more", ("weight_decay", "frequencies"), lambda value: value >= 0),
    ("more than 0", ("learning_rate", "spread"), lambda value: value > 0),
    ("0 or more, and less than 1", ("dropout",), lambda value: 0 <= value < 1),
)
SIZES = ("layers", "width", "level_width", "frequencies", "periodic_width")
LEAST_EPOCHS = 5  # whatever a budget pays for
MOST_SUMS = 2**21  # of a step of a fold, about width^2 x batch, up to which folds are trained as one
MOST_SUMS_OF_TRIALS = 2**18  # the same for trials
SUMS_OF_CALLS = 1.3e6  # that a core does while it calls for a step, of however many nets (benchmarks/README.md)
MOST_VALUES = 50_000_000  # of the folds' tables, which are held together
MS_OF_A_SUM = 2e-4  # of 1,000 rows in double precision, at 5 billion sums a second
N_SHUFFLED = 300  # rows by which a column's importance is measured


@dataclass(frozen=True)
class Fitted:
    """A net with its encoding, or several as one, whose mean it predicts: others are those beside the first. It
    predicts on the CPU in double precision, so that a row's prediction depends neither on the rows beside it nor on the
    device that trained it. shares: of the columns in the outputs; none until they are
    asked for, since a fold's model mostly isn't kept; sample: some training rows, by which they are measured; adapters:
    of low rank, which are merged into the net, and the head beside them."""

    inputs: Inputs
    shape: Shape
    activation: str
    unit: Unit
    net: dict[str, torch.Tensor]
    shares: Sequence[float]
    n_frozen: int = 0
    sample: tuple[Singles, Indices] | None = None
    adapters: dict[str, torch.Tensor] | None = None
    others: tuple[dict[str, torch.Tensor], ...] = ()

    packages = PACKAGES

    @property
    def nets(self) -> tuple[dict[str, torch.Tensor], ...]:
        """All of them, the first one first."""
        return self.net, *self.others

    @property
    def n_parameters(self) -> int:
        """Weights, biases, embeddings and frequencies."""
        return sum(value.numel() for net in self.nets for value in net.values())

    def predict(self, X: pd.DataFrame) -> Floats:
        return self.predicted(*self.inputs.encode(X))

    def predicted(self, numbers: Singles, levels: Indices) -> Floats:
        every = [self.unit.prediction(raw) for raw in self._outputs(numbers, levels, torch.float64)]
        return np.asarray(np.mean(every, axis=0)) if self.others else every[0]

    def _outputs(self, numbers: Singles, levels: Indices, dtype: torch.dtype) -> list[torch.Tensor]:
        """(n, n_outputs) of each net."""
        rows = Rows(
            torch.from_numpy(numbers).to(dtype)[None], torch.from_numpy(levels)[None], torch.empty(0), torch.empty(0)
        )
        every = [{name: value.to(dtype)[None] for name, value in net.items()} for net in self.nets]
        return [epochs.evaluated(parameters, self.shape, self.activation, rows)[0] for parameters in every]

    @property
    def n_bytes(self) -> float:
        """About what `save` writes."""
        return 4 * self.n_parameters + sum(estimators.dumped_bytes(self.inputs.parts))

    def importance(self) -> dict[str, float]:
        """Share of the mean change of the outputs when a column's cells change places among some training rows."""
        return dict(zip(self.inputs.levels.columns, self._measured, strict=True))

    def weights(self) -> dict[str, Singles]:
        """Every parameter of the first net by its name, for how far it moved from a base's."""
        return {name: value.numpy() for name, value in self.net.items()}

    def seen_on(self, train: Side) -> Fitted:
        """With a sample of its training rows."""
        rows = np.linspace(0, len(train.y) - 1, min(N_SHUFFLED, len(train.y))).astype(np.int64)
        return replace(self, sample=(train.numbers[rows], train.levels[rows]))

    @cached_property
    def _measured(self) -> Sequence[float]:
        if self.sample is None:
            return self.shares
        numbers, levels = self.sample
        other = np.random.default_rng(0).permutation(len(numbers))
        with one_thread:
            before, change = torch.stack(self._outputs(numbers, levels, torch.float32)), []
            for of_numbers, of_levels in self.inputs.places():
                moved, swapped = numbers.copy(), levels.copy()
                moved[:, of_numbers], swapped[:, of_levels] = numbers[other][:, of_numbers], levels[other][:, of_levels]
                after = torch.stack(self._outputs(moved, swapped, torch.float32))
                change.append(float((after - before).abs().mean()))
        total = sum(change)
        return [one / total for one in change] if total else [1 / len(change)] * len(change)

    def save(self, folder: Path) -> None:
        for net, name in zip(self.nets, _files(len(self.nets)), strict=True):
            save_file({name: value.contiguous() for name, value in net.items()}, folder / name)
        self.inputs.save(folder)
        kept = {"shape": asdict(self.shape), "activation": self.activation, "unit": asdict(self.unit),
                "shares": list(self._measured), "n_frozen": self.n_frozen, "nets": len(self.nets)}
        (folder / "net.json").write_text(json.dumps(kept))

    def save_adapters(self, folder: Path) -> None:
        """Where `weight.K` has adapters, the base's is less than the net's by `weight.K.down @ weight.K.up`."""
        assert self.adapters is not None
        save_file({name: value.contiguous() for name, value in self.adapters.items()}, folder / "adapters.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Fitted:
        kept = json.loads((folder / "net.json").read_text())
        shape, unit = Shape.from_json(kept["shape"]), Unit(**kept["unit"])
        frozen, n_nets = kept.get("n_frozen", 0), kept.get("nets", 1)  # which older models don't say
        net, *others = (load_file(folder / name) for name in _files(n_nets))
        return cls(
            Inputs.load(folder), shape, kept["activation"], unit, net, kept["shares"], frozen, others=tuple(others)
        )


def _files(n_nets: int) -> list[str]:
    return ["net.safetensors", *(f"net-{k}.safetensors" for k in range(1, n_nets))]


@dataclass(frozen=True)
class MLP:
    """The family. optimizer: a choice of conf/optimizer, built. device: where it trains. nets: of the final model.
    most_epochs: of any fit, whatever the hyperparameter says (None: as it says). min_rows: a level in fewer training
    rows shares the index of unseen ones."""

    hyperparameters: dict[str, Any]
    start: dict[str, Any]
    space: dict[str, Any]
    grid: dict[str, Any]
    portfolio: list[dict[str, Any]]
    optimizer: Any
    device: Literal["auto", "cpu", "cuda", "mps"]
    nets: Annotated[int, Field(ge=1)]
    most_epochs: Annotated[int, Field(ge=1)] | None
    min_rows: Annotated[int, Field(ge=1)]

    rounds_are_epochs = True
    packages = PACKAGES
    ways = ("feature_extraction", "last_layers", "gradual", "lora", "full")

    def going_on(self, way: str, knobs: Knobs) -> models.Model:
        """See tasks/model/_on_base.py."""
        from tasks.model._on_base import going_on  # which knows this file

        return going_on(self, way, knobs)

    def check(self, problem: Problem, loss: Loss) -> list[str]:
        faults = unsupported("mlp", loss, trainable(problem), problem.kind)
        return faults + self._unknown_choices() + self._out_of_range() + absent(self.device)

    @property
    def rounds(self) -> int:
        """The most epochs of a fit."""
        most = max(self._values("epochs"))
        return min(int(most), self.most_epochs or int(most))

    def _values(self, key: str) -> list[Any]:
        """All that a hyperparameter may be, or of a range its ends."""
        if (fixed := self.hyperparameters[key]) is not None:
            return [fixed]
        space = self.space.get(key) or []
        values = space if isinstance(space, list) else space.get("values") or [space["low"], space["high"]]
        return [*values, *([self.start[key]] if key in self.start else [])]

    def seconds(self, n_rows: int, n_columns: int, n_classes: int) -> float:
        """From the sums that the start does with a row, at some 15 billion a second, and 0.3 ms for a step's calls;
        early stopping spares a quarter of the epochs."""
        batch = min(int(self.hyperparameters["batch_size"] or self.start["batch_size"]), n_rows)
        return 0.75 * self.rounds * n_rows * (6e-6 + 4e-7 * n_columns + 3e-4 / batch)

    def affordable(self, seconds: float, n_rows: int, n_columns: int, n_classes: int) -> Self:
        """With fewer epochs."""
        share = self.seconds(n_rows, n_columns, n_classes) / seconds
        return replace(self, most_epochs=max(LEAST_EPOCHS, round(self.rounds / share))) if share > 1 else self

    def final(self, hyperparameters: Mapping[str, Any], rounds: int | None) -> tuple[dict[str, Any], int | None]:
        """Several nets that differ in their random numbers (Lakshminarayanan et al. 2017); four on six settings of four
        tables: docs/log.md."""
        return {**hyperparameters, "nets": self.nets}, rounds

    def n_models(self, hyperparameters: Mapping[str, Any]) -> int:
        return int(hyperparameters.get("nets", 1))

    def of_fewer(self, hyperparameters: Mapping[str, Any], n: int) -> dict[str, Any]:
        return {**hyperparameters, "nets": n}

    def footprint(
        self, workspace: Workspace, fitted: Fitted, hyperparameters: Mapping[str, Any], rounds: int | None,
        more_rows: float,
    ) -> Footprint:
        """Each net as large as the fold's; of the time, encoding, and a sum for each weight and row."""
        levels = fitted.inputs.levels
        encoding = 1.0 + 0.1 * len(levels.columns) + 0.35 * len(levels.levels) + levels.milliseconds
        n_parameters = fitted.n_parameters // len(fitted.nets) * self.n_models(hyperparameters)
        n_bytes = fitted.n_bytes + 4 * (n_parameters - fitted.n_parameters)
        return Footprint(n_bytes / 1e6, encoding + MS_OF_A_SUM * n_parameters)

    def workspace(self, training: Training, base: Path | None, n_threads: int) -> Workspace:
        assert base is None, "which the family takes that `going_on` gives"
        get_ready()
        return Workspace(training, self.min_rows, Sizes(training))

    def validate(
        self, workspace: Workspace, fold: int, hyperparameters: Mapping[str, Any], seed: int,
        watch: Watch = unwatched, n_rows: int | None = None,
    ) -> Validated:
        def watch_it(curves: Sequence[Curve]) -> None:
            watch(curves[0])

        return self.validate_together(workspace, [fold], hyperparameters, seed, watch_it, n_rows)[0]

    def are_one(
        self, workspace: Workspace, hyperparameters: Mapping[str, Any], folds: Sequence[int], n_rows: int | None
    ) -> bool:
        width, batch_size = int(hyperparameters["width"]), int(hyperparameters["batch_size"])
        return self.are_small(workspace.sizes, width, batch_size, folds, n_rows)

    def are_small(
        self, sizes: Sizes, width: int, batch_size: int, folds: Sequence[int], n_rows: int | None
    ) -> bool:
        """Small nets and batches, whose steps cost more in calls than in sums (benchmarks/README.md); on a GPU all.
        Beyond that a step of five folds gains less than a fifth, and racing from fold to fold saves more. Never where
        the optimizer's steps mix the numbers of a tensor, in which other folds' nets would stand beside their own."""
        if not getattr(self.optimizer, "is_elementwise", True):
            return False
        every = sizes.of(n_rows)
        is_small = width**2 * min(batch_size, max(every)) <= MOST_SUMS
        is_held = len(folds) * max(every) * len(sizes.training.X.columns) <= MOST_VALUES
        return len(folds) > 1 and are_alike(every) and is_held and (is_small or device(self.device).type != "cpu")

    def validate_together(
        self, workspace: Workspace, folds: Sequence[int], hyperparameters: Mapping[str, Any], seed: int,
        watch: WatchAll, n_rows: int | None = None,
    ) -> list[Validated]:
        (done,) = self.validate_trials(workspace, folds, [hyperparameters], seed, [watch], n_rows)
        if isinstance(done, Exception):
            raise done
        return done

    @property
    def is_faster_so(self) -> bool:
        """On a GPU, where a step takes the same time for many nets; on a CPU workers use the cores as well."""
        return str(device(self.device).type) != "cpu"

    def times_alone(
        self, workspace: Workspace, hyperparameters: Mapping[str, Any], n: int, n_rows: int | None
    ) -> float:
        width, batch_size = int(hyperparameters["width"]), int(hyperparameters["batch_size"])
        return self.times_one(workspace.sizes, width, batch_size, n, n_rows)

    def times_one(self, sizes: Sizes, width: int, batch_size: int, n: int, n_rows: int | None) -> float:
        """On a GPU a step takes nearly as long for one net (n = 5 and 20: 4.4 and 14, benchmarks/README.md)."""
        if self.is_faster_so:
            return max(1.0, 0.8 * n)
        sums = width**2 * min(batch_size, max(sizes.of(n_rows)))
        return n * (SUMS_OF_CALLS + sums) / (SUMS_OF_CALLS + n * sums)

    def shape(self, hyperparameters: Mapping[str, Any]) -> Hashable:
        """The sizes of a net, its activation and its batches; of the smallest nets alone on a CPU, where the folds of
        one trial have most of the gain (benchmarks/README.md)."""
        is_small = int(hyperparameters["width"]) ** 2 * int(hyperparameters["batch_size"]) <= MOST_SUMS_OF_TRIALS
        if not (is_small or self.is_faster_so) or not isinstance(self.optimizer, KnowsItsDecay):
            return None
        return tuple(hyperparameters[key] for key in (*SIZES, "activation", "batch_size"))

    def validate_trials(
        self, workspace: Workspace, folds: Sequence[int], trials: Sequence[Mapping[str, Any]], seed: int,
        watches: Sequence[WatchAll], n_rows: int | None = None,
    ) -> list[list[Validated] | Exception]:
        training, n_train = workspace.training, workspace.sizes.n_train(folds[0], n_rows)
        encoded = [[workspace.fold(fold, n_rows, given["scaling"]) for fold in folds] for given in trials]
        units = [Unit.learn(training.problem, one.train.y, one.train.weight) for one in encoded[0]]
        with memory_of_a_batch(trials[0], n_train, "model.mlp", "a smaller model.mlp.hyperparameters.width"):
            teams = [
                epochs.Team(
                    [self._job(one, unit, given, training) for one, unit in zip(own, units, strict=True)],
                    self.plan(training, given, n_train, seed), watch,
                )
                for own, given, watch in zip(encoded, trials, watches, strict=True)
            ]  # fmt: skip
            every = epochs.train_teams(teams)
        return [
            done if isinstance(done, Exception) else [
                _validated(one, _fitted(one, job.shape, team.plan.activation, unit, progress.net), progress)
                for one, job, unit, progress in zip(own, team.jobs, units, done, strict=True)
            ]
            for own, team, done in zip(encoded, teams, every, strict=True)
        ]  # fmt: skip

    def fit(
        self, workspace: Workspace, hyperparameters: Mapping[str, Any], rounds: int | None, seed: int,
        watch: Watch = unwatched, n_threads: int | None = None,
    ) -> Fitted:
        """Each net on one thread: more made small nets slower."""
        encoded = workspace.all_rows(hyperparameters["scaling"])
        unit = Unit.learn(workspace.training.problem, encoded.train.y, encoded.train.weight)
        n_rows = len(encoded.train.y)
        seeds = self.seeds(hyperparameters, seed)
        plans = [self.plan(workspace.training, hyperparameters, n_rows, own) for own in seeds]
        n_epochs = rounds or plans[0].epochs
        with memory_of_a_batch(hyperparameters, n_rows, "model.mlp", "a smaller model.mlp.hyperparameters.width"):
            job = self._job(encoded, unit, hyperparameters, workspace.training)
            nets = [(job, plan) for plan in plans]
            done = epochs.train_whole(nets, n_epochs, lambda: watch(()), OutOfTimeError, n_threads or 1)
        return _fitted(encoded, job.shape, plans[0].activation, unit, *(one.net for one in done))

    def seeds(self, hyperparameters: Mapping[str, Any], seed: int) -> list[int]:
        """One for each net, the first of which is as if it were alone."""
        return [seed, *np.random.SeedSequence(seed).generate_state(self.n_models(hyperparameters) - 1).tolist()]

    def _job(
        self, encoded: Encoded, unit: Unit, hyperparameters: Mapping[str, Any], training: Training
    ) -> epochs.Job:
        inputs, train, valid = encoded.inputs, encoded.train, encoded.valid
        sizes = {name: int(hyperparameters[name]) for name in SIZES}
        shape = Shape(inputs.n_numbers, inputs.n_flags, train.levels.shape[1], inputs.n_levels, unit.n_outputs, **sizes,
                      with_waves=encoded.with_waves)  # fmt: skip
        untrained = np.setdiff1d(np.arange(inputs.n_levels), train.levels)
        start = Start(unit.bias(train.y, train.weight), torch.from_numpy(untrained), float(hyperparameters["spread"]))
        return job_of(shape, start, train, valid, unit, training, device(self.device))

    def plan(self, training: Training, given: Mapping[str, Any], n_rows: int, seed: int) -> epochs.Plan:
        """From hyperparameters, for a fit on about so many rows."""
        n_epochs = min(int(given["epochs"]), self.rounds)
        return epochs.Plan(
            optimizer=self.optimizer, learning_rate=float(given["learning_rate"]),
            weight_decay=float(given["weight_decay"]), n_steps=steps(n_rows, int(given["batch_size"])),
            epochs=n_epochs, patience=int(given["patience"]), schedule=given["schedule"],
            dropout=float(given["dropout"]), activation=given["activation"],
            is_higher_better=metrics.METRICS[training.metric].is_higher_better, seed=seed,
        )

    def _unknown_choices(self) -> list[str]:
        faults = []
        for key, choices in CHOICES.items():
            asked = dict.fromkeys(self._values(key))
            faults += [f"model.mlp: there is no {key}={value}; choose {' or '.join(choices)}"
                       f"{did_you_mean(str(value), choices)}" for value in asked if value not in choices]
        return faults

    def _out_of_range(self) -> list[str]:
        return [
            f"model.mlp: {key}={value} can't be; it is {said}"
            for said, keys, holds in RANGES for key in keys for value in dict.fromkeys(self._values(key))
            if isinstance(value, int | float) and not holds(value)
        ]  # fmt: skip


def _fitted(encoded: Encoded, shape: Shape, activation: str, unit: Unit, *nets: dict[str, torch.Tensor]) -> Fitted:
    first, *others = ({name: value.cpu() for name, value in net.items()} for net in nets)
    return Fitted(encoded.inputs, shape, activation, unit, first, (), others=tuple(others)).seen_on(encoded.train)


def _validated(encoded: Encoded, fitted: Fitted, progress: epochs.Progress) -> Validated:
    assert encoded.valid is not None
    with one_thread:
        prediction = fitted.predicted(encoded.valid.numbers, encoded.valid.levels)
    return Validated(prediction, progress.epoch, tuple(progress.curve), fitted, tuple(progress.costs))
