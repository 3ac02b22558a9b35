"""ONNX operators that change the resolution of pictures, and operators of one axis.

A convolution or pool over one axis is the one over two with a height of 1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy as np

from precond.errors import ModelError
from precond.formats.lowering import images as lowering_images
from precond.formats.lowering import moves
from precond.formats.lowering import resize as lowering_resize
from precond.formats.lowering.basic import Operand
from precond.formats.lowering.builder import Value
from precond.formats.lowering.resize import Axis
from precond.formats.onnx.call import Call

Outputs = Sequence[Operand]
Operator = Callable[[Call], Outputs]


def planar(operator: Operator) -> Operator:
    """``operator`` for pictures (N, C, H, W), also on lines (N, C, L)."""

    def apply(call: Call) -> Outputs:
        value = call.value()
        if len(value.full) != 3:
            return operator(call)
        operands: list[Operand | None] = list(call.operands)
        operands[0] = moves.unsqueeze(call.builder, value, [2])
        if len(operands) > 1 and isinstance(operands[1], np.ndarray) and operands[1].ndim == 3:
            operands[1] = operands[1][:, :, None, :]
        wide = dataclasses.replace(call, operands=operands, attributes=_wide(call.attributes))
        results = operator(wide)
        return [_line(call, result) for result in results]

    return apply


def _line(call: Call, result: Operand) -> Operand:
    assert isinstance(result, Value)
    return moves.squeeze(call.builder, result, [2])


def _wide(attributes: Mapping[str, object]) -> dict[str, object]:
    """Attributes of one axis as those of two, of which the first does nothing."""
    neutral = {"kernel_shape": 1, "strides": 1, "dilations": 1, "output_padding": 0}
    wide = dict(attributes)
    for name, value in neutral.items():
        if name in wide:
            wide[name] = [value, *_integers(wide[name])]
    if "output_shape" in wide:
        wide["output_shape"] = [1, *_integers(wide["output_shape"])]
    if "pads" in wide:
        before, after = _integers(wide["pads"])
        wide["pads"] = [0, before, 0, after]
    return wide


def _integers(found: object) -> list[int]:
    assert isinstance(found, Sequence)
    return [int(value) for value in found]


def conv_transpose(call: Call) -> Outputs:
    value, weight = lowering_images.image(call.builder, call.value()), call.required(1)
    if weight.ndim != 4:
        raise ModelError("ConvTranspose: weight", expected="four axes", got=str(weight.shape))
    kernel = lowering_images.pair(weight.shape[2:], "kernel_shape")
    if (call.integers("kernel_shape") or list(kernel)) != list(kernel):
        raise ModelError("kernel_shape", expected=str(kernel), got="another one")
    stride = lowering_images.pair(call.integers("strides") or [1, 1], "strides")
    dilation = lowering_images.pair(call.integers("dilations") or [1, 1], "dilations")
    more = call.integers("output_padding") or [0, 0]
    if len(more) != 2 or min(more) < 0:
        raise ModelError("output_padding", expected="two sizes", got=str(more))
    auto, shape = call.text("auto_pad", "NOTSET"), call.integers("output_shape")
    if auto not in ("NOTSET", "VALID") or shape is not None:
        raise ModelError(
            "ConvTranspose",
            expected="pads",
            got=f"auto_pad {auto}, output_shape {shape}",
            fix="Runtimes split such padding differently: export it with pads",
        )
    top, left, bottom, right = call.integers("pads") or [0, 0, 0, 0]
    return [
        lowering_resize.conv_transpose(
            call.builder,
            value,
            weight,
            call.constant(2),
            stride,
            (top, left, bottom, right),
            dilation,
            call.integer("group", 1),
            (more[0], more[1]),
        )
    ]


def upsample(call: Call) -> Outputs:
    """Upsample, and Resize of opset 10: new point i lies at i / scale."""
    value = call.value()
    given = call.attributes.get("scales")
    scales = call.required(1) if given is None else np.asarray(given)
    if scales.size != len(value.full) or (scales < 1).any():
        raise ModelError(
            "scales", expected=f"{len(value.full)} numbers of 1 or more", got=str(scales.tolist())
        )
    axes = [
        _scaled(old, float(scale), "asymmetric")
        for old, scale in zip(value.full, np.ravel(scales), strict=True)
    ]
    mode = call.text("mode", "nearest")
    return [lowering_resize.resize(call.builder, value, axes, mode, "floor")]


def resize(call: Call) -> Outputs:
    if call.opset < 11:
        return upsample(call)
    value = call.value()
    for name, expected in (("antialias", 0), ("exclude_outside", 0)):
        if call.integer(name, expected) != expected:
            raise ModelError(f"Resize: {name}", expected=str(expected), got="1")
    policy = call.text("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        raise ModelError("Resize: keep_aspect_ratio_policy", expected="stretch", got=policy)
    places = call.text("coordinate_transformation_mode", "half_pixel")
    scales, sizes = call.constant(2), call.constant(3)
    has_scales, has_sizes = (a is not None and a.size > 0 for a in (scales, sizes))
    if has_scales == has_sizes:
        raise ModelError("Resize", expected="scales or sizes", got="both or none")
    every = range(len(value.full))
    chosen = [moves.axis_of(value, axis) for axis in call.integers("axes") or every]
    numbers = np.ravel(scales if has_scales else sizes)  # type: ignore[arg-type]  # one is given
    if len(numbers) != len(chosen):
        raise ModelError("Resize", expected=f"{len(chosen)} numbers", got=str(len(numbers)))
    axes: list[Axis | None] = [None] * len(value.full)
    for axis, number in zip(chosen, numbers, strict=True):
        old = value.full[axis]
        axes[axis] = (
            _scaled(old, float(number), places)
            if has_scales
            else Axis(old, int(number), Fraction(int(number), old), places)
        )
    mode = call.text("mode", "nearest")
    rounding = call.text("nearest_mode", "round_prefer_floor")
    return [lowering_resize.resize(call.builder, value, axes, mode, rounding)]


def _scaled(old: int, factor: float, places: str) -> Axis:
    if not 0.0 < factor < float("inf"):
        raise ModelError("scales", expected="positive numbers", got=str(factor))
    return Axis(old, int(np.floor(old * factor)), Fraction(factor), places)


def depth_to_space(call: Call) -> Outputs:
    block, mode = call.integer("blocksize", 1), call.text("mode", "DCR")
    return [lowering_resize.depth_to_space(call.builder, call.value(), block, mode)]


def space_to_depth(call: Call) -> Outputs:
    block = call.integer("blocksize", 1)
    return [lowering_resize.space_to_depth(call.builder, call.value(), block, "DCR")]


RESIZING: dict[str, Operator] = {
    "ConvTranspose": planar(conv_transpose),
    "DepthToSpace": depth_to_space,
    "Resize": resize,
    "SpaceToDepth": space_to_depth,
    "Upsample": upsample,
}
