"""The example that stands beside an export, and the rows that it predicts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.format._rows import Arrays

ONNX = '''"""Predicts rows.json with model.onnx, see schema.json: pip install onnxruntime; python example.py"""

import json
from pathlib import Path

import numpy as np
import onnxruntime

here = Path(__file__).parent
schema = json.loads((here / "schema.json").read_text(encoding="utf-8"))
rows = json.loads((here / "rows.json").read_text(encoding="utf-8"))  # for each input a list, null where it is missing
types = {"double": np.float64, "int64": np.int64, "string": object}

inputs = {}
for one in schema["inputs"]:
    absent = np.nan if one["type"] == "double" else ""
    cells = [absent if cell is None else cell for cell in rows[one["name"]]]
    inputs[one["name"]] = np.array(cells, dtype=types[one["type"]])
session = onnxruntime.InferenceSession(here / "model.onnx")
names = [one["name"] for one in schema["outputs"]]
answers = session.run(names, inputs)
print(json.dumps({name: values.tolist() for name, values in zip(names, answers)}))
'''
WRITER = '''"""Answers the prompts of rows.json with model.onnx, see schema.json: pip install onnxruntime tokenizers

The most probable token each time, until one that ends a text."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

here = Path(__file__).parent
schema = json.loads((here / "schema.json").read_text(encoding="utf-8"))
prompts = json.loads((here / "rows.json").read_text(encoding="utf-8"))["ids"]  # each as tokens, with room for an answer
tokenizer = Tokenizer.from_file(str(here / "tokenizer.json"))
session = onnxruntime.InferenceSession(here / "model.onnx")

answers = []
for prompt in prompts:
    ids, written = prompt, []
    while len(written) < schema["most_new"] and len(ids) < schema["context"]:
        (logits,) = session.run(["logits"], {"ids": np.array([ids], dtype=np.int64)})
        token = int(logits[0, -1].argmax())
        if token in schema["ends"]:
            break
        ids, written = [*ids, token], [*written, token]
    answers.append(tokenizer.decode(written).strip())
print(json.dumps({"prediction": answers}, ensure_ascii=False))
'''
SAVEDMODEL = '''"""Predicts rows.json with saved_model/, see schema.json: pip install tensorflow; python example.py"""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

here = Path(__file__).parent
schema = json.loads((here / "schema.json").read_text(encoding="utf-8"))
rows = json.loads((here / "rows.json").read_text(encoding="utf-8"))  # for each input a list, null where it is missing
types = {"double": tf.float64, "int64": tf.int64, "string": tf.string}

inputs = {}
for one in schema["inputs"]:
    absent = np.nan if one["type"] == "double" else ""
    cells = [absent if cell is None else cell for cell in rows[one["name"]]]
    inputs[one["signature"]] = tf.constant(cells, dtype=types[one["type"]])
answers = tf.saved_model.load(here / "saved_model").signatures["serving_default"](**inputs)
found = {name: values.numpy().tolist() for name, values in answers.items()}
print(json.dumps(found, default=bytes.decode))
'''
# Before `inputs`, where text must be cut into tokens first.
TOKENS = '''from tokenizers import Tokenizer
for one in [one for one in schema["inputs"] if "tokenizer" in one]:
    tokenizer = Tokenizer.from_file(str(here / one["tokenizer"]))
    tokenizer.enable_truncation(one["max_len"])
    tokenizer.enable_padding(pad_id=0)
    found = tokenizer.encode_batch([text or "" for text in rows[one["column"]]])
    rows[one["name"]] = [it.attention_mask if one["name"].endswith(" mask") else it.ids for it in found]
'''


def write(place: Path, example: str, schema: dict[str, Any], companions: Mapping[str, str]) -> None:
    """companions: the content of further files, by name; with a tokenizer among them the example uses it."""
    if companions:
        example = example.replace("\ninputs = {}\n", f"\n{TOKENS}inputs = {{}}\n")
    (place / "example.py").write_text(example, encoding="utf-8")
    for name, content in companions.items():
        (place / name).write_text(content, encoding="utf-8")
    (place / "schema.json").write_text(json.dumps(schema, indent=1, ensure_ascii=False), encoding="utf-8")


def write_rows(place: Path, inputs: Arrays, n_rows: int) -> None:
    """The first rows of columns, with null for what is missing."""
    cells = {name: [_cell(value) for value in values[:n_rows].tolist()] for name, values in inputs.items()}
    (place / "rows.json").write_text(json.dumps(cells, ensure_ascii=False, indent=1), encoding="utf-8")


def _cell(value: Any) -> Any:
    return None if value == "" or value != value else value
