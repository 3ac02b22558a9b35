"""Nodes of an ONNX graph that read constants only, computed by ONNX's reference implementation,
but for arithmetic that would round (``onnx_arithmetic``).

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
from precond.formats.lowering.basic import Operand
from precond.formats.lowering.builder import LARGEST
from precond.formats.onnx.arithmetic import computed, is_real, stand_in
from precond.formats.onnx.schema import check_attributes, schema_of

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
OLDEST = 7
FIRST = {"Softmax": 13}
"""Versions before these had a meaning that the reference implementation lacks."""
SAME_SINCE = {"DequantizeLinear": 19, "GreaterOrEqual": 16, "LessOrEqual": 16}
"""Earlier versions mean the same on what they accept, but ONNX cannot compute them."""
# What makes no number that was not there: of these a run in floats has the constants read here.
SAME_EVERYWHERE = frozenset(
    (
        *("Abs", "And", "ArgMax", "ArgMin", "Ceil", "Clip", "Concat", "Constant"),
        *("ConstantOfShape", "Dropout", "Equal", "Expand", "EyeLike", "Flatten", "Floor", "Gather"),
        *("GatherElements", "GatherND", "Greater", "GreaterOrEqual", "Identity", "Less"),
        *("LessOrEqual", "Max", "Min", "Neg", "Not", "OneHot", "Or", "Pad", "ReduceMax"),
        *("ReduceMin", "Relu", "Reshape", "Round", "Shape", "Sign", "Size", "Slice", "Split"),
        *("Squeeze", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where", "Xor"),
    )
)
SMALL = 1024  # values of a constant that may decide a shape


class Folder:
    """Computes constants, of at most ``LARGEST`` values each and four times that together."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self._left = 4 * LARGEST

    def fold(self, node: onnx.NodeProto, operands: Sequence[Operand | None]) -> list[np.ndarray]:
        """Outputs of a node, in the file's number types or as ``Real`` numbers where these would
        round."""
        from onnx.reference import ReferenceEvaluator

        if node.op_type not in FOLDED:
            raise UnsupportedOperator(
                "constants",
                expected="a deterministic operator of arithmetic, shapes or indexing",
                got=node.op_type,
            )
        given = [None if o is None else np.asarray(o) for o in operands]
        shown = [stand_in(o) if is_real(o) else o for o in given]
        plain = onnx.NodeProto()
        plain.CopyFrom(node)
        plain.domain = ""
        feeds = _named(plain, shown)
        self._check(plain, feeds)
        graph = helper.make_graph(
            [plain],
            "constants",
            [helper.make_value_info(name, onnx.TypeProto()) for name in feeds],
            [helper.make_value_info(name, onnx.TypeProto()) for name in node.output if name],
        )

        def evaluate(values: Sequence[np.ndarray | None]) -> list[np.ndarray]:
            with np.errstate(all="ignore"):
                # A node alone would be computed by the rules of the newest opset.
                results = ReferenceEvaluator(graph, opsets={"": self._opset(node.op_type)}).run(
                    None, _named(plain, values)
                )
            return [np.asarray(result) for result in results]

        found = computed(plain, given, evaluate, opset=self.opset)
        self._left -= sum(array.size for array in found)
        return found

    def _opset(self, name: str) -> int:
        """By the rules of which opset an operator is computed."""
        return max(self.opset, SAME_SINCE.get(name, 0))

    def _schema(self, name: str) -> onnx.defs.OpSchema:
        """The operator's version at this opset; only versions of opset 7 and later are known."""
        schema = schema_of(name, self.opset)
        oldest = FIRST.get(name, 0)
        if self.opset < OLDEST:
            oldest = max(oldest, schema_of(name, OLDEST).since_version)
        if schema.since_version < oldest:
            raise UnsupportedOperator(
                f"{name} of opset {self.opset}",
                expected=f"version {oldest} or later of the operator",
                got=f"version {schema.since_version}",
                fix="Export the model at opset 13 or later",
            )
        return schema

    def _check(self, node: onnx.NodeProto, feeds: dict[str, np.ndarray]) -> None:
        """ModelError where the node makes too much, or nobody can say how much."""
        try:
            check_attributes(node, self._schema(node.op_type), self.opset)
            schema = schema_of(node.op_type, self._opset(node.op_type))
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
                schema,
                node,
                types,
                small,
                opset_imports=[helper.make_opsetid("", self._opset(node.op_type))],
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


def _named(node: onnx.NodeProto, values: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
    """Operands by the names of the node's inputs."""
    pairs = zip(node.input, values, strict=True)
    return {name: value for name, value in pairs if name and value is not None}
