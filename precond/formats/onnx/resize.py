"""ONNX operators that change the resolution of pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from precond.errors import ModelError
from precond.formats.lowering import moves
from precond.formats.lowering import resize as lowering_resize
from precond.formats.lowering.basic import Operand
from precond.formats.lowering.resize import Axis
from precond.formats.onnx.call import Call

Outputs = Sequence[Operand]
Operator = Callable[[Call], Outputs]


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
    return [lowering_resize.resize(call.builder, value, axes, mode=mode, rounding="floor")]


def resize(call: Call) -> Outputs:
    if call.opset < 11:
        return upsample(call)
    value = call.value()
    if call.integer("antialias", 0):
        raise ModelError("Resize: antialias", expected="0", got="1")
    policy = call.text("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        raise ModelError("Resize: keep_aspect_ratio_policy", expected="stretch", got=policy)
    mode = call.text("mode", "nearest")
    outside = bool(call.integer("exclude_outside", 0))
    if outside and mode != "cubic":
        raise ModelError("Resize: exclude_outside", expected="0, or mode cubic", got=mode)
    cubic = Fraction(call.number("cubic_coeff_a", -0.75))
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
        new = (
            _scaled(old, float(number), places)
            if has_scales
            else Axis(
                before=old, after=int(number), factor=Fraction(int(number), old), places=places
            )
        )
        axes[axis] = replace(new, cubic=cubic, exclude_outside=outside)
    rounding = call.text("nearest_mode", "round_prefer_floor")
    return [lowering_resize.resize(call.builder, value, axes, mode=mode, rounding=rounding)]


def _scaled(old: int, factor: float, places: str) -> Axis:
    if not 0.0 < factor < float("inf"):
        raise ModelError("scales", expected="positive numbers", got=str(factor))
    after = int(np.floor(old * factor))
    return Axis(before=old, after=after, factor=Fraction(factor), places=places)


def depth_to_space(call: Call) -> Outputs:
    block, mode = call.integer("blocksize", 1), call.text("mode", "DCR")
    return [lowering_resize.depth_to_space(call.builder, call.value(), block, mode=mode)]


def space_to_depth(call: Call) -> Outputs:
    block = call.integer("blocksize", 1)
    return [lowering_resize.space_to_depth(call.builder, call.value(), block, mode="DCR")]


RESIZING: dict[str, Operator] = {
    "DepthToSpace": depth_to_space,
    "Resize": resize,
    "SpaceToDepth": space_to_depth,
    "Upsample": upsample,
}
