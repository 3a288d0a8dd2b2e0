"""A causal language model as a graph from tokens to logits; cutting text into tokens is left to `tokenizer.json`, and
writing one token after the other to the caller, as example.py shows: a graph has no loop over a sampler."""

from __future__ import annotations

import copy
import io
import json
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from tasks.format._graph import OPSETS
from tasks.model import load
from tasks.model.text_generator import Fitted
from tasks.refusal import Refusal

TOKENIZER, IDS, LOGITS = "tokenizer.json", "ids", "logits"
MOST_BYTES = 2**31 - 1  # of a file of protobuf, which ONNX is
LENGTH = 7  # of the example that it is traced with


class _Traced(nn.Module):  # type: ignore[misc]  # of an extra that is not looked at
    """(B, L, V) of ids (B, L)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, ids: Tensor) -> Any:
        return self.net(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits


def language_model(folder: Path) -> tuple[Any, dict[str, Any], dict[str, str]]:
    """The model, what a caller is told of it, and the companion files.

    Raises:
        Refusal: for a model that is no language model, or too large a one.
    """
    fitted = load(folder)
    if not isinstance(fitted, Fitted):
        raise Refusal(f"{folder} is no language model that can be written as a graph; leave export.formats out.")
    problem = json.loads((folder / "problem.json").read_text(encoding="utf-8"))
    writer = fitted.writer
    meaning = (
        f"ids of tokens by {TOKENIZER}, at most {writer.context}: the token {writer.begin}, then a prompt's; padded on "
        "the right with anything"
    )
    told = {
        "problem": problem["kind"], "target": problem["target"], "context": writer.context, "ends": writer.ends,
        "most_new": fitted.most_new,
        "inputs": [{"name": IDS, "type": "int64", "shape": ["rows", "tokens"], "given_as": meaning}],
        "outputs": [{"name": LOGITS, "holds": "prediction", "type": "float",
                     "shape": ["rows", "tokens", writer.vocabulary]}],
    }  # fmt: skip
    return _exported(writer.net), told, {TOKENIZER: writer.tokenizer.to_str()}


def _exported(net: nn.Module) -> Any:
    """By tracing: torch's other exporter needs onnxscript.

    Raises:
        Refusal: for more weights than a file of ONNX can hold.
    """
    n_bytes = sum(one.numel() * one.element_size() for one in net.parameters())
    if n_bytes > MOST_BYTES:
        raise Refusal(f"export.formats=[onnx]: the model has {n_bytes / 2**30:.1f} GiB of weights, and a file of ONNX "
                      "holds less than 2; leave onnx out, or go on from a smaller base.")  # fmt: skip
    net = copy.deepcopy(net).eval()
    net.set_attn_implementation("eager")
    ids, made, axes = torch.ones(2, LENGTH, dtype=torch.int64), io.BytesIO(), {0: "rows", 1: "tokens"}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of tracing: shapes that are told to be constant, and the exporter's age
        torch.onnx.export(
            _Traced(net), (ids,), made, input_names=[IDS], output_names=[LOGITS],
            dynamic_axes={IDS: axes, LOGITS: axes}, opset_version=OPSETS[""], dynamo=False,
        )  # fmt: skip
    return onnx.load_from_string(made.getvalue())
