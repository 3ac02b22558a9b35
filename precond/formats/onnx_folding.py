"""Nodes of an ONNX graph that read constants only, computed by ONNX's reference implementation.

The size of what a node makes is inferred, and checked, before it is computed: a few bytes of
a file can ask for terabytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from precond.errors import ModelError, UnsupportedOperator
from precond.formats.builder import LARGEST
from precond.formats.lowering import Operand

# What exporters leave to be folded: arithmetic, shapes, indexing, reductions.
FOLDED = frozenset(
    (
        *("Abs", "Add", "And", "ArgMax", "ArgMin", "Cast", "CastLike", "Ceil", "Clip", "Concat"),
        *("Constant", "ConstantOfShape", "Cos", "CumSum", "DequantizeLinear", "Div", "Dropout"),
        *("Equal", "Erf", "Exp", "Expand", "EyeLike", "Flatten", "Floor", "Gather"),
        *("GatherElements", "GatherND", "Gemm", "Greater", "GreaterOrEqual", "Identity", "Less"),
        *("LessOrEqual", "Log", "MatMul", "Max", "Min", "Mod", "Mul", "Neg", "Not", "OneHot"),
        *("Or", "Pad", "Pow", "QuantizeLinear", "Range", "Reciprocal", "ReduceL1", "ReduceL2"),
        *("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Relu", "Reshape"),
        *("Round", "ScatterElements", "ScatterND", "Shape", "Sigmoid", "Sign", "Sin", "Size"),
        *("Slice", "Softmax", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Tile"),
        *("Transpose", "Trilu", "Unsqueeze", "Where", "Xor"),
    )
)
SMALL = 1024  # values of a constant that may decide a shape


class Folder:
    """Computes constants, of at most ``LARGEST`` values each and four times that together."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self._left = 4 * LARGEST

    def fold(
        self, node: onnx.NodeProto, operands: Sequence[Operand | None], where: str
    ) -> list[np.ndarray]:
        """Outputs of a node, in the file's number types; ``where`` names it in messages."""
        from onnx.reference import ReferenceEvaluator

        if node.op_type not in FOLDED:
            raise UnsupportedOperator(
                where,
                expected="a deterministic operator of arithmetic, shapes or indexing",
                got=node.op_type,
            )
        feeds = {
            name: np.asarray(operand)
            for name, operand in zip(node.input, operands, strict=True)
            if name
        }
        plain = onnx.NodeProto()
        plain.CopyFrom(node)
        plain.domain = ""
        self._check(plain, feeds)
        with np.errstate(all="ignore"):
            results = ReferenceEvaluator(plain, opsets={"": self.opset}).run(None, feeds)
        found = [np.asarray(result) for result in results]
        self._left -= sum(array.size for array in found)
        return found

    def _check(self, node: onnx.NodeProto, feeds: dict[str, np.ndarray]) -> None:
        """ModelError where the node makes too much, or nobody can say how much."""
        try:
            schema = onnx.defs.get_schema(node.op_type, self.opset, "")
            types = {
                name: helper.make_tensor_type_proto(
                    helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
                )
                for name, array in feeds.items()
            }
            small = {
                name: numpy_helper.from_array(array, name)
                for name, array in feeds.items()
                if array.size <= SMALL
            }
            found = onnx.shape_inference.infer_node_outputs(
                schema, node, types, small, opset_imports=[helper.make_opsetid("", self.opset)]
            )
        except (
            onnx.defs.SchemaError,
            onnx.shape_inference.InferenceError,
            onnx.checker.ValidationError,
        ) as error:
            raise ModelError(
                node.op_type, expected="one that fits its inputs", got=str(error).splitlines()[0]
            ) from error
        for name in node.output:
            if not name:
                continue
            kind = found[name].tensor_type if name in found else onnx.TypeProto.Tensor()
            sizes = [axis.dim_value for axis in kind.shape.dim]
            known = all(axis.HasField("dim_value") for axis in kind.shape.dim)
            if not kind.HasField("shape") or not known:
                raise ModelError(
                    node.op_type, expected="a result of known size", got="one that depends on data"
                )
            if min(sizes, default=1) < 0 or math.prod(sizes) > min(LARGEST, self._left):
                raise ModelError(
                    f"a constant of {node.op_type}",
                    expected=f"at most {min(LARGEST, self._left)} values",
                    got=f"shape {tuple(sizes)}",
                )
