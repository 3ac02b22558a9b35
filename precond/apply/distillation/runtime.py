"""A fast path, or a plain network, run by onnxruntime."""

from __future__ import annotations

from typing import Any

import onnx
import torch
from torch import Tensor

from precond.formats.onnx.session import onnx_session
from precond.network.graph import INPUT


class OnnxRun:
    """Call it with inputs (N, …) to get the model's first output; as many threads as torch has."""

    def __init__(self, model: onnx.ModelProto | bytes) -> None:
        content = model if isinstance(model, bytes) else model.SerializeToString()
        self.session: Any = onnx_session(content, torch.get_num_threads())
        self.first = [self.session.get_outputs()[0].name]
        self.type = self.session.get_inputs()[0].type

    def __call__(self, inputs: Tensor) -> Tensor:
        array = inputs.numpy()
        if self.type == "tensor(double)":
            array = array.astype("float64")
        return torch.from_numpy(self.session.run(self.first, {INPUT: array})[0])
