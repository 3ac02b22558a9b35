"""Which versions of an ONNX operator are known here, and whether a node fits its version.

An operator's meaning at an opset is that of its latest version at or below the opset; the
standard never changes a version once it is released.  So a node is read only if its version
is in ``VERSIONS``, whose differences the functions of ``onnx_operators.py`` handle, and only
with the inputs and attributes that this version has.  Everything else is refused by name and
opset: nothing is read by the rules of another version.
"""

from __future__ import annotations

import onnx

from precond.errors import ModelError, UnsupportedOperator

DOMAINS = ("", "ai.onnx")
"""Two spellings of the standard's own domain."""

VERSIONS: dict[str, tuple[int, ...]] = {
    "Abs": (6, 13),
    "Add": (7, 13, 14),
    "AveragePool": (7, 10, 11, 19, 22),
    "BatchNormalization": (7, 9, 14, 15),
    "Cast": (6, 9, 13, 19, 21, 23, 24, 25, 28),
    "CastLike": (15, 19, 21, 23, 24, 25),
    "Clip": (6, 11, 12, 13),
    "Concat": (4, 11, 13),
    "Conv": (1, 11, 22),
    "ConvTranspose": (1, 11, 22),
    "CumSum": (11, 14),
    "DepthToSpace": (1, 11, 13),
    "Div": (7, 13, 14),
    "Dropout": (7, 10, 12, 13, 22),
    "Einsum": (12,),
    "Expand": (8, 13),
    "Flatten": (1, 9, 11, 13, 21, 23, 24, 25),
    "Gather": (1, 11, 13),
    "GatherElements": (11, 13),
    "GatherND": (11, 12, 13),
    "Gemm": (7, 9, 11, 13),
    "GlobalAveragePool": (1, 22),
    "GlobalMaxPool": (1, 22),
    "HardSigmoid": (6, 22),
    "Identity": (1, 13, 14, 16, 19, 21, 23, 24, 25),
    "LeakyRelu": (6, 16),
    "LogSoftmax": (1, 11, 13),
    "MatMul": (1, 9, 13),
    "LpPool": (2, 11, 18, 22),
    "Max": (6, 8, 12, 13),
    "MaxPool": (1, 8, 10, 11, 12, 22),
    "Mean": (6, 8, 13),
    "Min": (6, 8, 12, 13),
    "Mul": (7, 13, 14),
    "Neg": (6, 13),
    "PRelu": (7, 9, 16),
    "Pad": (2, 11, 13, 18, 19, 21, 23, 24, 25),
    "Pow": (7, 12, 13, 15),
    "ReduceL1": (1, 11, 13, 18),
    "ReduceMax": (1, 11, 12, 13, 18, 20),
    "ReduceMean": (1, 11, 13, 18),
    "ReduceMin": (1, 11, 12, 13, 18, 20),
    "ReduceSum": (1, 11, 13),
    "Relu": (6, 13, 14),
    "Reshape": (5, 13, 14, 19, 21, 23, 24, 25),
    "Resize": (10, 11, 13, 18, 19),
    "Shape": (1, 13, 15, 19, 21, 23, 24, 25),
    "Shrink": (9,),
    "Size": (1, 13, 19, 21, 23, 24, 25),
    "Slice": (1, 10, 11, 13),
    "Sigmoid": (6, 13),
    "Softmax": (1, 11, 13),
    "SpaceToDepth": (1, 13),
    "Split": (2, 11, 13, 18),
    "Squeeze": (1, 11, 13, 21, 23, 24, 25),
    "Sub": (7, 13, 14),
    "Sum": (6, 8, 13),
    "ThresholdedRelu": (10, 22),
    "Tile": (6, 13),
    "Transpose": (1, 13, 21, 23, 24, 25),
    "Trilu": (14,),
    "Unsqueeze": (1, 11, 13, 21, 23, 24, 25),
    "Upsample": (7, 9),
    "Where": (9, 16),
}
"""Of every operator that can read computed tensors: the versions that are handled."""


def opset_of(model: onnx.ModelProto, origin: str) -> int:
    """The opset of the standard's domain; ModelError if it is unclear or newer than any known."""
    versions = {item.version for item in model.opset_import if item.domain in DOMAINS}
    newest = onnx.defs.onnx_opset_version()
    if len(versions) > 1:
        raise ModelError(f"{origin}: opset", expected="one", got=str(sorted(versions)))
    opset = versions.pop() if versions else 1  # the standard's default
    if not 1 <= opset <= newest:
        raise ModelError(
            f"{origin}: opset {opset}",
            expected=f"1 to {newest}, the newest known here",
            got=str(opset),
            fix="Export the model at an opset of that range, or install a newer onnx",
        )
    return opset


def check_node(node: onnx.NodeProto, opset: int) -> None:
    """ModelError unless the node is of a version that is known, and fits it."""
    schema = schema_of(node.op_type, opset)
    if schema.since_version not in VERSIONS[node.op_type]:
        raise UnsupportedOperator(
            f"{node.op_type} of opset {opset}",
            expected=f"its version {' or '.join(map(str, VERSIONS[node.op_type]))}",
            got=f"version {schema.since_version}, which has another meaning",
            fix="Export the model at opset 13 or later",
        )
    for kind, count, least, most in (
        ("inputs", len(node.input), schema.min_input, schema.max_input),
        ("outputs", len(node.output), schema.min_output, schema.max_output),
    ):
        if not least <= count <= most:
            raise ModelError(kind, expected=f"{least} to {most}", got=str(count))
    for name, formal in zip(node.input, schema.inputs, strict=False):
        if not name and formal.option == onnx.defs.OpSchema.FormalParameterOption.Single:
            raise ModelError(f"input {formal.name}", expected="a tensor", got="none")
    check_attributes(node, schema, opset)


def schema_of(name: str, opset: int) -> onnx.defs.OpSchema:
    """The version of an operator that an opset means; ModelError if the opset has none."""
    try:
        schema = onnx.defs.get_schema(name, opset, "")
    except onnx.defs.SchemaError as error:
        raise ModelError(name, expected=f"an operator of opset {opset}", got="none") from error
    if schema.deprecated:
        raise ModelError(name, expected=f"an operator of opset {opset}", got="a removed one")
    return schema


def check_attributes(node: onnx.NodeProto, schema: onnx.defs.OpSchema, opset: int) -> None:
    """ModelError unless the node has the attributes of its version, each once."""
    names = [item.name for item in node.attribute]
    unknown = [name for name in names if name not in schema.attributes]
    if unknown or len(set(names)) < len(names):
        raise ModelError(
            f"attributes of {schema.name}",
            expected=f"each of {', '.join(schema.attributes) or 'none'} once, at opset {opset}",
            got=", ".join(names),
        )
    for item in node.attribute:
        kind = schema.attributes[item.name].type
        if item.type != kind.value:
            got = onnx.AttributeProto.AttributeType.Name(item.type)
            raise ModelError(f"attribute {item.name}", expected=kind.name, got=got)
    missing = [n for n, a in schema.attributes.items() if a.required and n not in names]
    if missing:
        raise ModelError(
            f"attributes of {schema.name}", expected=", ".join(missing), got="none of that name"
        )
