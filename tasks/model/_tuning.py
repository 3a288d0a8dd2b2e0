"""Training an encoder, or its upper part, together with a linear head on it, epoch by epoch.

Notation: B texts' rows of a batch, T texts of a row, L tokens, H width, S other features, O outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from tasks.model import Curve, Floats, OutOfTimeError
from tasks.model._batches import Rehearsal, steps
from tasks.model._corpus import Below
from tasks.model._device import one_thread
from tasks.model._encoder import layers, mean_pooled
from tasks.model._head import Head, Singles
from tasks.model._loss import RowLosses
from tasks.model._tokens import Places, Tokens

EXPLODED = 1e6  # a cost that no target has: those of a regression are scaled to a variance of one
SORTED = 16  # batches among which rows of about one length are put together: a third less is padded
WARM_UP = 0.1  # of all steps, Devlin et al. 2018
TELLING = 0.75  # of the epochs: before, the learning rate is still so high that a curve says little of where it ends
ROWS_AT_ONCE = 64  # that are evaluated


@dataclass(frozen=True)
class Plan:
    """head_rate: learning rate of the head, as a multiple. decay: of the learning rate with each layer downwards.
    is_gradual: one more layer from the top is trained in each epoch. l2_sp: pull towards the weights that training
    began with. dropout: of what is in the net; its own generator draws it. rehearsal: rows of the source, which stand
    in every batch beside as many of the target as without them."""

    learning_rate: float
    head_rate: float
    decay: float
    epochs: int
    patience: int
    batch_size: int
    weight_decay: float
    l2_sp: float
    dropout: float
    is_gradual: bool
    is_higher_better: bool
    seed: int
    rehearsal: Rehearsal[Part] | None = None


@dataclass(frozen=True)
class Part:
    """texts: (n, T) which of the corpus each row has; side: (n, S); y: (n,) codes or scaled targets; weight: (n,)."""

    texts: Places
    side: Singles
    y: Floats
    weight: Floats

    def lengths(self, tokens: Tokens) -> Places:
        """(n,) of the longest text of each row."""
        return np.asarray(tokens.lengths[self.texts].max(axis=1, initial=1))

    def before(self, other: Part) -> Part:
        """Its rows, then those of another."""
        return Part(*(np.concatenate([own, vars(other)[name]]) for name, own in vars(self).items()))


@dataclass(frozen=True)
class Score:
    """Of an epoch on the validation rows: the watched value, and the cost."""

    value: float
    cost: float


@dataclass
class Progress:
    """The best epoch so far; `state` are the trained parameters then."""

    curve: list[tuple[int, float]] = field(default_factory=list)
    costs: list[tuple[int, float]] = field(default_factory=list)
    epoch: int = 0
    value: float = math.nan
    state: list[Tensor] = field(default_factory=list)

    def note(self, epoch: int, score: Score, *, is_higher_better: bool) -> bool:
        """Whether it is the best so far."""
        self.curve.append((epoch, score.value))
        self.costs.append((epoch, score.cost))
        value, best = score.value, self.value
        is_best = not self.epoch or (value > best if is_higher_better else value < best)
        if is_best:
            self.epoch, self.value = epoch, value
        return is_best


class Given(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """In the place of an encoder's embeddings: what lies below its first trained layer, as it was computed once."""

    hidden: Tensor

    def forward(self, *_: object, **__: object) -> Tensor:
        return self.hidden


