"""What of a language model is trained in each way of fine-tuning, and how it becomes a whole one again."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tasks.metric import METRICS
from tasks.model._adapters import Adapters
from tasks.model._encoder import layers
from tasks.model._generator import Writer
from tasks.model._writing import Groups, Plan, Trainable

WIDTH = 128  # up to which the learning rate is what the hyperparameters say
CONVOLUTION = "gpt2"  # the model type whose linear layers hold their matrices the other way round


@dataclass(frozen=True)
class Begun:
    """What is trained, and what makes a whole net of it in the end; adapters: what was trained, where that is small and
    stands beside the net."""

    it: Trainable
    whole: Callable[[], nn.Module]
    adapters: Callable[[], Adapters | None] = lambda: None

    @property
    def n_trained(self) -> int:
        return sum(parameter.numel() for group, _ in self.it.groups for parameter in group)


def full(writer: Writer, given: Mapping[str, Any], seed: int) -> Begun:
    """Every weight, with smaller steps further down."""
    net = writer.copied()
    return _begun(writer, net, groups_of(net, float(given["decay"])), given)


def head(writer: Writer, given: Mapping[str, Any], seed: int) -> Begun:
    """The norm after the last layer, and the output head where its weights are its own: where it shares those of the
    embeddings, they would move all that lies below."""
    net = writer.copied()
    return _begun(writer, net, groups_of(net, 1.0)[:1], given)


def upper(writer: Writer, given: Mapping[str, Any], seed: int) -> Begun:
    """The last `n_layers`, the norm and the head."""
    net = writer.copied()
    n_layers = min(int(given["n_layers"]), len(layers(net)))
    return _begun(writer, net, groups_of(net, float(given["decay"]))[: 1 + n_layers], given)


def gradual(writer: Writer, given: Mapping[str, Any], seed: int) -> Begun:
    """One more group from the top with each epoch, the norm with the last layer."""
    net = writer.copied()
    first, second, *others = groups_of(net, float(given["decay"]))
    groups = [(first[0] + second[0], first[1]), *others]
    return _begun(writer, net, groups[: int(given["epochs"])], given)


def lora(writer: Writer, given: Mapping[str, Any], seed: int) -> Begun:
    """Low-rank adapters beside the matrices of the attention that PEFT names for this kind of model, or beside all of
    them where it names none, merged into them in the end (Hu et al. 2021). With alpha = 2 rank the learning rate is the
    same for every rank."""
    import peft
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as NAMED

    kind, rank = str(writer.config.model_type), int(given["rank"])
    with torch.random.fork_rng(devices=[]):  # peft draws from the process's generator
        config = peft.LoraConfig(
            r=rank, lora_alpha=2 * rank, lora_dropout=0.0, fan_in_fan_out=kind == CONVOLUTION,
            target_modules=None if kind in NAMED else _of_attention(writer.net),
        )  # fmt: skip
        wrapped = peft.LoraModel(copy.deepcopy(writer.net), config, "default")
    trained = {name: one for name, one in wrapped.named_parameters() if one.requires_grad}
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in trained.items():
        if "lora_A" in name:
            drawn = nn.init.kaiming_uniform_(torch.empty(parameter.shape), a=5**0.5, generator=generator)
            parameter.data.copy_(drawn)
    it = Trainable(wrapped.model, [(list(trained.values()), 1.0)], writer.is_plain, bool(given["checkpointing"]))
    return Begun(it, wrapped.merge_and_unload, lambda: Adapters.of(trained, config))


def _of_attention(net: nn.Module) -> list[str] | str:
    """Names of the linear layers within the attention, or PEFT's word for every linear layer where it can't be told."""
    within = {name.rpartition(".") for name, module in layers(net).named_modules() if isinstance(module, nn.Linear)}
    return sorted({name for place, _, name in within if "attn" in place or "attention" in place}) or "all-linear"


def groups_of(net: nn.Module, decay: float) -> Groups:
    """The norm after the last layer with a head of its own, the layers from the top down, then the embeddings and what
    else lies below the layers, with `decay` to the power of their depth."""
    stack = layers(net)
    layered = {id(parameter) for parameter in stack.parameters()}
    shared = {id(parameter) for parameter in net.get_input_embeddings().parameters()}
    above = {id(parameter) for parameter in _above(net, stack)} - shared
    outer = [one for one in net.parameters() if id(one) not in layered]
    top = [one for one in outer if id(one) in above]
    below = [one for one in outer if id(one) not in above]
    found = [(list(layer.parameters()), decay**depth) for depth, layer in enumerate(reversed(stack))]
    return [(top, 1.0), *found, (below, decay ** len(stack))]


def _above(net: nn.Module, stack: nn.ModuleList) -> list[nn.Parameter]:
    """What is used after the last layer, by the order in which modules are called; they are defined in any."""
    called, within = list[nn.Module](), {id(module) for module in stack.modules()}
    hooks = [module.register_forward_pre_hook(lambda it, _: called.append(it)) for module in net.modules()]
    with torch.inference_mode():
        net(input_ids=torch.zeros((1, 1), dtype=torch.int64, device=net.device), use_cache=False)
    for hook in hooks:
        hook.remove()
    last = max(place for place, module in enumerate(called) if id(module) in within)
    return [parameter for module in called[last + 1 :] for parameter in module.parameters(recurse=False)]


def _begun(writer: Writer, net: nn.Module, groups: Groups, given: Mapping[str, Any]) -> Begun:
    trained = {id(parameter) for group, _ in groups for parameter in group}
    for parameter in net.parameters():
        parameter.requires_grad_(id(parameter) in trained)
    return Begun(Trainable(net, groups, writer.is_plain, bool(given["checkpointing"])), lambda: net)


WAYS: dict[str, Callable[[Writer, Mapping[str, Any], int], Begun]] = {
    "from_scratch": full, "feature_extraction": head, "last_layers": upper, "gradual": gradual, "lora": lora,
    "full": full,
}  # fmt: skip


def plan_of(
    writer: Writer, way: str, given: Mapping[str, Any], most_epochs: int, metric: str, seed: int
) -> Plan:
    """How it is trained. metric: the watched one. The learning rate falls with the width as Adam's should (Yang et al.
    2022, Tensor Programs V), so that one setting serves a small model and a large one."""
    narrower = min(1.0, WIDTH / writer.width)
    return Plan(
        learning_rate=float(given["learning_rate"]) * float(given["step"]) * narrower, warm_up=float(given["warm_up"]),
        epochs=min(int(given["epochs"]), most_epochs), patience=int(given["patience"]),
        batch_size=int(given["batch_size"]), accumulation=int(given["accumulation"]),
        weight_decay=float(given["weight_decay"]), dropout=float(given["dropout"]), l2_sp=float(given["l2_sp"]),
        is_gradual=way == "gradual", is_higher_better=METRICS[metric].is_higher_better, seed=seed,
    )  # fmt: skip
