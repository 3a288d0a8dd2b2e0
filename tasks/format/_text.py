"""A text encoder and its head as nodes of a graph, which takes tokens: cutting text into them is left to the companion
file `tokenizer.json` (https://huggingface.co/docs/tokenizers), for which ONNX has no operator."""

from __future__ import annotations

import copy
import hashlib
import io
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn

from tasks.format._graph import OPSETS, Graph
from tasks.format._net import encoded, meant
from tasks.model._encoder import Body
from tasks.model._tokens import CHARACTERS
from tasks.model.text_encoder import Fitted
from tasks.refusal import Refusal

Floats = npt.NDArray[np.float64]
TOKENIZER = "tokenizer.json"
LENGTH = 7  # of the example that the encoder is traced with


class _Traced(nn.Module):  # type: ignore[misc]  # of an extra that is not looked at
    """The vectors of tokens, (B, L, H), of ids and mask, (B, L)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, ids: Tensor, mask: Tensor) -> Any:
        return self.net(input_ids=ids, attention_mask=mask).last_hidden_state


def text_encoder(graph: Graph, fitted: Fitted) -> str:
    """(n,) or (n, n_classes).

    Raises:
        Refusal: where two encoders of one graph cut text differently.
    """
    head, body = fitted.head, fitted.body
    weight = head.weight / head.scale[:, None]
    constant = head.bias - head.center @ weight
    outputs: Any = np.asarray(constant, dtype=np.float64)[None]  # for every row alike
    traced = _exported(body)
    for place, column in enumerate(fitted.text):
        ids, mask = _inputs(graph, fitted, column)
        hidden = _grafted(graph, traced, {"ids": ids, "mask": mask})
        block = weight[place * body.width : (place + 1) * body.width]
        outputs = graph("Add", outputs, graph("MatMul", graph.cast(_pooled(graph, hidden, mask), np.float64), block))
    begin = len(fitted.text) * body.width
    scaled, levels = encoded(graph, fitted.inputs)
    n_numbers = fitted.inputs.n_numbers + fitted.inputs.n_flags
    if n_numbers:
        outputs = graph("Add", outputs, graph("MatMul", scaled, weight[begin : begin + n_numbers]))
    for index in levels:
        outputs = graph("Add", outputs, graph("Gather", weight[begin + n_numbers :], index))
    return meant(graph, outputs, fitted.unit)


def _inputs(graph: Graph, fitted: Fitted, column: str) -> tuple[str, str]:
    """Ids and mask of a column's tokens; models of one ensemble that cut text alike share them."""
    tokenizer, most = fitted.body.tokenizer.to_str(), min(fitted.max_len, fitted.body.most_tokens)
    digest = hashlib.sha256(tokenizer.encode()).hexdigest()
    told = {"column": column, "tokenizer": TOKENIZER, "sha256": digest, "max_len": most}
    names = f"{column} ids", f"{column} mask"
    if names[0] in graph.told:
        if {key: graph.told[names[0]][key] for key in told} != told:
            raise Refusal(f"two models of the ensemble cut {column} into tokens differently, for which one graph has "
                          "no place; take ensemble=none, or leave export.formats out.")  # fmt: skip
        return names
    graph.companions[TOKENIZER] = tokenizer
    meanings = (
        f"ids of the tokens of {column} by {TOKENIZER}, special tokens among them, at most {most} (and of the first "
        f"{CHARACTERS * most:,} characters of a text); padded with 0; of a missing text (NA, -, ? and the like too) "
        "those of ''",
        "1 for a token, 0 for padding",
    )
    axis = f"tokens of {column}"
    for name, meaning in zip(names, meanings, strict=True):
        graph.input(name, "int64", ("rows", axis))
        graph.told[name] = {"name": name, "type": "int64", "shape": ["rows", axis], "given_as": meaning, **told}
    return names


def _exported(body: Body) -> Any:
    """By tracing: torch's other exporter needs onnxscript and takes longer."""
    net = copy.deepcopy(body.net).eval()
    net.set_attn_implementation("eager")
    ids = torch.ones(2, LENGTH, dtype=torch.int64)
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    made = io.BytesIO()
    axes = {0: "rows", 1: "tokens"}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of tracing: shapes that are told to be constant, and the exporter's age
        torch.onnx.export(
            _Traced(net), (ids, mask), made, input_names=["ids", "mask"], output_names=["hidden"],
            dynamic_axes={"ids": axes, "mask": axes, "hidden": axes}, opset_version=OPSETS[""], dynamo=False,
        )
    return onnx.load_from_string(made.getvalue()).graph


def _grafted(graph: Graph, traced: Any, given: dict[str, str]) -> str:
    """The traced nodes with names of their own. Weights are named by their content, so that what several columns or the
    models of an ensemble share stands in the graph once."""
    names = {"": "", **given}
    known = {constant.name for constant in graph.constants}
    for weight in traced.initializer:
        names[weight.name] = f"encoder/{hashlib.sha256(weight.raw_data).hexdigest()[:16]}{list(weight.dims)}"
        if names[weight.name] not in known:
            kept = onnx.TensorProto()
            kept.CopyFrom(weight)
            kept.name = names[weight.name]
            known.add(kept.name)
            graph.constants.append(kept)
    for node in traced.node:
        made = onnx.NodeProto()
        made.CopyFrom(node)
        names |= {name: graph.name("encoder") for name in node.output}
        del made.input[:], made.output[:]
        made.input.extend(names[name] for name in node.input)
        made.output.extend(names[name] for name in node.output)
        made.name = ""
        graph.nodes.append(made)
    return names["hidden"]


def _pooled(graph: Graph, hidden: str, mask: str) -> str:
    """(n, H): the mean over a text's tokens."""
    share = graph("Unsqueeze", graph.cast(mask, np.float32), np.array([2]))
    total = graph("ReduceSum", graph("Mul", hidden, share), np.array([1]), keepdims=0)
    return graph("Div", total, graph("Max", graph("ReduceSum", share, np.array([1]), keepdims=0), np.float32(1)))
