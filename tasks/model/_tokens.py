"""Texts as the tokens that an encoder takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

CHARACTERS = 50  # of a text that are looked at for each token it may have: a document of 100,000 need not be read whole
TOKENS_OF_A_BATCH = 1024  # padding included; more was no faster on one core

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tokens:
    """ids: (n_tokens,) of all texts one after the other. begins: (n_texts + 1,) where each begins, and the end of all.
    n_cut: of the texts, how many were longer than they may be."""

    ids: npt.NDArray[np.int64]
    begins: Places
    n_cut: int

    @classmethod
    def of(cls, tokenizer: Tokenizer, texts: Sequence[str], max_len: int) -> Tokens:
        """max_len: tokens of a text, those that the encoder adds itself among them; the rest is left out."""
        own = Tokenizer.from_str(tokenizer.to_str())  # padding and truncation are settings of a tokenizer
        own.no_padding()
        own.enable_truncation(max_len)
        most = CHARACTERS * max_len
        found = own.encode_batch([text[:most] for text in texts])
        n_cut = sum(len(text) > most or bool(one.overflowing) for text, one in zip(texts, found, strict=True))
        ids = np.array([token for one in found for token in one.ids], dtype=np.int64)
        return cls(ids, np.cumsum([0, *(len(one.ids) for one in found)], dtype=np.int64), n_cut)

    def __len__(self) -> int:
        return len(self.begins) - 1

    @property
    def lengths(self) -> Places:
        return np.diff(self.begins)

    def batches(self, n_tokens: int = TOKENS_OF_A_BATCH) -> Iterator[Places]:
        """All texts, (B,) at a time, those of about one length together, so that little is padded."""
        lengths, begin = self.lengths, 0
        order = np.argsort(lengths, kind="stable")
        while begin < len(order):
            end = begin + 1
            while end < len(order) and (end + 1 - begin) * lengths[order[end]] <= n_tokens:
                end += 1
            yield order[begin:end]
            begin = end

    def padded(self, texts: Places, padding: int) -> tuple[Tensor, Tensor]:
        """ids (B, L) of some of the texts, and which are tokens (B, L): 1, else 0."""
        places, mask = self.places(texts)
        return torch.from_numpy(np.where(mask, self.ids[places], padding)), torch.from_numpy(mask.astype(np.int64))

    def places(self, texts: Places) -> tuple[Places, npt.NDArray[np.bool_]]:
        """(B, L) where the tokens of some texts lie among all, and which of these places are tokens."""
        lengths = self.lengths[texts]
        steps = np.arange(max(1, int(lengths.max(initial=1))))
        mask = steps < lengths[:, None]
        return np.where(mask, self.begins[texts][:, None] + steps, 0), mask
