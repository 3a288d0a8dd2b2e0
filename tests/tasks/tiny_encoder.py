"""An encoder of Hugging Face's kind that is small enough for tests, with random weights that are the same each time."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel

WORDS = ("a", "film", "good", "bad", "it", "was", "very", "not", "so", "dull", "fine", "rouge", "größe", "x", "絵", "-")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WIDTH, DEPTH = 32, 3


def tiny_encoder(folder: Path) -> Path:
    """Of three layers; it knows `WORDS`."""
    vocabulary = {word: place for place, word in enumerate((*SPECIAL, *WORDS))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Split(Regex(r"\s+|[^\w-]"), "removed")
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=WIDTH, num_hidden_layers=DEPTH, num_attention_heads=2,
        intermediate_size=2 * WIDTH, max_position_embeddings=64, initializer_range=0.3,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = BertModel(config)
    net.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
