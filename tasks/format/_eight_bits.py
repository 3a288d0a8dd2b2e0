"""An ONNX file with weights of eight bits, in a process of its own: `python -m tasks.format._eight_bits FROM TO`.

onnxruntime's quantisation warns through the root logger, to which it gives a handler for the life of the process.
"""

from __future__ import annotations

import logging
import sys

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic


def are_matrices(path: str) -> bool:
    """Whether all weights that a MatMul takes are, which a scale per column needs: onnxruntime runs no stacked ones."""
    graph = onnx.load(path, load_external_data=False).graph
    taken = {name for node in graph.node if node.op_type == "MatMul" for name in node.input}
    return all(len(weight.dims) == 2 for weight in graph.initializer if weight.name in taken)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    fine = are_matrices(sys.argv[1])
    # Of seven bits processors without VNNI add up products that don't overflow; by a scale for all they'd be too few.
    quantize_dynamic(
        sys.argv[1], sys.argv[2], weight_type=QuantType.QInt8, per_channel=fine, reduce_range=fine
    )  # fmt: skip
