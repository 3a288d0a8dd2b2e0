"""Predicts rows by a SavedModel in a process of its own: `python -m tasks.format._run_tensorflow DIR ROWS ANSWERS`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import tensorflow as tf

from tasks.format._rows import Arrays, answer
from tasks.format._signature import signature_names


def load(path: str) -> Callable[[Arrays], dict[str, Any]]:
    """On one thread, as the model itself predicts."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    serve = tf.saved_model.load(path).signatures["serving_default"]

    def predict(inputs: Arrays) -> dict[str, Any]:
        names = signature_names(inputs)
        found = serve(**{names[name]: tf.constant(values) for name, values in inputs.items()})
        found = {name: value.numpy() for name, value in found.items()}
        return {name: np.char.decode(values.astype(bytes), "utf-8") if values.dtype == np.dtype(object) else values
                for name, values in found.items()}  # fmt: skip

    return predict


if __name__ == "__main__":
    answer(load)
