"""Predicts rows by an ONNX file in a process of its own: `python -m tasks.format._run_onnx MODEL ROWS ANSWERS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime

from tasks.format._rows import Arrays, answer


def load(path: str) -> Callable[[Arrays], dict[str, Any]]:
    """On one thread, as the model itself predicts."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def predict(inputs: Arrays) -> dict[str, Any]:
        given = {name: values.astype(object) if values.dtype.kind == "U" else values for name, values in inputs.items()}
        found = zip(names, session.run(names, given), strict=True)
        return {name: values.astype(str) if values.dtype == np.dtype(object) else values for name, values in found}

    return predict


if __name__ == "__main__":
    answer(load)
