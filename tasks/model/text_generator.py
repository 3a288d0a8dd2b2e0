"""Responses to prompts by a causal language model, in PyTorch: one of Hugging Face's kind as the base, or a small one
that begins from nothing. It learns the tokens of the responses, of each given all before it (Radford et al. 2018)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import pandas as pd
from pydantic import Field

from tasks import metric as metrics
from tasks import provenance
from tasks.loss import Loss
from tasks.model import FAMILY, Floats, Training, Validated, Watch, own_files, unsupported, unwatched
from tasks.model import load as load_model
from tasks.model._going_on import Knobs
from tasks.records import Footprint, Problem
from tasks.refusal import Refusal

try:
    from tasks.model import _device as devices
    from tasks.model import _writing as writing
    from tasks.model._adapters import Adapters, Ground
    from tasks.model._encoder import of_weights
    from tasks.model._generator import Writer
    from tasks.model._generator import doubts as doubts
    from tasks.model._generator import faults as faults
    from tasks.model._generator_ways import WAYS, plan_of
    from tasks.model._new_generator import Shape, new
    from tasks.model._pairs import Places, Sequences, room
    from tasks.model._respond import respond
    from tasks.model._tuning import Progress, Score
except ImportError as missing:
    raise Refusal(f'model=text_generator needs more packages ({missing}): pip install "finefold[text]"') from missing

PACKAGES = ("peft", "safetensors", "tokenizers", "torch", "transformers")
NOTES, ADAPTER = "generator.json", "adapter"
KEY = "model.text_generator"
NEW = "from_scratch"
LEAST_EPOCHS = 1
MOST_NEW = 64  # tokens of a response of a base that doesn't say
SECONDS_OF_A_ROW = 0.0015  # of some 30 tokens through a million weights and back, on one core of some 3 GHz
PART_OF_A_STEP = {"feature_extraction": 0.35, "last_layers": 0.6, "gradual": 0.8, "lora": 0.9}
SMALLER = ("shorter texts", "a smaller base (without one a smaller model.text_generator.new)")  # where memory runs out


@dataclass(frozen=True)
class Fitted:
    """A language model. most_new: tokens of a response that it writes, at most: as many as the longest that it was
    trained on, but for what a long one leaves to its prompt. n_frozen: of its parameters, how many are as they were.
    note: what is to be said of the texts that it was trained on. adapters: what was trained, where that is low-rank,
    and ground: the base that they belong to; of a model that was loaded there are none, they are merged."""

    writer: Writer
    most_new: int
    n_frozen: int
    note: str = ""
    adapters: Adapters | None = None
    ground: Ground | None = None

    packages = PACKAGES

    @property
    def n_parameters(self) -> int:
        return self.writer.n_parameters

    def predict(self, X: pd.DataFrame) -> Floats:
        """(n, 2) the loss over the tokens of each response, in nats, and their number."""
        sequences = Sequences.of(self.writer, X)
        with devices.named_memory("while it was judged", *SMALLER), devices.one_thread:
            return writing.judged(self.writer.net, sequences, np.arange(len(X)), is_plain=self.writer.is_plain)

    def respond(self, prompts: Sequence[str], most: int | None = None) -> list[str]:
        """What it writes after each prompt; most: tokens, by default `most_new`."""
        with devices.named_memory("while it wrote", *SMALLER):
            return respond(self.writer, prompts, most or self.most_new)

    def importance(self) -> dict[str, float]:
        """None: there is but one column to read."""
        return {}

    def weights(self) -> dict[str, Any]:
        """By name, for how far they moved from a base's."""
        return {name: value.detach().cpu().numpy() for name, value in self.writer.net.named_parameters()}

    def save_adapters(self, folder: Path) -> None:
        """The adapters alone, in PEFT's form, with what they belong to."""
        assert self.adapters is not None
        self.adapters.save(folder, self.ground)

    @property
    def n_bytes(self) -> float:
        """About what `save` writes."""
        return 4 * self.n_parameters + len(self.writer.tokenizer.to_str(pretty=True))

    def save(self, folder: Path) -> None:
        """The whole model as a folder of Hugging Face's kind, and beside it what is ours."""
        self.writer.save(folder)
        if self.adapters is not None:
            (folder / ADAPTER).mkdir()
            self.save_adapters(folder / ADAPTER)
        kept = {"most_new": self.most_new, "n_frozen": self.n_frozen, "note": self.note}
        (folder / NOTES).write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Fitted:
        """What `save` wrote, or another language model of Hugging Face's kind."""
        writer, path = Writer.load(folder), folder / NOTES
        if path.exists():
            return cls(writer, **json.loads(path.read_text(encoding="utf-8")))
        return cls(writer, min(MOST_NEW, writer.context // 2), writer.n_parameters)


@dataclass(frozen=True)
class Workspace:
    """The model that training begins with, and all pairs as it reads them. ground: the base, or None."""

    training: Training
    writer: Writer
    sequences: Sequences
    ground: Ground | None

    @property
    def note(self) -> str:
        n = self.sequences.n_cut
        return "" if not n else (
            f"{n:,} of {len(self.training.y):,} pairs are longer than the context of {self.writer.context:,} tokens; "
            "their prompts were cut on the left"
        )


@dataclass(frozen=True)
class TextGenerator:
    """The family. new: of a model that begins from nothing. way: how it goes on from a base. by_strategy: for each way
    the hyperparameters that it has beside the others, with start, space and grid. most_epochs: of any fit (None: as the
    hyperparameter says). checkpointing: see `Trainable.recomputes`. strangers: hyperparameters of a strategy that it
    has no use for."""

    hyperparameters: dict[str, Any]
    start: dict[str, Any]
    space: dict[str, Any]
    grid: dict[str, Any]
    portfolio: list[dict[str, Any]]
    by_strategy: dict[str, dict[str, dict[str, Any]]]
    way: str
    new: Shape
    most_epochs: Annotated[int, Field(ge=1)] | None
    checkpointing: bool
    device: str
    strangers: dict[str, Any] = field(default_factory=dict)

    reads_text = True
    generates = True
    rounds_are_epochs = True
    packages = PACKAGES

    @property
    def ways(self) -> tuple[str, ...]:
        return tuple(self.by_strategy)

    def going_on(self, way: str, knobs: Knobs) -> Self:
        """With the hyperparameters of that way; those of the strategy take the place of its own of the same name, but
        for where a search starts, which suits language models. A value of the family's own is the user's, as is its
        space: they come before both."""
        own, fixed = self.by_strategy[way], {key: one for key, one in self.hyperparameters.items() if one is not None}
        given = {**self.hyperparameters, **own.get("hyperparameters", {})}
        strangers = {key: value for key, value in knobs.hyperparameters.items() if key not in given and value}
        given |= {key: value for key, value in knobs.hyperparameters.items() if key in given} | fixed

        def merged(part: str) -> dict[str, Any]:
            of_way, of_strategy, mine = own.get(part, {}), getattr(knobs, part), getattr(self, part)
            found = {**mine, **of_strategy, **of_way} if part == "start" else {**of_way, **of_strategy, **mine}
            return {key: value for key, value in found.items() if key in given and given[key] is None}

        return replace(
            self, way=way, hyperparameters=given, start=merged("start"), space=merged("space"), grid=merged("grid"),
            portfolio=self.portfolio if way == self.way else [], strangers=strangers,
        )  # fmt: skip

    def check(self, problem: Problem, loss: Loss) -> list[str]:
        faults = unsupported("text_generator", loss, ["next_token"], problem.kind)
        return faults + self.new.faults() + devices.absent(self.device) + [
            f"strategy.hyperparameters.{key}={value}: text_generator has none in strategy={self.way}; leave it out."
            for key, value in self.strangers.items()
        ]

    @property
    def rounds(self) -> int:
        """The most epochs of a fit."""
        fixed, space = self.hyperparameters["epochs"], self.space.get("epochs")
        asked = fixed or (max(space) if isinstance(space, list) else space["high"] if space else self.start["epochs"])
        return min(int(asked), self.most_epochs or int(asked))

    def seconds(self, n_rows: int, n_columns: int, n_classes: int) -> float:
        """By what was measured of questions and answers of some thirty tokens through a million weights."""
        return n_rows * SECONDS_OF_A_ROW * PART_OF_A_STEP.get(self.way, 1.0) * self.rounds

    def affordable(self, seconds: float, n_rows: int, n_columns: int, n_classes: int) -> Self:
        """With fewer epochs."""
        share = self.seconds(n_rows, n_columns, n_classes) / seconds
        return self if share <= 1 else replace(self, most_epochs=max(LEAST_EPOCHS, round(self.rounds / share)))

    def final(self, hyperparameters: Mapping[str, Any], rounds: int | None) -> tuple[dict[str, Any], int | None]:
        return dict(hyperparameters), rounds

    def footprint(
        self, workspace: Workspace, fitted: Fitted, hyperparameters: Mapping[str, Any], rounds: int | None,
        more_rows: float,
    ) -> Footprint:
        """As large as the fold's; of the time, two sums for each weight and each token of a row."""
        n_tokens = len(workspace.sequences.ids) / len(workspace.training.y)
        return Footprint(fitted.n_bytes / 1e6, 1.0 + 1000 * n_tokens * fitted.n_parameters / 1.5e7)

    def workspace(self, training: Training, base: Path | None, n_threads: int) -> Workspace:
        """With all pairs as tokens. A new tokenizer is learned from all training rows, those included that a fold
        validates on."""
        X, device = training.X, devices.device(self.device)
        with devices.named_memory(f"while the model was brought to device={device.type}", *SMALLER):
            if self.way == NEW:
                writer, ground = new(self.new, _texts(X), 0), None
            else:
                assert base is not None
                writer, ground = _base(base), _ground(base)
            writer.net.to(device)
        return Workspace(training, writer, Sequences.of(writer, X), ground)

    def validate(
        self, workspace: Workspace, fold: int, hyperparameters: Mapping[str, Any], seed: int,
        watch: Watch = unwatched, n_rows: int | None = None,
    ) -> Validated:
        rows, valid = workspace.training.fold(fold, n_rows)
        judge = _Judge(workspace.training, valid)
        fitted, progress = self._trained(workspace, rows, hyperparameters, seed, watch, self.rounds, judge)
        return Validated(judge.best, progress.epoch, tuple(progress.curve), fitted, tuple(progress.costs))

    def fit(
        self, workspace: Workspace, hyperparameters: Mapping[str, Any], rounds: int | None, seed: int,
        watch: Watch = unwatched, n_threads: int | None = None,
    ) -> Fitted:
        every, n_epochs = np.arange(len(workspace.training.y)), rounds or int(hyperparameters["epochs"])
        return self._trained(workspace, every, hyperparameters, seed, watch, n_epochs, None)[0]

    def _trained(
        self, workspace: Workspace, rows: Places, given: Mapping[str, Any], seed: int, watch: Watch, n_epochs: int,
        judge: _Judge | None,
    ) -> tuple[Fitted, Progress]:
        training, writer = workspace.training, workspace.writer
        asked = {**given, "checkpointing": self.checkpointing}
        with devices.memory_of_a_batch(given, len(rows), KEY, *self._less(given)):
            begun = WAYS[self.way](writer, asked, seed)
            plan = plan_of(writer, self.way, given, self.rounds, training.metric, seed)
            valid = None if judge is None else judge.valid
            weight = training.fit_weight(rows)
            progress = writing.train(begun.it, workspace.sequences, rows, weight, plan, judge, valid, watch, n_epochs)
        n_trained, adapters = begun.n_trained, begun.adapters()
        made = writer.of(begun.whole().cpu())
        most_new = writer.context - room(writer.context, workspace.sequences.longest)
        n_frozen = max(0, made.n_parameters - n_trained)
        return Fitted(made, most_new, n_frozen, workspace.note, adapters, workspace.ground), progress


    def _less(self, given: Mapping[str, Any]) -> list[str]:
        """What takes less memory, without smaller batches."""
        in_parts = int(given["accumulation"]) < int(given["batch_size"])
        found = [f"a larger {KEY}.hyperparameters.accumulation"] if in_parts else []
        return [*found, *([] if self.checkpointing else [f"{KEY}.checkpointing=true"]), *SMALLER]


@dataclass
class _Judge:
    """Scores epochs on the validation rows, and keeps the predictions of the best."""

    training: Training
    valid: Places
    best: Floats = field(default_factory=lambda: np.empty(0))
    value: float = float("nan")

    def __call__(self, predicted: Callable[[], Floats]) -> Score:
        training, prediction = self.training, predicted()
        y, weight = training.y[self.valid], None if training.weight is None else training.weight[self.valid]
        value = metrics.value(training.metric, y, prediction, weight)
        if not len(self.best) or metrics.better(training.metric, value, self.value):
            self.best, self.value = prediction, value
        return Score(value, training.loss.cost(y, prediction, weight))


def _texts(X: pd.DataFrame) -> list[str]:
    return [text for name in X for text in X[name].dropna()]


def _base(base: Path) -> Writer:
    """
    Raises:
        Refusal: where the base is of another kind.
    """
    folder = own_files(base)
    fitted = load_model(folder) if (folder / FAMILY).exists() else Fitted.load(folder)
    if not isinstance(fitted, Fitted):
        raise Refusal(f"base={base}: this is no text_generator; choose another base, or strategy=from_scratch.")
    return fitted.writer


def _ground(base: Path) -> Ground:
    known = provenance.read(base)
    return Ground.of(None if known is None else known.origin, of_weights(own_files(base)))
