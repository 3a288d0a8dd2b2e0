"""What of an encoder is trained in each way of fine-tuning, and how what was trained becomes a whole encoder again."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from tasks.metric import METRICS
from tasks.model._adapters import Adapters
from tasks.model._corpus import Below, Corpus
from tasks.model._encoder import Body, copied, layers
from tasks.model._tuning import Given, Plan, Trainable, groups_of


@dataclass(frozen=True)
class Begun:
    """What is trained, how many of the encoder's parameters that are, and what makes an encoder of it in the end;
    adapters: what was trained alone, where that is small and stands beside the encoder."""

    it: Trainable
    n_trained: int
    whole: Callable[[], nn.Module]
    adapters: Callable[[], Adapters | None] = lambda: None


def full(corpus: Corpus, given: Mapping[str, Any], seed: int) -> Begun:
    """Every weight, with smaller steps further down."""
    net = copied(corpus.body.net)
    groups = groups_of(net, float(given["decay"]))
    return _begun(corpus, given, net, None, groups, lambda: net)


def upper(corpus: Corpus, given: Mapping[str, Any], seed: int) -> Begun:
    """The last `n_layers`, on what lies below them, which is computed once."""
    base, n_layers = corpus.body.net, min(int(given["n_layers"]), corpus.body.depth)
    first = corpus.body.depth - n_layers
    net = _above(base, first)
    groups = groups_of(net, float(given["decay"]))
    kept = corpus.activations(int(given["max_len"]), first)
    below = Below.of(base, first) if kept is None else kept
    return _begun(corpus, given, net, below, groups, lambda: _rejoined(base, net, first))


def lora(corpus: Corpus, given: Mapping[str, Any], seed: int) -> Begun:
    """Low-rank adapters beside the queries and values of each layer, merged into them in the end (Hu et al. 2021). With
    alpha = 2 rank the adapters' scale, and so the learning rate, is the same for every rank."""
    import peft

    rank = int(given["rank"])
    with torch.random.fork_rng(devices=[]):  # peft draws from the process's generator
        config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0)
        wrapped = peft.LoraModel(copy.deepcopy(corpus.body.net), config, "default")
    adapters = {name: one for name, one in wrapped.named_parameters() if one.requires_grad}
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in adapters.items():
        if "lora_A" in name:
            nn.init.kaiming_uniform_(parameter.data, a=5**0.5, generator=generator)
    groups = [(list(adapters.values()), 1.0)]
    begun = _begun(corpus, given, wrapped.model, None, groups, wrapped.merge_and_unload)
    return replace(begun, adapters=lambda: Adapters.of(adapters, config))


def _begun(
    corpus: Corpus, given: Mapping[str, Any], net: nn.Module, below: Any, groups: Any, whole: Callable[[], nn.Module]
) -> Begun:
    tokens, padding = corpus.tokens(int(given["max_len"])), corpus.body.padding
    n_trained = sum(parameter.numel() for group, _ in groups for parameter in group)
    return Begun(Trainable(net, tokens, padding, below, groups), n_trained, whole)


def _above(net: nn.Module, first: int) -> nn.Module:
    """The layers of a net from `first` on, copied, with `Given` in the place of its embeddings.

    Raises:
        ValueError: where the net can't be cut so.
    """
    if not isinstance(getattr(net, "embeddings", None), nn.Module):
        raise ValueError(f"a {type(net).__name__} can't be cut between its layers: choose feature_extraction or full")
    memo = {id(net.embeddings): Given(), **{id(one): one for one in layers(net)[:first]}}
    above = copy.deepcopy(net, memo)
    del layers(above)[:first]
    above.config.num_hidden_layers -= first
    return above.requires_grad_(True)


def _rejoined(net: nn.Module, above: nn.Module, first: int) -> nn.Module:
    """A net whose layers from `first` on are those of `above`; what lies below is shared, not copied."""
    own, upper = layers(net), layers(above)
    memo: dict[int, Any] = {id(net.embeddings): net.embeddings}
    memo |= {id(one): one if k < first else upper[k - first] for k, one in enumerate(own)}
    return copy.deepcopy(net, memo)


WAYS: dict[str, Callable[[Corpus, Mapping[str, Any], int], Begun]] = {
    "full": full, "last_layers": upper, "gradual": upper, "lora": lora,
}


def as_body(begun: Begun, body: Body) -> Body:
    """The encoder as it was trained."""
    return Body(begun.whole().eval().requires_grad_(False), body.tokenizer)


def plan_of(way: str, given: Mapping[str, Any], most_epochs: int, metric: str, seed: int) -> Plan:
    """How it is trained. metric: the watched one."""
    return Plan(
        learning_rate=float(given["learning_rate"]) * float(given["step"]), head_rate=float(given["head_rate"]),
        decay=float(given["decay"]), epochs=min(int(given["epochs"]), most_epochs), patience=int(given["patience"]),
        batch_size=int(given["batch_size"]), weight_decay=float(given["weight_decay"]), l2_sp=float(given["l2_sp"]),
        dropout=float(given["dropout"]), is_gradual=way == "gradual",
        is_higher_better=METRICS[metric].is_higher_better, seed=seed,
    )  # fmt: skip
