"""A language model that is small enough for tests, with random weights that are the same each time."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import torch
import transformers

from flows.build import build
from flows.config import compose
from tasks.model._generator import Writer
from tasks.model._going_on import Knobs
from tasks.model._new_generator import Shape, new
from tasks.model.text_generator import TextGenerator
from tasks.source import load
from tasks.source.grammar import Grammar

SHAPE = Shape(vocabulary=300, context=64, width=16, layers=3, heads=2)
NO_KNOBS = Knobs({}, {}, {}, {})
CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)  # fmt: skip


def tiny_generator(folder: Path, *, template: str | None = None, **changed: object) -> Path:
    """Of three layers, with a tokenizer of the bytes and a few pairs. changed: values of its `config.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = new(SHAPE, questions("animals", 40)["text"], 0)
    if template is not None:
        writer.tokenizer.add_special_tokens(["<|end|>"])
        writer.net.resize_token_embeddings(writer.tokenizer.get_vocab_size())
    writer.save(folder)
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    if changed:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    return folder


def writer_of(kind: str, writer: Writer, **changed: object) -> Writer:
    """Of another kind, `Bloom` or `Olmo2`, with the tokenizer of that one and random weights."""
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
            "num_key_value_heads": 2}  # fmt: skip
    special = {"bos_token_id": writer.begin, "eos_token_id": writer.end, "pad_token_id": writer.end}
    config = getattr(transformers, f"{kind}Config")(vocab_size=writer.vocabulary, **size, **{**special, **changed})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return writer.of(getattr(transformers, f"{kind}ForCausalLM")(config))


def questions(topic: str, n: int) -> pd.DataFrame:
    """(n, 4) prompt, response, text and form."""
    return load(Grammar(topic, n)).to_pandas()


def family(way: str, *overrides: str, knobs: Knobs = NO_KNOBS) -> TextGenerator:
    config = compose(["model=text_generator", *overrides]).config
    built: TextGenerator = build(config.model["text_generator"], "model.text_generator")
    return built.going_on(way, knobs)


def point(it: TextGenerator, **changed: object) -> dict[str, object]:
    return {**{key: value for key, value in it.hyperparameters.items() if value is not None}, **it.start, **changed}
