"""An ONNX file with weights of eight bits, in a process of its own: `python -m tasks.format._eight_bits FROM TO`.

onnxruntime's quantisation warns through the root logger, to which it gives a handler for the life of the process.
"""

from __future__ import annotations

import logging
import sys

from onnxruntime.quantization import QuantType, quantize_dynamic

if __name__ == "__main__":
    logging.disable(logging.WARNING)
    quantize_dynamic(sys.argv[1], sys.argv[2], weight_type=QuantType.QInt8)
