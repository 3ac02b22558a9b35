"""The operators that can read computed values: by their names in ONNX and torch, with conditions.

This is what the documentation lists (``docs/operators.md`` is written from it) and what a test
holds the dispatch of both readers against.  What reads constants alone is folded and stands in
neither; what is refused, and why, stands in ``refusals``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from precond.formats.lowering.refusals import (
    BRANCHES,
    JUMP_REMEDY,
    JUMPS,
    RECURRENT,
    REMEDY,
    ROUNDED,
    SMOOTH,
)


@dataclass(frozen=True)
class Operation:
    """What several names stand for, and under which conditions it is read (empty: always)."""

    meaning: str
    onnx: tuple[str, ...]
    torch: tuple[str, ...]
    condition: str = ""


CONSTANT_SIDE = "one of the two sides is constant"
LAST = "as the last operator, over all outputs"
CONTINUOUS = "where it is continuous"
SAME_SIZE = "adaptive: parts of one size"

OPERATIONS = (
    Operation("sum, difference", ("Add", "Sub", "Sum"), ("add", "sub", "rsub")),
    Operation("mean of several", ("Mean",), ()),
    Operation("product", ("Mul",), ("mul",), condition=CONSTANT_SIDE),
    Operation("quotient", ("Div",), ("div",), condition="the divisor is constant"),
    Operation("negative", ("Neg",), ("neg",)),
    Operation("power", ("Pow",), ("pow",), condition="exponents 0 and 1"),
    Operation(
        "matrix product",
        ("Gemm", "MatMul"),
        ("addmm", "bmm", "linear", "matmul", "mm"),
        condition=CONSTANT_SIDE,
    ),
    Operation(
        "sum of products",
        ("Einsum",),
        ("einsum",),
        condition="one computed operand, no letter twice",
    ),
    Operation("sum or mean over axes", ("ReduceMean", "ReduceSum"), ("mean", "sum")),
    Operation("sum of absolute values over axes", ("ReduceL1",), ()),
    Operation("running sum", ("CumSum",), ("cumsum",)),
    Operation(
        "batch normalisation",
        ("BatchNormalization",),
        ("_native_batch_norm_legit_no_training", "batch_norm"),
        condition="in evaluation mode",
    ),
    Operation("standardisation (scikit-learn)", ("ai.onnx.ml::Scaler",), ()),
    Operation(
        "convolution of 1 to 3 axes",
        ("Conv",),
        ("conv1d", "conv2d", "conv3d", "convolution"),
        condition="constant weights",
    ),
    Operation(
        "transposed convolution",
        ("ConvTranspose",),
        ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
        condition="constant weights; automatic padding of even size",
    ),
    Operation(
        "average pool of 1 to 3 axes",
        ("AveragePool", "GlobalAveragePool"),
        (
            *("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool1d"),
            *("adaptive_avg_pool2d", "adaptive_avg_pool3d"),
            *("avg_pool1d", "avg_pool2d", "avg_pool3d"),
        ),
        condition=SAME_SIZE,
    ),
    Operation("sum of absolute values in windows", ("LpPool",), (), condition="p = 1"),
    Operation(
        "max-pool of 1 to 3 axes",
        ("MaxPool", "GlobalMaxPool"),
        (
            *("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"),
            *("max_pool1d", "max_pool2d", "max_pool2d_with_indices", "max_pool3d"),
            "max_pool3d_with_indices",
        ),
        condition=f"its indices are not read; {SAME_SIZE}",
    ),
    Operation(
        "resizing: nearest, linear, cubic",
        ("Resize", "Upsample"),
        (
            *("_upsample_nearest_exact1d", "_upsample_nearest_exact2d"),
            *("_upsample_nearest_exact3d", "upsample_bicubic2d", "upsample_bilinear2d"),
            *("upsample_linear1d", "upsample_nearest1d", "upsample_nearest2d"),
            *("upsample_nearest3d", "upsample_trilinear3d"),
        ),
        condition="without antialiasing; nearest where no rounding decides",
    ),
    Operation(
        "between channels and space",
        ("DepthToSpace", "SpaceToDepth"),
        ("pixel_shuffle", "pixel_unshuffle"),
    ),
    Operation("ReLU", ("Relu",), ("relu",)),
    Operation("leaky ReLU", ("LeakyRelu",), ("leaky_relu",), condition="any slope"),
    Operation("PReLU", ("PRelu",), ("_prelu_kernel", "prelu"), condition="any constant slopes"),
    Operation(
        "between limits",
        ("Clip",),
        ("clamp", "clamp_max", "clamp_min", "hardtanh", "relu6"),
        condition="constant limits",
    ),
    Operation("hard sigmoid", ("HardSigmoid",), ("hardsigmoid",)),
    Operation("threshold", ("ThresholdedRelu",), ("threshold",), condition=CONTINUOUS),
    Operation("soft shrink", ("Shrink",), (), condition=CONTINUOUS),
    Operation("absolute value", ("Abs",), ("abs",)),
    Operation("maximum, minimum of several", ("Max", "Min"), ("max", "maximum", "min", "minimum")),
    Operation("largest, smallest over axes", ("ReduceMax", "ReduceMin"), ("amax", "amin")),
    Operation("choice", ("Where",), ("masked_fill", "where"), condition="a constant condition"),
    Operation(
        "softmax, log-softmax",
        ("LogSoftmax", "Softmax"),
        ("_log_softmax", "_softmax", "log_softmax", "softmax"),
        condition=LAST,
    ),
    Operation("sigmoid", ("Sigmoid",), ("sigmoid",), condition="as the last operator"),
    Operation(
        "no change",
        ("Cast", "CastLike", "Dropout", "Identity"),
        (
            *("_to_copy", "alias", "clone", "contiguous", "detach", "dropout"),
            *("feature_dropout", "to", "type_as"),
        ),
        condition="in evaluation mode, to floating-point types",
    ),
    Operation(
        "another shape",
        ("Flatten", "Reshape", "Squeeze", "Unsqueeze"),
        (
            *("_unsafe_view", "flatten", "reshape", "reshape_as", "squeeze", "unflatten"),
            *("unsqueeze", "view", "view_as"),
        ),
    ),
    Operation(
        "order of axes",
        ("Transpose",),
        ("movedim", "numpy_T", "permute", "swapaxes", "t", "transpose"),
    ),
    Operation(
        "joined, cut apart",
        ("Concat", "Split"),
        ("cat", "chunk", "split", "split_with_sizes", "stack", "unbind"),
    ),
    Operation(
        "elements chosen",
        ("Gather", "GatherElements", "GatherND", "Slice"),
        ("flip", "gather", "index", "index_select", "narrow", "roll", "select", "slice"),
        condition="constant places",
    ),
    Operation("repeated, widened", ("Expand", "Tile"), ("expand", "expand_as", "repeat", "tile")),
    Operation(
        "padding",
        ("Pad",),
        ("constant_pad_nd", "pad"),
        condition="by a constant, the edge or reflection",
    ),
    Operation("triangle", ("Trilu",), ("tril", "triu")),
    Operation("sizes", ("Shape", "Size"), ("full_like", "ones_like", "zeros_like")),
)

REFUSED = (
    ("is not piecewise linear", SMOOTH, REMEDY),
    ("jumps", JUMPS, JUMP_REMEDY),
    ("rounds", ROUNDED, "Export the model before it is quantised"),
    ("chooses what is run", BRANCHES, "Export the model without control flow"),
    ("multiplies computed values", RECURRENT, "Only feed-forward networks can be read"),
)
"""Why operators are refused, their names (in small letters, as either library has them), and
what to do."""

HEAD = """# Operators that are read

