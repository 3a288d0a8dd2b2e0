"""ONNX operators in TensorFlow, as far as the graphs of `tasks/format/_models.py` use them.

Each takes the node's attributes and its inputs as tensors (None where one is left out). Where ONNX and TensorFlow
differ it is said here: whole numbers are divided towards zero, Reshape has 0 for "as it was".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from onnx import numpy_helper

Attributes = Mapping[str, Any]
Operator = Callable[..., Any]
TYPES = {  # onnx.TensorProto's numbers
    1: tf.float32, 6: tf.int32, 7: tf.int64, 9: tf.bool, 11: tf.float64,
}  # fmt: skip


def divided(_: Attributes, x: Any, y: Any) -> Any:
    return tf.truncatediv(x, y) if x.dtype.is_integer else x / y


def gathered(given: Attributes, x: Any, places: Any) -> Any:
    axis = given.get("axis", 0)
    size = tf.cast(tf.shape(x)[axis], places.dtype)
    return tf.gather(x, tf.where(places < 0, places + size, places), axis=axis)


def gathered_each(given: Attributes, x: Any, places: Any) -> Any:
    """GatherElements along the last axis: each row of `places` picks from the same row of x."""
    assert given.get("axis", 0) in (-1, len(x.shape) - 1)
    return tf.gather(x, places, axis=-1, batch_dims=len(x.shape) - 1)


def flattened(given: Attributes, x: Any) -> Any:
    axis = given.get("axis", 1)
    return tf.reshape(x, tf.stack([tf.reduce_prod(tf.shape(x)[:axis]), -1]))


def reshaped(_: Attributes, x: Any, shape: Any) -> Any:
    shape = tf.cast(shape, tf.int64)
    own = tf.shape(x, out_type=tf.int64)
    n = tf.shape(shape)[0]
    padded = tf.concat([own, tf.zeros(tf.maximum(0, n - tf.rank(x)), tf.int64)], 0)[:n]
    return tf.reshape(x, tf.where(shape == 0, padded, shape))


def shape_of(given: Attributes, x: Any) -> Any:
    return tf.shape(x, out_type=tf.int64)[given.get("start", 0) : given.get("end")]


def expanded(_: Attributes, x: Any, shape: Any) -> Any:
    return tf.broadcast_to(x, tf.broadcast_dynamic_shape(tf.shape(x, out_type=tf.int64), shape))


def unsqueezed(_: Attributes, x: Any, axes: Any) -> Any:
    for axis in sorted(tf.get_static_value(axes).tolist()):
        x = tf.expand_dims(x, axis)
    return x


def squeezed(_: Attributes, x: Any, axes: Any) -> Any:
    return tf.squeeze(x, tf.get_static_value(axes).tolist())


def sliced(_: Attributes, x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    """Of constant axes and steps; an end beyond the last is the last."""
    n = len(tf.get_static_value(starts)) if tf.get_static_value(starts) is not None else int(starts.shape[0])
    where = tf.get_static_value(axes).tolist() if axes is not None else list(range(n))
    step = tf.get_static_value(steps).tolist() if steps is not None else [1] * n
    parts: list[Any] = [slice(None)] * len(x.shape)
    for place, axis in enumerate(where):
        last = tf.minimum(ends[place], tf.shape(x, out_type=ends.dtype)[axis])
        parts[axis] = slice(starts[place], last, step[place])
    return x[tuple(parts)]


def reduced(reduce: Operator) -> Operator:
    def run(given: Attributes, x: Any, axes: Any = None) -> Any:
        where = given["axes"] if axes is None else tf.get_static_value(axes).tolist()
        return reduce(x, where, keepdims=bool(given.get("keepdims", 1)))

    return run


def best(find: Operator) -> Operator:
    def run(given: Attributes, x: Any) -> Any:
        found = find(x, axis=given.get("axis", 0), output_type=tf.int64)
        return tf.expand_dims(found, given.get("axis", 0)) if given.get("keepdims", 1) else found

    return run


def filled(given: Attributes, shape: Any) -> Any:
    value = numpy_helper.to_array(given["value"]) if "value" in given else np.zeros(1, np.float32)
    return tf.fill(shape, value[0])


def normalised(given: Attributes, x: Any, scale: Any, bias: Any = None) -> Any:
    """Over the last axis."""
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    made = (x - mean) * tf.math.rsqrt(variance + given.get("epsilon", 1e-5)) * scale
    return made if bias is None else made + bias


def clipped(_: Attributes, x: Any, low: Any = None, high: Any = None) -> Any:
    x = x if low is None else tf.maximum(x, low)
    return x if high is None else tf.minimum(x, high)


def table_of(given: Attributes) -> Any:
    """LabelEncoder from text to int64."""
    values = tf.constant(given["values_int64s"], tf.int64)
    content = tf.lookup.KeyValueTensorInitializer(tf.constant(given["keys_strings"]), values)
    return tf.lookup.StaticHashTable(content, given["default_int64"])


def plain(function: Operator) -> Operator:
    return lambda _, *operands: function(*operands)


OPERATORS: dict[str, Operator] = {
    "Abs": plain(tf.abs), "Add": plain(tf.add), "And": plain(tf.logical_and), "ArgMax": best(tf.argmax),
    "ArgMin": best(tf.argmin), "Cast": lambda given, x: tf.cast(x, TYPES[given["to"]]), "Clip": clipped,
    "Concat": lambda given, *parts: tf.concat(parts, given["axis"]), "ConstantOfShape": filled, "Cos": plain(tf.cos),
    "Div": divided, "Equal": plain(tf.equal), "Erf": plain(tf.math.erf), "Exp": plain(tf.exp), "Expand": expanded,
    "Flatten": flattened, "Floor": plain(tf.floor), "Gather": gathered, "GatherElements": gathered_each,
    "Greater": plain(tf.greater),
    "GreaterOrEqual": plain(tf.greater_equal), "Identity": plain(tf.identity), "IsInf": plain(tf.math.is_inf),
    "IsNaN": plain(tf.math.is_nan), "LayerNormalization": normalised, "Less": plain(tf.less),
    "LessOrEqual": plain(tf.less_equal), "Log": plain(tf.math.log), "MatMul": plain(tf.matmul),
    "Max": plain(tf.maximum), "Min": plain(tf.minimum), "Mul": plain(tf.multiply), "Neg": plain(tf.negative),
    "Not": plain(tf.logical_not), "Or": plain(tf.logical_or), "Pow": lambda _, x, y: tf.pow(x, tf.cast(y, x.dtype)),
    "Range": plain(tf.range), "ReduceMean": reduced(tf.reduce_mean), "ReduceSum": reduced(tf.reduce_sum),
    "Relu": plain(tf.nn.relu), "Reshape": reshaped, "Round": plain(tf.round), "Selu": plain(tf.nn.selu),
    "Shape": shape_of, "Sigmoid": plain(tf.sigmoid), "Sign": plain(tf.sign), "Slice": sliced,
    "Softmax": lambda given, x: tf.nn.softmax(x, given.get("axis", -1)), "Sqrt": plain(tf.sqrt),
    "Squeeze": squeezed, "Sub": plain(tf.subtract), "Tanh": plain(tf.tanh),
    "Transpose": lambda given, x: tf.transpose(x, given["perm"]), "Unsqueeze": unsqueezed, "Where": plain(tf.where),
}  # fmt: skip
