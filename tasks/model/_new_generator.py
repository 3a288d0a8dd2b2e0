"""A small language model that begins from nothing: a byte-level tokenizer learned from the texts, and a net of the kind
of GPT-2 with random weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import torch
import transformers
from pydantic import Field
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tasks.model._encoder import reading
from tasks.model._generator import Writer

END = "<|endoftext|>"
Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Shape:
    """vocabulary: tokens at most, of which 256 are the bytes, so that any text can be written. context: tokens that it
    can look at. width: numbers for a token; a multiple of heads."""

    vocabulary: Annotated[int, Field(ge=257)]
    context: Annotated[int, Field(ge=8)]
    width: Count
    layers: Count
    heads: Count

    def faults(self) -> list[str]:
        if self.width % self.heads:
            return [f"model.text_generator.new.width={self.width} is no multiple of model.text_generator.new.heads="
                    f"{self.heads}; each head takes an equal part."]  # fmt: skip
        return []


def new(shape: Shape, texts: Iterable[str], seed: int) -> Writer:
    """With pairs of bytes merged where they are frequent in the texts (Sennrich et al. 2016; over bytes as in Radford
    et al. 2019)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=shape.vocabulary, special_tokens=[END], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    end = tokenizer.token_to_id(END)
    config = transformers.GPT2Config(
        vocab_size=tokenizer.get_vocab_size(), n_positions=shape.context, n_embd=shape.width, n_layer=shape.layers,
        n_head=shape.heads, bos_token_id=end, eos_token_id=end, pad_token_id=end, resid_pdrop=0.0, embd_pdrop=0.0,
        attn_pdrop=0.0, activation_function="gelu_pytorch_tanh",
    )  # fmt: skip
    with reading, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = transformers.GPT2LMHeadModel(config)
    special = dict.fromkeys(("bos_token", "eos_token", "pad_token"), END)
    return Writer(net.eval().requires_grad_(False), tokenizer, None, special)