class Dropout(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """Draws from a generator of its own, so that trials side by side stay as they are one after the other."""

    p = 0.0  # what transformers' attention reads of a dropout, which it would draw from the process's generator

    def __init__(self, share: float, generator: torch.Generator) -> None:
        super().__init__()
        self.share, self.generator = share, generator

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.share:
            return x
        kept = torch.rand(x.shape, generator=self.generator, device=x.device) >= self.share
        return x * kept / (1 - self.share)


@dataclass(frozen=True)
class Trainable:
    """A net with its tokens. below: (n_tokens, H) for a net whose embeddings are `Given`, or a function of ids and mask
    that computes it; None for a whole one. groups: parameters with their learning rates' multiples, the head's not
    among them; of a gradual training in the order in which they are let go."""

    net: nn.Module
    tokens: Tokens
    padding: int
    below: Singles | Below | None
    groups: Sequence[tuple[list[nn.Parameter], float]]

    @property
    def place(self) -> torch.device:
        """Where the net is."""
        return torch.device(next(self.net.parameters()).device)

    def to(self, place: torch.device) -> None:
        """Moves what computes there."""
        self.net.to(place)
        if isinstance(self.below, Below):
            self.below.net.to(place)

    def pooled(self, texts: Places) -> Tensor:
        """(B, T H) of texts (B, T)."""
        flat = texts.reshape(-1)
        ids, mask = (one.to(self.place) for one in self.tokens.padded(flat, self.padding))
        if self.below is not None:
            self._give(flat, ids, mask)
        hidden = self.net(input_ids=ids, attention_mask=mask).last_hidden_state
        return mean_pooled(hidden, mask).reshape(len(texts), -1)

    def _give(self, flat: Places, ids: Tensor, mask: Tensor) -> None:
        assert self.below is not None
        if isinstance(self.below, Below):
            with torch.no_grad():
                hidden = self.below(ids, mask)
        else:
            hidden = torch.from_numpy(np.array(self.below[self.tokens.places(flat)[0]])).to(self.place)
        self.net.embeddings.hidden = hidden


def groups_of(net: nn.Module, decay: float) -> list[tuple[list[nn.Parameter], float]]:
    """The layers from the top down, then what lies outside them, with `decay` to the power of their depth; a pooler,
    which nothing uses, is not among them."""
    stack = layers(net)
    found = [(list(layer.parameters()), decay**depth) for depth, layer in enumerate(reversed(stack))]
    layered = {id(parameter) for parameter in stack.parameters()}
    rest = [one for name, one in net.named_parameters() if "pooler" not in name and id(one) not in layered]
    return [*found, (rest, decay ** len(stack))] if rest else found


def train(
    it: Trainable, head: Head, rows: Part, losses: RowLosses, plan: Plan,
    look: Callable[[Callable[[], Floats]], Score] | None, valid: Part | None, watch: Callable[[Curve], None],
    n_epochs: int, place: torch.device,
) -> tuple[Head, Progress]:
    """The head as it is at the best epoch, to which the net is set too: judged by `look`, which gets a function that
    gives the outputs for the validation rows; without one after `n_epochs`, or as far as the time lasts. place: where
    it is trained; afterwards the net is on the CPU.

    Raises:
        ValueError: when the cost is no number any more, or explodes.
    """
    with one_thread:
        course = _Course(it, head, rows, losses, plan, place)
        progress = Progress()
        for epoch in range(1, n_epochs + 1):
            course.run(epoch, (lambda: watch(())) if look else (lambda: None))
            if look is None or valid is None:
                try:
                    watch(())
                except OutOfTimeError:
                    break
                continue
            score = look(lambda: course.outputs(valid))
            if progress.note(epoch, score, is_higher_better=plan.is_higher_better):
                progress.state = [one.detach().clone() for one in course.parameters]
            if epoch - progress.epoch >= plan.patience:
                break
            watch(progress.curve if epoch >= TELLING * plan.epochs else ())
        course.settle(progress.state)
        return course.head, progress


class _Course:
    """A training under way. rows: those of the target, then those that are rehearsed."""

    def __init__(
        self, it: Trainable, head: Head, rows: Part, losses: RowLosses, plan: Plan, place: torch.device
    ) -> None:
        self.it, self.losses, self.plan, self.place = it, losses, plan, place
        it.to(place)
        self.n_target = len(rows.y)
        self.rows = rows if plan.rehearsal is None else rows.before(plan.rehearsal.rows)
        seeds = np.random.SeedSequence(plan.seed).generate_state(3, np.uint64).tolist()
        self.shuffle, self.source = np.random.default_rng(seeds[0]), torch.Generator().manual_seed(seeds[2] % 2**63)
        seed_dropout(it.net, plan.dropout, torch.Generator(place).manual_seed(seeds[1] % 2**63))
        self.center, self.scale = self._single(head.center), self._single(head.scale)
        self.weight, self.bias = nn.Parameter(self._single(head.weight)), nn.Parameter(self._single(head.bias))
        self.lengths = self.rows.lengths(it.tokens)
        self.n_steps = steps(self.n_target, plan.batch_size)
        self.optimizer = self._optimizer()
        self.begun = [one.detach().clone() for one in self.parameters[2:]] if plan.l2_sp else []

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All that are trained, the head's first."""
        return [self.weight, self.bias, *(one for group, _ in self.it.groups for one in group)]

    @property
    def head(self) -> Head:
        parts = self.center, self.scale, self.weight, self.bias
        return Head(*(one.detach().cpu().double().numpy().copy() for one in parts))

    def settle(self, state: Sequence[Tensor]) -> None:
        """Sets what was trained to that state, and the net to predicting."""
        with torch.no_grad():
            for parameter, value in zip(self.parameters, state, strict=False):
                parameter.copy_(value)
        self.it.net.eval().requires_grad_(False)
        self.it.to(torch.device("cpu"))

    def run(self, epoch: int, look: Callable[[], None]) -> None:
        """One epoch; `look` is called after every step."""
        self.it.net.train()
        if self.plan.is_gradual:
            for depth, (group, _) in enumerate(self.it.groups):
                for parameter in group:
                    parameter.requires_grad_(depth < epoch)
        costs = list[Tensor]()
        for step, batch in enumerate(self._batches()):
            self._set_rates((epoch - 1 + step / self.n_steps) / self.plan.epochs)
            self.optimizer.zero_grad()
            cost = self._cost(batch)
            cost.backward()
            nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            costs.append(cost.detach())
            look()
        mean = float(torch.stack(costs).double().mean())  # looked at once: each look waits for the device
        if not mean < EXPLODED:
            raise ValueError(f"the cost was {mean:.3g} in epoch {epoch} at a learning rate of "
                             f"{self.plan.learning_rate:.3g}: a smaller one may hold it")  # fmt: skip

    def outputs(self, part: Part) -> Floats:
        """(n, O) without dropout."""
        self.it.net.eval()
        found = np.empty((len(part.y), self.bias.numel()))
        order = np.argsort(part.lengths(self.it.tokens), kind="stable")
        with torch.no_grad():
            for begin in range(0, len(order), ROWS_AT_ONCE):
                rows = order[begin : begin + ROWS_AT_ONCE]
                found[rows] = self._raw(part, rows).cpu().double().numpy()
        return found

    def _raw(self, part: Part, rows: Places) -> Tensor:
        pooled, rest = self.it.pooled(part.texts[rows]), torch.from_numpy(part.side[rows]).to(self.place)
        return ((torch.cat([pooled, rest], 1) - self.center) / self.scale) @ self.weight + self.bias

    def _cost(self, rows: Places) -> Tensor:
        losses = self.losses(self._raw(self.rows, rows)[None], self._single(self.rows.y[rows])[None])[0]
        cost = (losses * self._single(self.rows.weight[rows])).mean()
        if self.begun:
            apart = ((now - then).square().sum() for now, then in zip(self.parameters[2:], self.begun, strict=True))
            cost = cost + self.plan.l2_sp * sum(apart)
        return cost

    def _batches(self) -> Iterator[Places]:
        """All rows of the target, shuffled, and beside them some of the source."""
        batches = self._alike(self.shuffle.permutation(self.n_target), self.plan.batch_size)
        if (rehearsal := self.plan.rehearsal) is not None:
            drawn = self.n_target + rehearsal.places(self.n_steps, self.source).flatten().numpy()
            beside = self._alike(drawn, rehearsal.n_rows)
            batches = [np.concatenate(both) for both in zip(batches, beside, strict=True)]
        yield from (batches[k] for k in self.shuffle.permutation(len(batches)))

    def _alike(self, order: Places, size: int) -> list[Places]:
        """Batches of so many rows, which are put together by length among some batches."""
        batches = list[Places]()
        for begin in range(0, len(order), SORTED * size):
            some = order[begin : begin + SORTED * size]
            some = some[np.argsort(self.lengths[some], kind="stable")]
            batches += [some[one : one + size] for one in range(0, len(some), size)]
        return batches

    def _single(self, values: Floats) -> Tensor:
        return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(self.place)

    def _optimizer(self) -> torch.optim.AdamW:
        plan = self.plan
        groups = [{"params": [self.weight, self.bias], "share": plan.head_rate}]
        groups += [{"params": group, "share": share} for group, share in self.it.groups]
        return torch.optim.AdamW(groups, lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=True)

    def _set_rates(self, done: float) -> None:
        """Up to the learning rate while warming up, then straight down to nothing."""
        share = min(done / WARM_UP, (1 - done) / (1 - WARM_UP)) if done < 1 else 0.0
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.learning_rate * group["share"] * max(share, 1e-3)


def seed_dropout(net: nn.Module, share: float, generator: torch.Generator) -> None:
    """A dropout of our own in the place of every one of the net's."""
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout):
                setattr(module, name, Dropout(share, generator))
