"""Writing responses: after each prompt the most probable token, until one ends the text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import GenerationConfig

from tasks.model._device import one_thread
from tasks.model._generator import Writer
from tasks.model._pairs import cut, room
from tasks.model._prompt import Format, Tokens

PROMPTS_AT_ONCE = 32


def respond(writer: Writer, prompts: Sequence[str], most: int) -> list[str]:
    """A response to each prompt, of at most so many tokens, and no more than the context has room for beside the
    prompt, which is cut where it is too long, as in training. Prompts of one length are answered together, so that none
    sees another one's padding and each gets what it would get alone."""
    begun = begun_with(writer, prompts, most)
    found = [""] * len(prompts)
    form, lengths = Format(writer), np.array([len(tokens) for tokens in begun])
    for length in np.unique(lengths):
        places = np.flatnonzero(lengths == length)
        for start in range(0, len(places), PROMPTS_AT_ONCE):
            some = places[start : start + PROMPTS_AT_ONCE]
            written = _written(writer, [begun[place] for place in some], min(most, writer.context - length), form.ends)
            for place, tokens in zip(some, written, strict=True):
                found[place] = form.text(tokens).strip()
    return found


def begun_with(writer: Writer, prompts: Sequence[str], most: int) -> list[Tokens]:
    """The tokens before each response of at most so many."""
    form = Format(writer)
    return [cut(tokens, room(writer.context, most), form.n_opening) for tokens in form.prompts(prompts)]


def _written(writer: Writer, prompts: Sequence[Tokens], most: int, ends: Sequence[int]) -> list[Tokens]:
    """Of prompts of one length."""
    ids = torch.tensor(np.array(prompts), device=writer.net.device)
    asked = GenerationConfig(
        max_new_tokens=most, do_sample=False, eos_token_id=list(ends), pad_token_id=writer.end, use_cache=True
    )
    with one_thread, torch.inference_mode():
        found = writer.net.generate(ids, attention_mask=torch.ones_like(ids), generation_config=asked)
    return [[int(token) for token in tokens] for tokens in found[:, ids.shape[1] :].cpu()]
