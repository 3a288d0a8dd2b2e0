"""Sentences and documents through a pre-trained encoder, with other columns beside them, in PyTorch.

An encoder is any of Hugging Face's kind that gives a vector per token. A text is the mean of its tokens' vectors
(Reimers and Gurevych 2019, Sentence-BERT); texts and the other columns are the features of a linear head.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field

from tasks.loss import Loss
from tasks.model import FAMILY, Floats, Training, Validated, Watch, Weights, _words, own_files, unsupported, unwatched
from tasks.model import _estimator as estimators
from tasks.model import load as load_model
from tasks.model._going_on import Knobs, out_of_limits, rehearsed
from tasks.records import Footprint, Problem
from tasks.refusal import Refusal

try:
    import torch

    from tasks.model import _encoder as encoders
    from tasks.model import _tuning as tuning
    from tasks.model._adapters import Adapters
    from tasks.model._corpus import Corpus, coded, embed
    from tasks.model._device import absent, device, get_ready, memory_of_a_batch
    from tasks.model._encoder import Body
    from tasks.model._encoder_ways import WAYS, as_body, plan_of
    from tasks.model._head import Head, Singles, blocks, side
    from tasks.model._inputs import Inputs
    from tasks.model._loss import row_losses, trainable
    from tasks.model._new_classes import places_of
    from tasks.model._text_rows import MOST, Begin, Encoded, Judge, Workspace, beside
    from tasks.model._unit import Unit
except ImportError as missing:
    raise Refusal(f'model=text_encoder needs more packages ({missing}): pip install "finefold[text]"') from missing

PACKAGES = ("safetensors", "tokenizers", "torch", "transformers")
HEAD = "head.safetensors"
FROZEN, WORDS = "feature_extraction", "from_scratch"
LEAST_EPOCHS = 1
# Of some 25 tokens through six layers of width 384, on one core of some 3 GHz.
SECONDS_OF_A_PASS = 0.005
SECONDS_OF_A_STEP = {"full": 0.025, "lora": 0.02, "last_layers": 0.008, "gradual": 0.008}  # of a row
SMALLER = ("a smaller model.text_encoder.hyperparameters.max_len", "a smaller encoder")  # where memory runs out
TOKENS = 32  # that a text is taken to have, where nothing is known of it
SUMS_OF_A_MILLISECOND = 3e7
N_MEASURED = 1000  # rows by which a text's length is known


@dataclass(frozen=True)
class Fitted:
    """An encoder with a head. text: the columns that it reads. n_frozen: of its parameters, how many are as they were.
    shares: of the columns in the outputs. note: what is to be said of the texts that it was fitted on. adapters: what
    was trained of the encoder, where these are low-rank; of a model that was loaded there are none, they are merged."""

    body: Body
    head: Head
    inputs: Inputs
    unit: Unit
    text: tuple[str, ...]
    max_len: int
    n_frozen: int
    shares: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    adapters: Adapters | None = None

    packages = PACKAGES

    @property
    def n_parameters(self) -> int:
        """The encoder's and the head's."""
        return self.body.n_parameters + self.head.n_parameters

    def predict(self, X: pd.DataFrame) -> Floats:
        return self.predicted(self.features(X))

    def predicted(self, Z: Singles) -> Floats:
        return self.unit.prediction(torch.from_numpy(self.head.outputs(Z)))

    def features(self, X: pd.DataFrame) -> Singles:
        """(n, T H + S) the texts, one encoder pass for each different one, and the other columns."""
        texts, codes = coded(X, self.text)
        tokens = self.body.tokens(texts, self.max_len)
        found = np.empty((len(texts), self.body.width), np.float32)
        embed(self.body, tokens, found, 1)
        flat = np.ascontiguousarray(found[codes]).reshape(len(X), len(self.text) * self.body.width)
        return np.hstack([flat, side(self.inputs, X)])

    def importance(self) -> dict[str, float]:
        """Share of each column in the spread of the outputs over training rows."""
        return dict(self.shares)

    def weights(self) -> Weights:
        """The encoder's; not the head's, which mostly begins anew."""
        return self.body.weights()

    def weighed(self, Z: Singles, order: list[str]) -> Fitted:
        """With the importance of each column, named in that order, by some features."""
        found = self.head.effects(Z, blocks(self.inputs, self.text, self.body.width))
        return replace(self, shares={name: found[name] for name in order})

    def save_adapters(self, folder: Path) -> None:
        """The adapters and the head alone."""
        assert self.adapters is not None
        self.adapters.save(folder)
        self.head.save(folder / HEAD)

    @property
    def n_bytes(self) -> float:
        """About what `save` writes."""
        tokenizer = len(self.body.tokenizer.to_str(pretty=True))
        head = 8 * (self.head.n_parameters + 2 * len(self.head.center))
        return 4 * self.body.n_parameters + tokenizer + head + sum(estimators.dumped_bytes(self.inputs.parts))

    def save(self, folder: Path) -> None:
        """The encoder as a folder of Hugging Face's kind, and beside it what is ours."""
        self.body.save(folder)
        self.head.save(folder / HEAD)
        self.inputs.save(folder)
        kept = {"unit": asdict(self.unit), "text": self.text, "max_len": self.max_len, "n_frozen": self.n_frozen,
                "shares": dict(self.shares), "note": self.note}  # fmt: skip
        (folder / "text.json").write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Fitted:
        kept = json.loads((folder / "text.json").read_text(encoding="utf-8"))
        unit, text = Unit(**kept.pop("unit")), tuple(kept.pop("text"))
        head = Head.load(folder / HEAD)
        return cls(Body.load(folder), head, Inputs.load(folder), unit, text, **kept)


