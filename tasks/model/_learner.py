"""What of stacked nets is trained: all of it, or of nets that begin as a base some layers, or adapters of low rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.model._net import Stack
from tasks.optimizer import KnowsItsDecay, Optimizer

DOWN, UP = ".down", ".up"  # of an adapter: (inputs, rank) and (rank, outputs)


@dataclass(frozen=True)
class Group:
    """Parameters that are trained from an epoch on, at a share of the learning rate."""

    names: tuple[str, ...]
    epoch: int = 1
    rate: float = 1.0


@dataclass(frozen=True)
class Tuning:
    """How nets that begin as a base are trained. What no group names is frozen, but for what adapters of a rank add to
    weights of layers (0: nothing).

    l2_sp: alpha of Li et al. 2018, L2-SP, eq. 3: alpha / 2 times the squared distance of all that is trained from where
    it began is added to the cost; theirs has another factor for what the base lacks, ours is the same.
    """

    groups: Sequence[Group]
    rank: int = 0
    l2_sp: float = 0.0

    def rates(self, epoch: int) -> dict[str, float]:
        """What is trained in an epoch, and its share of the learning rate."""
        return {name: group.rate for group in self.groups if group.epoch <= epoch for name in group.names}

    def adapted(self, net: Mapping[str, Tensor]) -> list[str]:
        """The weights of layers that are frozen but for an adapter."""
        named = {name for group in self.groups for name in group.names}
        return [name for name in net if self.rank and name.startswith("weight.") and name not in named]


class Learner:
    """Stacked nets and the optimizer of what is trained of them. Without a tuning that is everything; with one, all
    nets are of one shape, and what is frozen is never given to the optimizer.

    nets: what they begin as. rate: the learning rate that all have, or 1. decays: the weight decay of each. like: a
    tensor of the type and on the device that they are trained in.
    """

    def __init__(
        self, nets: Sequence[Mapping[str, Tensor]], optimizer: Optimizer, rate: float, decays: Sequence[float],
        tuning: Tuning | None, like: Tensor, generators: Sequence[torch.Generator],
    ) -> None:
        self.tuning, self._optimizer, self._rate, self._decays = tuning, optimizer, rate, list(decays)
        self._like, self._rates = like, dict[str, float]()
        self._owner: Tensor | None = None  # of every number its net
        self.start: dict[str, Tensor] = {}
        if tuning is None:
            self._bind(nets)
            return
        self.start = {name: torch.stack([net[name] for net in nets]).to(like) for name in nets[0]}
        self.adapted = tuning.adapted(nets[0])
        adapters = [_adapters(net, self.adapted, tuning.rank, its) for net, its in zip(nets, generators, strict=True)]
        self._rates = tuning.rates(1)
        trained = [{name: net[name] for name in self._rates} for net in nets]
        self._bind([{**own, **its} for own, its in zip(trained, adapters, strict=True)])

    def begin(self, epoch: int) -> None:
        """Trains what is to be trained from this epoch on; where that becomes more, the optimizer begins anew."""
        rates = self._rates if self.tuning is None else self.tuning.rates(epoch)
        if rates.keys() == self._rates.keys():
            return
        nets = [self.net(k) for k in range(len(self.stack.shapes))]
        self._rates = rates
        self._bind([{name: net[name] for name in rates} for net in nets])

    def _bind(self, trained: Sequence[Mapping[str, Tensor]]) -> None:
        self.stack = Stack(trained, self._like)
        is_one = len(set(self._decays)) == 1
        self._decay = None if is_one else self.stack.flat.new_tensor(self._decays)
        self.optimizer = self._optimizer.make(self.stack.flat, self._rate, self._decays[0] if is_one else 0.0)
        self._share, self._owner = self._shares(), None

    def _shares(self) -> Tensor | None:
        """Of the learning rate for every number that is trained; None where all are 1."""
        if all(rate == 1 for rate in self._rates.values()):
            return None
        shares = torch.ones_like(self.stack.flat)
        for name, part in self.stack.parts(len(self.stack.shapes)).items():
            shares[part] = self._rates.get(name, 1.0)
        return shares

    @property
    def n_trained(self) -> int:
        """Of each net."""
        return int(self.stack.flat.numel()) // len(self.stack.shapes)

    def parameters(self) -> dict[str, Tensor]:
        """(M, ...) each, as the nets compute with them."""
        trained = self.stack.tensors
        if self.tuning is None:
            return trained
        made = {**self.start, **{name: trained[name] for name in self._rates}}
        for name in self.adapted:  # alpha of Hu et al. 2021 is the rank, so that the learning rate alone scales
            made[name] = torch.baddbmm(self.start[name], trained[name + DOWN], trained[name + UP])
        return made

    def pull(self, parameters: Mapping[str, Tensor]) -> Tensor | float:
        """L2-SP's part of the cost, summed over the nets."""
        if self.tuning is None or not self.tuning.l2_sp:
            return 0.0
        names = [*self._rates, *self.adapted]
        distances = [(parameters[name] - self.start[name]).square().sum() for name in names]
        return self.tuning.l2_sp / 2 * torch.stack(distances).sum()

    def step(self, rate: float | Tensor) -> None:
        """One step of the optimizer at a learning rate, or at one of each net, (M,). Steps are linear in it, so that a
        part of a step is the step of a smaller rate."""
        is_one = isinstance(rate, float)
        self.optimizer.param_groups[0]["lr"] = rate if is_one else 1.0
        if is_one and self._share is None:
            self.optimizer.step()
            return
        flat, before = self.stack.flat, self.stack.flat.clone()
        if self._decay is None:
            self.optimizer.step()
        else:
            self._step_and_decay(before * self._of_numbers(self._decay))
        part = 1.0 if isinstance(rate, float) else self._of_numbers(rate)
        flat.copy_(before.lerp_(flat, part if self._share is None else part * self._share))

    def _step_and_decay(self, decayed: Tensor) -> None:
        """At a rate of 1, by decays of the nets' own, as the optimizer itself has them."""
        assert isinstance(self._optimizer, KnowsItsDecay), "of others no decays differ"
        is_apart = self._optimizer.is_decay_apart
        if not is_apart:
            self.stack.gradient.add_(decayed)
        self.optimizer.step()
        if is_apart:
            self.stack.flat.sub_(decayed)

    def _of_numbers(self, of_nets: Tensor) -> Tensor:
        """What every net has, (M,), for every number that is trained."""
        if self._owner is None:
            n_nets = len(self.stack.shapes)
            nets = torch.arange(n_nets, device=of_nets.device)
            sizes = [(part.stop - part.start) // n_nets for part in self.stack.parts(n_nets).values()]
            self._owner = torch.cat([nets.repeat_interleave(size) for size in sizes])
        return of_nets[self._owner]

    def net(self, k: int) -> dict[str, Tensor]:
        """The parameters of one net, adapters merged; a copy. What is frozen is bit for bit what it began as."""
        if self.tuning is None:
            return self.stack.net(k)
        with torch.no_grad():
            return {name: value[k].detach().clone() for name, value in self.parameters().items()}

    def adapters(self, k: int) -> dict[str, Tensor]:
        """What is trained of one net that has adapters, these and the head; a copy. Nothing of one without."""
        if self.tuning is None or not self.adapted:
            return {}
        return {name: value[k].detach().clone() for name, value in self.stack.tensors.items()}

    def drop(self, keep: Sequence[int]) -> None:
        """Goes on with some of the nets."""
        self.stack.drop(keep, self.optimizer)
        self.start = {name: value[list(keep)] for name, value in self.start.items()}
        self._decays = [self._decays[k] for k in keep]
        self._decay = None if self._decay is None else self._decay[list(keep)]
        self._share, self._owner = self._shares(), None


def _adapters(
    net: Mapping[str, Tensor], names: Sequence[str], rank: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """As Hu et al. 2021, LoRA, begin: noise times nothing, so that the net is the base's at first. A rank beyond a
    matrix's own is that one."""
    made = {}
    for name in names:
        n_in, n_out = net[name].shape
        r = min(rank, n_in, n_out)
        down = torch.empty(n_in, r, dtype=torch.float64)
        made[name + DOWN] = down.normal_(0, n_in**-0.5, generator=generator)
        made[name + UP] = torch.zeros(r, n_out, dtype=torch.float64)
    return made
