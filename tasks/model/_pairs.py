"""Pairs as sequences of tokens that fit into a language model's context.

    n   rows      S   sequences, one or more of each row      B   sequences of a batch      L   tokens of the longest
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from tasks.model._generator import Writer
from tasks.model._prompt import Format, Tokens

Places = npt.NDArray[np.int64]
KEPT_OF_A_PROMPT = 4  # of the context the part that a long response leaves to its prompt, at least
TOKENS_OF_A_BATCH = 4096  # that are looked at without training; padding included


@dataclass(frozen=True)
class Sequences:
    """ids: (n_tokens,) of all sequences one after the other. begins: (S + 1,) where each begins, and the end of all.
    n_given: (S,) tokens at its beginning that are not learned, at least one. first: (n + 1,) which sequences each row
    has. n_cut: rows whose prompt was cut. longest: tokens of the longest response."""

    ids: npt.NDArray[np.int64]
    begins: Places
    n_given: Places
    first: Places
    n_cut: int
    longest: int

    @classmethod
    def of(cls, writer: Writer, X: pd.DataFrame) -> Sequences:
        """X: the columns prompt and response, or the response alone."""
        form, texts = Format(writer), [X.iloc[:, place].fillna("").tolist() for place in range(X.shape[1])]
        prompts = form.prompts(texts[0] if len(texts) > 1 else [""] * len(X))
        responses = form.responses(texts[-1], in_chat=len(texts) > 1)
        parts, first, n_cut = list[tuple[Tokens, int]](), [0], 0
        for prompt, response in zip(prompts, responses, strict=True):
            made, is_cut = fitted(prompt, response, writer.context, form.n_opening)
            parts += made
            n_cut += is_cut
            first.append(len(parts))
        flat = [token for tokens, _ in parts for token in tokens]
        begins = np.cumsum([0, *(len(tokens) for tokens, _ in parts)], dtype=np.int64)
        given = np.array([n for _, n in parts], dtype=np.int64)
        longest = max(map(len, responses), default=1)
        return cls(np.array(flat, dtype=np.int64), begins, given, np.array(first), n_cut, longest)

    @property
    def lengths(self) -> Places:
        """(S,)"""
        return np.diff(self.begins)

    @property
    def n_learned(self) -> Places:
        """(S,) tokens that are learned."""
        return np.asarray(self.lengths - self.n_given)

    def of_rows(self, rows: Places) -> tuple[Places, Places]:
        """(S,) the sequences of some rows, and (S,) the place among these of the row that each belongs to."""
        counts = self.first[rows + 1] - self.first[rows]
        owner = np.repeat(np.arange(len(rows)), counts)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self.first[rows][owner] + within, owner

    def batch(self, sequences: Places, device: torch.device) -> tuple[Tensor, Tensor]:
        """ids (B, L), padded on the right by what was there before, and (B, L - 1) which tokens after the first are
        learned."""
        lengths = self.lengths[sequences]
        steps = np.arange(int(lengths.max()))
        places = self.begins[sequences][:, None] + np.minimum(steps, lengths[:, None] - 1)
        is_learned = (steps >= self.n_given[sequences][:, None]) & (steps < lengths[:, None])
        return torch.from_numpy(self.ids[places]).to(device), torch.from_numpy(is_learned[:, 1:]).to(device)

    def batches(self, sequences: Places) -> Iterator[Places]:
        """Places among some sequences, (B,) at a time, those of about one length together."""
        lengths, begin = self.lengths[sequences], 0
        order = np.argsort(lengths, kind="stable")
        while begin < len(order):
            end = begin + 1
            while end < len(order) and (end + 1 - begin) * lengths[order[end]] <= TOKENS_OF_A_BATCH:
                end += 1
            yield order[begin:end]
            begin = end


def room(context: int, n: int) -> int:
    """Tokens of a context that a prompt may take beside `n` of its response, however many these are."""
    return max(context - n, context // KEPT_OF_A_PROMPT, 1)


def cut(prompt: Sequence[int], most: int, n_opening: int) -> Tokens:
    """At most so many tokens of a prompt: what is too long loses the left of the user's text, and keeps the tokens that
    open every prompt, if they leave it half of the room."""
    if len(prompt) <= most:
        return list(prompt)
    n_opening = n_opening if 2 * n_opening <= most else 0
    return [*prompt[:n_opening], *prompt[len(prompt) - most + n_opening :]]


def fitted(
    prompt: Sequence[int], response: Sequence[int], context: int, n_opening: int
) -> tuple[list[tuple[Tokens, int]], bool]:
    """A pair as sequences of at most `context` tokens with how many of each are given, and whether the prompt was cut.
    What of a response is longer goes on in sequences of its own, each after the last token before it, so that every
    token of it is learned and judged once."""
    kept = cut(prompt, room(context, len(response)), n_opening)
    head = context - len(kept)
    parts = [(kept + list(response[:head]), len(kept))]
    for begin in range(head, len(response), max(1, context - 1)):
        end = begin + max(1, context - 1)
        parts.append((list(response[begin - 1 : end]), 1))
    return parts, len(kept) < len(prompt)