@dataclass(frozen=True)
class TextEncoder:
    """The family. encoder: None for the one that comes as a package, a folder, or an id of Hugging Face's hub; a base
    takes its place. way: how it goes on from there. by_strategy: for each way the hyperparameters that it has beside
    the others, with start, space and grid. min_rows: see `Inputs`. most_epochs: of any fit (None: as the hyperparameter
    says). device: where it trains. strangers: hyperparameters of a strategy that it has no use for."""

    hyperparameters: dict[str, Any]
    start: dict[str, Any]
    space: dict[str, Any]
    grid: dict[str, Any]
    portfolio: list[dict[str, Any]]
    by_strategy: dict[str, dict[str, dict[str, Any]]]
    way: str
    encoder: str | None
    device: Literal["auto", "cpu", "cuda", "mps"]
    min_rows: Annotated[int, Field(ge=1)]
    most_epochs: Annotated[int, Field(ge=1)] | None
    strangers: dict[str, Any] = field(default_factory=dict)

    reads_text = True
    is_pretrained = True
    rounds_are_epochs = True
    takes_new_classes = True  # each gets an output of the head
    packages = PACKAGES

    @property
    def ways(self) -> tuple[str, ...]:
        return tuple(self.by_strategy)

    def going_on(self, way: str, knobs: Knobs) -> Self:
        """With the hyperparameters of that way; those of the strategy take the place of its own of the same name, but
        for where a search starts, which suits encoders."""
        own = self.by_strategy[way]
        common = {key: value for key, value in self.hyperparameters.items() if key != "penalty" or way not in WAYS}
        given = {**common, **own.get("hyperparameters", {})}
        strangers = {key: value for key, value in knobs.hyperparameters.items() if key not in given and value}
        given |= {key: value for key, value in knobs.hyperparameters.items() if key in given}

        def merged(part: str) -> dict[str, Any]:
            of_way, of_strategy = own.get(part, {}), getattr(knobs, part)
            found = {**getattr(self, part), **of_way, **of_strategy, **(of_way if part == "start" else {})}
            return {key: value for key, value in found.items() if key in given and given[key] is None}

        return replace(
            self, way=way, hyperparameters=given, start=merged("start"), space=merged("space"), grid=merged("grid"),
            portfolio=self.portfolio if way == self.way else [], strangers=strangers,
        )  # fmt: skip

    def check(self, problem: Problem, loss: Loss) -> list[str]:
        linear = ["cross_entropy"] if problem.is_classification else ["mse", "rmse"]
        faults = unsupported("text_encoder", loss, trainable(problem) if self.way in WAYS else linear, problem.kind)
        if self.hyperparameters.get("n_layers") == 0:
            faults.append("strategy.hyperparameters.n_layers=0 leaves the head; choose strategy=feature_extraction.")
        return faults + absent(self.device) + out_of_limits(self.hyperparameters) + [
            f"strategy.hyperparameters.{key}={value}: text_encoder has none in strategy={self.way}; leave it out."
            for key, value in self.strangers.items()
        ]

    def begins_with(self) -> tuple[Path, str] | None:
        """The folder of the encoder that is gone on from where there is no base, and its name; None where none is.

        Raises:
            Refusal: where there is none, or none that can be read safely.
        """
        if self.way == WORDS:
            return None
        folder = encoders.folder_of(self.encoder)
        encoders.check(folder)
        return folder, self.encoder or encoders.EMBEDDED

    def beginning_with(self, base: Path) -> Self:
        """With the encoder of a base that has one, whatever was made of it."""
        folders = sorted(path.parent for path in base.rglob(HEAD))
        return replace(self, encoder=str(folders[0])) if folders else self

    def weights(self, base: Path | None) -> str:
        """The digest of the encoder that is gone on from.

        Raises:
            Refusal: where there is none, or none that can be read safely.
        """
        if self.way == WORDS:
            return ""
        folder = encoders.folder_of(self.encoder) if base is None else own_files(base)
        encoders.check(folder)
        return encoders.digest(folder)

    @property
    def rounds(self) -> int:
        """The most epochs of a fit. Raises an AttributeError in a way that has none."""
        if self.way not in WAYS:
            raise AttributeError("rounds")
        fixed, space = self.hyperparameters["epochs"], self.space.get("epochs")
        asked = fixed or (max(space) if isinstance(space, list) else space["high"] if space else self.start["epochs"])
        return min(int(asked), self.most_epochs or int(asked))

    def seconds(self, n_rows: int, n_columns: int, n_classes: int) -> float:
        """By what was measured of short sentences through six layers. What is computed once is not counted."""
        if self.way in WAYS:
            return n_rows * (SECONDS_OF_A_STEP[self.way] * self.rounds + SECONDS_OF_A_PASS)
        letters = self.hyperparameters.get("letters") if self.way == WORDS else 0
        runs = max(0, (self.start["letters"] if letters is None else int(letters)) - 1)
        return 0.05 + n_rows * (1e-4 + 1.2e-4 * runs)

    def affordable(self, seconds: float, n_rows: int, n_columns: int, n_classes: int) -> Self:
        """With fewer epochs."""
        share = self.seconds(n_rows, n_columns, n_classes) / seconds
        if self.way not in WAYS or share <= 1:
            return self
        return replace(self, most_epochs=max(LEAST_EPOCHS, round(self.rounds / share)))

    def final(self, hyperparameters: Mapping[str, Any], rounds: int | None) -> tuple[dict[str, Any], int | None]:
        return dict(hyperparameters), rounds

    def footprint(
        self, workspace: Workspace, fitted: Any, hyperparameters: Mapping[str, Any], rounds: int | None,
        more_rows: float,
    ) -> Footprint:
        """As large as the fold's; of the time, a sum for each of the encoder's weights and each token."""
        if isinstance(fitted, _words.Fitted):
            return fitted.footprint(more_rows, workspace.training.some(N_MEASURED)[0])
        n_sums = fitted.body.depth * 12 * fitted.body.width**2 * TOKENS * 1000 * len(fitted.text)
        return Footprint(fitted.n_bytes / 1e6, 1.0 + n_sums / SUMS_OF_A_MILLISECOND)

    def workspace(self, training: Training, base: Path | None, n_threads: int) -> Workspace:
        """With what the unchanged encoder makes of all texts, where training begins with that.

        Raises:
            Refusal: for rehearsal without rows.
        """
        if self.way == WORDS:
            return Workspace(training, None, self.min_rows)
        get_ready()
        folder = encoders.folder_of(self.encoder) if base is None else own_files(base)
        body, digest, place = Body.load(folder), encoders.digest(folder), device(self.device)
        begin, X, source = None, training.X, None
        if base is not None and (folder / FAMILY).exists():
            begin, rows = _begin(base, training.problem), rehearsed(self.hyperparameters, base, training.problem)
            if rows is not None:
                X, source = pd.concat([X, rows.X], ignore_index=True), beside(rows, begin.inputs, training)
        corpus = Corpus.of(X, training.text, body, digest, training.computed, place)
        if training.text and (begin is None or self.way == FROZEN):
            corpus.features(np.arange(1), int(self.hyperparameters["max_len"] or self.start["max_len"]))
        return Workspace(training, corpus, self.min_rows, begin, source)

    def validate(
        self, workspace: Workspace, fold: int, hyperparameters: Mapping[str, Any], seed: int,
        watch: Watch = unwatched, n_rows: int | None = None,
    ) -> Validated:
        encoded = workspace.fold(fold, n_rows)
        assert encoded.valid is not None
        if self.way == WORDS:
            words = self._words(workspace, encoded, hyperparameters)
            return Validated(words.predict(workspace.training.X.iloc[encoded.valid.rows]), None, (), words)
        if self.way == FROZEN:
            fitted = self._frozen(workspace, encoded, hyperparameters)
            Z = workspace.features(encoded.valid, fitted.max_len)
            return Validated(fitted.predicted(Z), None, (), fitted)
        judge = Judge(workspace, encoded, encoded.valid)
        fitted, progress = self._trained(workspace, encoded, hyperparameters, seed, watch, self.rounds, judge)
        return Validated(judge.best, progress.epoch, tuple(progress.curve), fitted, tuple(progress.costs))

    def fit(
        self, workspace: Workspace, hyperparameters: Mapping[str, Any], rounds: int | None, seed: int,
        watch: Watch = unwatched, n_threads: int | None = None,
    ) -> Any:
        encoded = workspace.all_rows()
        if self.way == WORDS:
            return self._words(workspace, encoded, hyperparameters)
        if self.way == FROZEN:
            return self._frozen(workspace, encoded, hyperparameters)
        n_epochs = rounds or int(hyperparameters["epochs"])
        return self._trained(workspace, encoded, hyperparameters, seed, watch, n_epochs, None)[0]

    def _words(self, workspace: Workspace, encoded: Encoded, given: Mapping[str, Any]) -> _words.Fitted:
        training, train = workspace.training, encoded.train
        return _words.fit(
            training.X.iloc[train.rows], training.text, train.y, train.weight, len(training.problem.classes),
            float(given["penalty"]), int(given["words"]), int(given["letters"]), self.min_rows, MOST,
        )  # fmt: skip

    def _frozen(self, workspace: Workspace, encoded: Encoded, given: Mapping[str, Any]) -> Fitted:
        head, body = workspace.head(encoded, given), workspace.texts.body
        made = _fitted(workspace, encoded, body, head, int(given["max_len"]), body.n_parameters)
        Z = workspace.features(encoded.train.some(), made.max_len)
        return made.weighed(Z, list(map(str, workspace.training.X)))

    def _trained(
        self, workspace: Workspace, encoded: Encoded, given: Mapping[str, Any], seed: int, watch: Watch,
        n_epochs: int, judge: Judge | None,
    ) -> tuple[Fitted, tuning.Progress]:
        with memory_of_a_batch(given, len(encoded.train.y), f"model.text_encoder.by_strategy.{self.way}", *SMALLER):
            return self._trained_there(workspace, encoded, given, seed, watch, n_epochs, judge)

    def _trained_there(
        self, workspace: Workspace, encoded: Encoded, given: Mapping[str, Any], seed: int, watch: Watch,
        n_epochs: int, judge: Judge | None,
    ) -> tuple[Fitted, tuning.Progress]:
        corpus, unit, loss = workspace.texts, encoded.unit, workspace.training.loss
        if self.way == "gradual":
            given = {**given, "n_layers": min(int(given["epochs"]), corpus.body.depth)}
        begun = WAYS[self.way](corpus, given, seed)
        plan = plan_of(self.way, given, self.rounds, workspace.training.metric, seed)
        head, progress = tuning.train(
            begun.it, workspace.first_head(encoded, given), encoded.train.part(corpus, unit),
            row_losses(loss, unit.scale), replace(plan, rehearsal=workspace.rehearsal(encoded, given)), judge,
            None if judge is None else judge.valid.part(corpus, unit), watch, n_epochs, corpus.place,
        )  # fmt: skip
        adapters, body = begun.adapters(), as_body(begun, corpus.body)
        made = _fitted(workspace, encoded, body, head, int(given["max_len"]), body.n_parameters - begun.n_trained)
        some = workspace.training.X.iloc[encoded.train.some().rows]
        made = made.weighed(made.features(some), list(map(str, workspace.training.X)))
        return replace(made, adapters=adapters), progress


def _fitted(
    workspace: Workspace, encoded: Encoded, body: Body, head: Head, max_len: int, n_frozen: int
) -> Fitted:
    corpus = workspace.texts
    tokens, read = corpus.tokens(max_len), min(max_len, body.most_tokens)
    more = "the encoder reads no more"
    if read < body.most_tokens:
        more = "model.text_encoder.hyperparameters.max_len reads more"
    note = "" if not tokens.n_cut else (
        f"{tokens.n_cut:,} of {len(tokens):,} texts are longer than {read} tokens, and what follows is left out; {more}"
    )
    return Fitted(body, head, encoded.inputs, encoded.unit, workspace.training.text, max_len, n_frozen, note=note)


def _begin(base: Path, problem: Problem) -> Begin:
    """
    Raises:
        Refusal: where the base is of another kind.
    """
    fitted = load_model(own_files(base))
    if not isinstance(fitted, Fitted):
        raise Refusal(f"base={base}: this is no text_encoder with an encoder of its own; choose strategy=from_scratch.")
    unit = replace(fitted.unit, n_classes=len(problem.classes))
    return Begin(fitted.inputs, unit, fitted.head, places_of(base, problem))