Written from `precond/formats/lowering/table.py` by `python -m precond.formats.lowering.table`.

A network is read where it is piecewise linear and continuous. Every operator below is checked
against ONNX Runtime, or torch, on 1,000 inputs to 1e-5 (`tests/formats`), those of ONNX also at
every opset from 7 to 23 at which their meaning changed. An operator that reads constants alone
(also the sizes of computed values) is computed while the file is read, so `Equal`,
`ConstantOfShape`, `Range` and their like may stand there.
"""


def page() -> str:
    """The page of the documentation, in Markdown."""
    rows = [(one.meaning, _code(one.onnx), _code(one.torch), one.condition) for one in OPERATIONS]
    refused = [(why, _code(sorted(names)), fix) for why, names, fix in REFUSED]
    return "\n".join(
        [
            HEAD,
            *_table(("what it computes", "ONNX", "torch (aten)", "read"), rows),
            "",
            "## Refused, of computed values",
            "",
            "The refusal is one line that names the operator and what to do.",
            "",
            *_table(("it", "names in small letters", "what to do"), refused),
            "",
        ]
    )


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        "|" + "|".join(f" {cell} " if cell else " " for cell in row) + "|"
        for row in (head, ["---"] * len(head), *rows)
    ]


if __name__ == "__main__":
    print(page(), end="")
