"""A model in onnxruntime, on the CPU, without a word on the terminal."""

from __future__ import annotations

from typing import Any

import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as Missing

from precond.errors import ModelError


def onnx_session(model: str | bytes, threads: int = 1) -> Any:
    """``model``: a file's name, or its content.  ModelError where onnxruntime lacks an operator
    for the model's numbers."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Missing as error:
        raise ModelError(
            "the model in onnxruntime",
            expected="operators that it has",
            got=str(error).rpartition(":")[2].strip(),
            fix="It has no convolutions in float64: export the model in float32",
        ) from error
