"""A graph of ONNX operators as it is written, node by node.

Every tensor is named by a str; whatever else is given to an operator becomes a constant. Numbers are float64 from the
inputs to the outputs (nets are float32 inside), since float32 holds neither epoch seconds nor most decimals.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from tasks.refusal import Refusal

OPSETS = {"": 17, "ai.onnx.ml": 3}
IR_VERSION = 8  # of that time, so that older runtimes read it too
TYPES = {"double": TensorProto.DOUBLE, "string": TensorProto.STRING, "int64": TensorProto.INT64}

Operand = str | float | int | np.floating[Any] | npt.NDArray[Any]


class Graph:
    """features: the names of the tensors (n,) by feature: numbers float64, levels text. thresholds: values at which
    trees of the graph split a feature. told: what a caller is told of inputs that a family adds, by name.
    companions: files that a caller needs beside the graph, by name. is_fine: whether trees are to lose less than
    float32 does, for what comes after them may be steep."""

    def __init__(self) -> None:
        self.features: dict[str, str] = {}
        self.thresholds: dict[str, set[float]] = defaultdict(set)
        self.told: dict[str, dict[str, Any]] = {}
        self.companions: dict[str, str] = {}
        self.is_fine = False
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._n = 0

    def name(self, of: str) -> str:
        """One that no other tensor has, and hardly a column."""
        self._n += 1
        return f"/{of.lower()}_{self._n}"

    def input(self, name: str, kind: str, shape: Sequence[str | int] = ("rows",)) -> str:
        """A new input; gives its name.

        Raises:
            Refusal: where another has that already, such as a column beside the tokens of a text.
        """
        if name in {given.name for given in self.inputs}:
            raise Refusal(
                f"export.formats: two inputs of the graph would be called {name!r}: rename that column, or leave "
                "export.formats out."
            )
        self.inputs.append(helper.make_tensor_value_info(name, TYPES[kind], list(shape)))
        return name

    def output(self, name: str, tensor: str, kind: str, shape: Sequence[str | int]) -> str:
        """A new output; gives its name, which is another where a column has that already."""
        while name in {given.name for given in self.inputs}:
            name += "_"
        self.nodes.append(helper.make_node("Identity", [tensor], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, TYPES[kind], list(shape)))
        return name

    def constant(self, value: Any) -> str:
        """float64 of floats, int64 of whole numbers, text of text, arrays as they are."""
        made = np.asarray(value, dtype=object if _is_text(value) else None)
        name = self.name("constant")
        if made.dtype == object:
            content = [str(one).encode() for one in made.ravel()]
            self.constants.append(helper.make_tensor(name, TensorProto.STRING, made.shape, content))
        else:
            self.constants.append(numpy_helper.from_array(made, name))
        return name

    def __call__(self, operator: str, *operands: Operand, domain: str = "", **attributes: Any) -> str:
        """The one output of an operator."""
        given = [one if isinstance(one, str) else self.constant(one) for one in operands]
        made = self.name(operator)
        self.nodes.append(helper.make_node(operator, given, [made], domain=domain, **attributes))
        return made

    def cast(self, tensor: str, kind: type[Any]) -> str:
        return self("Cast", tensor, to=helper.np_dtype_to_tensor_dtype(np.dtype(kind)))

    def column(self, tensor: str) -> str:
        """(n, 1) of (n,)."""
        return self("Unsqueeze", tensor, np.array([1]))

    def columns(self, tensors: Sequence[str]) -> str:
        """(n, k) of k times (n,)."""
        return self.beside([self.column(tensor) for tensor in tensors])

    def beside(self, matrices: Sequence[str]) -> str:
        """(n, sum of all k) of several (n, k)."""
        return matrices[0] if len(matrices) == 1 else self("Concat", *matrices, axis=1)

    def clip(self, tensor: str, low: float, high: float) -> str:
        """NaN stays NaN."""
        return self("Where", self("Less", tensor, low), low, self("Where", self("Greater", tensor, high), high, tensor))

    def n_rows(self) -> str:
        """(1,) int64."""
        return self("Shape", self.inputs[0].name, start=0, end=1)

    def repeated(self, row: npt.NDArray[Any]) -> str:
        """(n, k) a constant row (k,) for every row."""
        return self("Expand", row[None], self("Concat", self.n_rows(), np.array([1]), axis=0))

    def model(self, described: Mapping[str, str]) -> Any:
        """described: what stands in the file's metadata."""
        graph = helper.make_graph(self.nodes, "finefold", self.inputs, self.outputs, self.constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        made = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="finefold")
        helper.set_model_props(made, dict(described))
        onnx.checker.check_model(made)
        return made


def _is_text(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and isinstance(value[0], str)
