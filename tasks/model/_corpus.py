"""The texts of a table, and what an encoder makes of them: computed once, whatever is trained on it."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from tasks.model._computed import Singles, computed, fits
from tasks.model._device import one_thread
from tasks.model._encoder import Body, layers, mean_pooled
from tasks.model._kept import Kept
from tasks.model._tokens import TOKENS_OF_A_BATCH, Places, Tokens

CPU = torch.device("cpu")
TOKENS_ELSEWHERE = 32_768  # of a batch on a device that a small one doesn't fill

Write = Callable[[Places, Tensor, Tensor], None]  # of some texts (B,) the outputs (B, L, H) and the mask (B, L)


class _ReachedError(Exception):
    """Ends a pass at the first layer that is trained."""

    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.hidden = hidden


@dataclass(frozen=True)
class Corpus:
    """texts: each different one once, in order; a missing one is empty. codes: (n_rows, T) the text in each of the T
    columns. digest: of the encoder's weights. folder: where arrays are kept, or None. place: where they are
    computed."""

    texts: tuple[str, ...]
    codes: Places
    body: Body
    digest: str
    folder: Path | None
    place: torch.device = CPU
    _tokens: Kept[Tokens] = field(default_factory=lambda: Kept(lambda tokens: tokens.ids.nbytes))
    _arrays: Kept[Singles | None] = field(default_factory=lambda: Kept(_bytes_in_memory))

    @classmethod
    def of(
        cls, X: pd.DataFrame, columns: Sequence[str], body: Body, digest: str, folder: Path | None, place: torch.device
    ) -> Corpus:
        texts, codes = coded(X, columns)
        return cls(texts, codes, body, digest, folder, place)

    def tokens(self, max_len: int) -> Tokens:
        return self._tokens.get(max_len, lambda: self.body.tokens(self.texts, max_len))

    def features(self, rows: Places, max_len: int) -> Singles:
        """(n, T H): the mean over the tokens of each text, side by side."""
        found = self._embeddings(max_len)[self.codes[rows]]
        return np.ascontiguousarray(found).reshape(len(rows), -1)

    def _embeddings(self, max_len: int) -> Singles:
        """(n_texts, H)."""

        def make() -> Singles:
            tokens = self.tokens(max_len)
            return computed(
                self.folder, self._key("mean", max_len), (len(tokens), self.body.width),
                lambda array: embed(self.body, tokens, array, os.cpu_count() or 1, self.place),
            )  # fmt: skip

        found = self._arrays.get(("mean", max_len), make)
        assert found is not None
        return found

    def activations(self, max_len: int, first: int) -> Singles | None:
        """(n_tokens, H): what layer `first` of the encoder is given for each token; None where that is too much to be
        kept, and so is computed for each batch anew."""
        tokens = self.tokens(max_len)
        shape = len(tokens.ids), self.body.width
        if not fits(4 * shape[0] * shape[1]):
            return None

        def make() -> Singles:
            below = Below.of(self.body.net, first)
            below.net.to(self.place)

            def write(array: Singles) -> None:
                def put(texts: Places, hidden: Tensor, mask: Tensor) -> None:
                    places, is_token = tokens.places(texts)
                    array[places[is_token]] = hidden[torch.from_numpy(is_token)].numpy()

                _pass(below, self.body.padding, tokens, put, os.cpu_count() or 1, self.place)

            return computed(self.folder, self._key(f"below {first}", max_len), shape, write)

        return self._arrays.get((first, max_len), make)

    def _key(self, what: str, max_len: int) -> str:
        """By which an array is found again: the encoder, the texts and what was made of them."""
        found = hashlib.sha256(f"{self.digest} {what} {max_len}".encode())
        for text in self.texts:
            found.update(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
        return found.hexdigest()[:32]


@dataclass(frozen=True)
class Below:
    """The part of an encoder below one of its layers. Called as the encoder, it gives what that layer is given."""

    net: nn.Module

    @classmethod
    def of(cls, net: nn.Module, first: int) -> Below:
        own = copy.deepcopy(net)
        kept = layers(own)
        layer = kept[first]
        del kept[first + 1 :]

        def stop(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            raise _ReachedError(given[0] if given else named["hidden_states"])

        layer.register_forward_pre_hook(stop, with_kwargs=True)
        return cls(own)

    def __call__(self, ids: Tensor, mask: Tensor) -> Tensor:
        try:
            self.net(input_ids=ids, attention_mask=mask)
        except _ReachedError as reached:
            return reached.hidden
        raise AssertionError("no layer was reached")


def outputs(net: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """(B, L, H) of an encoder for ids and mask (B, L)."""

    def run(ids: Tensor, mask: Tensor) -> Tensor:
        hidden: Tensor = net(input_ids=ids, attention_mask=mask).last_hidden_state
        return hidden

    return run


def coded(X: pd.DataFrame, columns: Sequence[str]) -> tuple[tuple[str, ...], Places]:
    """The different texts in order, and (n, T) which of them each cell holds."""
    cells = [X[column].fillna("").to_numpy(dtype=object) for column in columns]
    if not cells:
        return (), np.empty((len(X), 0), np.int64)
    codes, texts = pd.factorize(np.concatenate(cells), sort=True)
    return tuple(map(str, texts)), codes.astype(np.int64).reshape(len(cells), len(X)).T


def embed(body: Body, tokens: Tokens, array: Singles, n_threads: int, place: torch.device = CPU) -> None:
    """Writes the mean over each text's tokens, (n_texts, H)."""

    def put(texts: Places, hidden: Tensor, mask: Tensor) -> None:
        array[texts] = mean_pooled(hidden, mask).numpy()

    net = body.net if place == CPU else copy.deepcopy(body.net).to(place)
    _pass(outputs(net), body.padding, tokens, put, n_threads, place)


def _pass(
    run: Callable[[Tensor, Tensor], Tensor], padding: int, tokens: Tokens, put: Write, n_threads: int,
    place: torch.device,
) -> None:
    """All texts once. Threads take whole batches, each computed by one: what comes out doesn't depend on their
    number, and where another process wants the cores none waits for the other within a batch."""

    def one(texts: Places) -> None:
        with one_thread, torch.inference_mode():
            ids, mask = tokens.padded(texts, padding)
            put(texts, run(ids.to(place), mask.to(place)).cpu(), mask)

    is_here = place == CPU
    with ThreadPoolExecutor(n_threads if is_here else 1) as pool:
        for _ in pool.map(one, tokens.batches(TOKENS_OF_A_BATCH if is_here else TOKENS_ELSEWHERE)):
            pass


def _bytes_in_memory(array: Singles | None) -> int:
    return 0 if array is None or isinstance(array, np.memmap) else array.nbytes
