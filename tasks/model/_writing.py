"""Training a causal language model on the responses of pairs, epoch by epoch, and judging it by each response's loss.

Notation: B sequences of a batch, L tokens, V tokens of the vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tasks.model import Curve, Floats, OutOfTimeError
from tasks.model._device import one_thread
from tasks.model._generator import hidden_states
from tasks.model._pairs import Places, Sequences
from tasks.model._tuning import EXPLODED, SORTED, TELLING, Progress, Score, seed_dropout

LEAST = 1e-9  # of the weights of a batch, which may all be 0
Groups = Sequence[tuple[list[nn.Parameter], float]]


@dataclass(frozen=True)
class Plan:
    """warm_up: share of all steps. accumulation: parts that a batch is passed through in, one after the other. others:
    see `tuning.Plan`."""

    learning_rate: float
    warm_up: float
    epochs: int
    patience: int
    batch_size: int
    accumulation: int
    weight_decay: float
    dropout: float
    l2_sp: float
    is_gradual: bool
    is_higher_better: bool
    seed: int


@dataclass(frozen=True)
class Trainable:
    """A net that is trained in place. groups: its trained parameters with their learning rates' multiples; of a gradual
    training in the order in which they are let go. is_plain: see `Writer`. recomputes: whether layers' activations are
    computed again on the way back instead of kept, which takes a third more time and much less memory."""

    net: nn.Module
    groups: Groups
    is_plain: bool
    recomputes: bool = False

    @property
    def device(self) -> torch.device:
        return next(iter(self.net.parameters())).device


def losses(net: nn.Module, ids: Tensor, is_learned: Tensor, *, is_plain: bool) -> Tensor:
    """(n_learned,) the cross-entropy of the learned tokens, row by row. ids: (B, L). is_learned: (B, L - 1)."""
    if is_plain:
        logits = net.get_output_embeddings()(hidden_states(net, ids[:, :-1])[is_learned])
    else:
        logits = net(input_ids=ids[:, :-1], use_cache=False).logits[is_learned]
    return nn.functional.cross_entropy(logits.float(), ids[:, 1:][is_learned], reduction="none")


def judged(net: nn.Module, sequences: Sequences, rows: Places, *, is_plain: bool) -> Floats:
    """(n, 2) of some rows the loss over the tokens of their responses, in nats, and their number."""
    which, owner = sequences.of_rows(rows)
    found = np.zeros((len(which), 2))
    device = next(iter(net.parameters())).device
    with torch.inference_mode():
        for places in sequences.batches(which):
            ids, is_learned = sequences.batch(which[places], device)
            by_token = torch.zeros(is_learned.shape, device=device)
            by_token[is_learned] = losses(net, ids, is_learned, is_plain=is_plain)
            found[places, 0] = by_token.double().sum(1).cpu().numpy()
    found[:, 1] = sequences.n_learned[which]
    return np.stack([np.bincount(owner, found[:, place], len(rows)) for place in range(2)], axis=1)


def train(
    it: Trainable, sequences: Sequences, rows: Places, weight: Floats | None, plan: Plan,
    look: Callable[[Callable[[], Floats]], Score] | None, valid: Places | None, watch: Callable[[Curve], None],
    n_epochs: int,
) -> Progress:
    """Trains the net in place, up to its best epoch: judged by `look`, which gets a function that gives the prediction
    of the validation rows; without one after `n_epochs`, or as far as the time lasts.

    weight: (n,) of the rows, or None.

    Raises:
        ValueError: when the cost is no number any more, or explodes.
    """
    with one_thread:
        course, progress = _Course(it, sequences, rows, weight, plan), Progress()
        for epoch in range(1, n_epochs + 1):
            course.run(epoch, (lambda: watch(())) if look else (lambda: None))
            if look is None or valid is None:
                try:
                    watch(())
                except OutOfTimeError:
                    break
                continue
            score = look(lambda: course.judged(valid))
            if progress.note(epoch, score, is_higher_better=plan.is_higher_better):
                progress.state = [one.detach().clone() for one in course.parameters]
            if epoch - progress.epoch >= plan.patience:
                break
            watch(progress.curve if epoch >= TELLING * plan.epochs else ())
        course.settle(progress.state)
        return progress


class _Course:
    """A training under way."""

    def __init__(
        self, it: Trainable, sequences: Sequences, rows: Places, weight: Floats | None, plan: Plan
    ) -> None:
        self.it, self.sequences, self.plan = it, sequences, plan
        self.which, owner = sequences.of_rows(rows)
        self.weight = np.ones(len(self.which)) if weight is None else weight[owner]
        seeds = np.random.SeedSequence(plan.seed).generate_state(2, np.uint64).tolist()
        self.shuffle = np.random.default_rng(seeds[0])
        seed_dropout(it.net, plan.dropout, torch.Generator(it.device).manual_seed(seeds[1] % 2**63))
        if it.recomputes:
            it.net.activation_checkpointing_enable({"use_reentrant": False})
        self.n_steps = math.ceil(len(self.which) / plan.batch_size)
        self.parameters = [one for group, _ in it.groups for one in group]
        self.optimizer = torch.optim.AdamW(
            [{"params": group, "share": share} for group, share in it.groups], lr=plan.learning_rate,
            betas=(0.9, 0.95), weight_decay=plan.weight_decay, fused=True,
        )  # fmt: skip
        self.begun = [one.detach().clone() for one in self.parameters] if plan.l2_sp else []

    def judged(self, rows: Places) -> Floats:
        self.it.net.eval()
        return judged(self.it.net, self.sequences, rows, is_plain=self.it.is_plain)

    def settle(self, state: Sequence[Tensor]) -> None:
        """Sets what was trained to that state, and the net to predicting."""
        with torch.no_grad():
            for parameter, value in zip(self.parameters, state, strict=False):
                parameter.copy_(value)
        if self.it.recomputes:
            self.it.net.activation_checkpointing_disable()
        self.it.net.eval().requires_grad_(False)

    def run(self, epoch: int, look: Callable[[], None]) -> None:
        """One epoch; `look` is called after every step."""
        self.it.net.train()
        if self.plan.is_gradual:
            for depth, (group, _) in enumerate(self.it.groups):
                for parameter in group:
                    parameter.requires_grad_(depth < epoch)
        total = torch.zeros((), device=self.it.device)
        for step, batch in enumerate(self._batches()):
            self._set_rates((epoch - 1 + step / self.n_steps) / self.plan.epochs)
            self.optimizer.zero_grad()
            total += self._step(batch)
            nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            look()
        if not float(total) / self.n_steps < EXPLODED:
            raise ValueError(f"the cost was {float(total) / self.n_steps:.3g} in epoch {epoch} at a learning rate of "
                             f"{self.plan.learning_rate:.3g}: a smaller one may hold it")  # fmt: skip

    def _step(self, batch: Places) -> Tensor:
        """The cost of a batch, whose gradient is added up part by part: the mean over the tokens of all of them, each
        with its row's weight."""
        n_all = max(float(self.weight[batch] @ self.sequences.n_learned[self.which[batch]]), LEAST)
        cost = torch.zeros((), device=self.it.device)
        for part in np.array_split(batch, min(self.plan.accumulation, len(batch))):
            found = self._sum(part) / n_all
            found.backward()
            cost += found.detach()
        if self.begun:
            apart = sum((now - then).square().sum() for now, then in zip(self.parameters, self.begun, strict=True))
            (self.plan.l2_sp * apart).backward()
        return cost

    def _sum(self, batch: Places) -> Tensor:
        ids, is_learned = self.sequences.batch(self.which[batch], self.it.device)
        found = losses(self.it.net, ids, is_learned, is_plain=self.it.is_plain)
        weight = np.repeat(self.weight[batch], self.sequences.n_learned[self.which[batch]])
        return found @ torch.from_numpy(weight.astype(np.float32)).to(found.device)

    def _batches(self) -> Iterator[Places]:
        """Places of all sequences, shuffled, then put together by length among some batches."""
        lengths = self.sequences.lengths[self.which]
        order, size = self.shuffle.permutation(len(lengths)), self.plan.batch_size
        batches = list[Places]()
        for begin in range(0, len(order), SORTED * size):
            some = order[begin : begin + SORTED * size]
            some = some[np.argsort(lengths[some], kind="stable")]
            batches += [some[one : one + size] for one in range(0, len(some), size)]
        yield from (batches[k] for k in self.shuffle.permutation(len(batches)))

    def _set_rates(self, done: float) -> None:
        """Up to the learning rate while warming up, then straight down to nothing."""
        up = self.plan.warm_up
        share = min(done / up if up else 1.0, (1 - done) / (1 - up)) if done < 1 else 0.0
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.learning_rate * group["share"] * max(share, 1e-3)
