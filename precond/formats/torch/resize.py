"""aten operators that change the resolution of pictures, and operators of one axis.

A convolution or pool over one axis is the one over two with a height of 1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from fractions import Fraction

import torch

from precond.errors import ModelError
from precond.formats.lowering import images as lowering_images
from precond.formats.lowering import moves
from precond.formats.lowering import pieces as lowering_pieces
from precond.formats.lowering import resize as lowering_resize
from precond.formats.lowering.builder import Value
from precond.formats.lowering.resize import Axis
from precond.formats.torch.arguments import Arguments, Result

Operator = Callable[[Arguments], Result]
NEUTRAL = {
    "kernel_size": 1,
    "stride": 1,
    "dilation": 1,
    "padding": 0,
    "output_padding": 0,
    "output_size": 1,
}
"""What the axis that a line lacks does for each argument: nothing."""


def planar(operator: Operator) -> Operator:
    """``operator`` for pictures (N, C, H, W), also on lines (N, C, L)."""

    def apply(a: Arguments) -> Result:
        name = "input" if "input" in a.named else "self"
        value = a.value(name)
        if len(value.full) != 3:
            return operator(a)
        named = {**a.named, name: moves.unsqueeze(a.builder, value, [2])}
        weight = named.get("weight")
        if isinstance(weight, torch.Tensor):
            named["weight"] = weight.unsqueeze(2)
        for argument, neutral in NEUTRAL.items():
            given = named.get(argument)
            if isinstance(given, int):
                named[argument] = [neutral, given]
            elif isinstance(given, Sequence) and not isinstance(given, str) and given:
                named[argument] = [neutral, *given]
        result = operator(dataclasses.replace(a, named=named))
        parts = result if isinstance(result, list) else [result]
        lines = [_line(a, part) for part in parts]
        return lines if isinstance(result, list) else lines[0]

    return apply


def _line(a: Arguments, part: object) -> Value:
    assert isinstance(part, Value)
    return moves.squeeze(a.builder, part, [2])


def conv_transpose(a: Arguments) -> Result:
    more = a.integers("output_padding") or [0, 0]
    height, width = more * 2 if len(more) == 1 else more
    return lowering_resize.conv_transpose(
        a.builder,
        lowering_images.image(a.builder, a.value("input")),
        a.constant("weight"),
        a.optional("bias"),
        a.pair("stride"),
        a.padding(),
        a.pair("dilation"),
        a.integer("groups", 1),
        (height, width),
    )


def adaptive_max_pool(a: Arguments) -> Result:
    value = lowering_images.image(a.builder, a.value())
    rows, columns = a.pair("output_size")
    _, height, width = value.shape
    if height % rows or width % columns:
        raise ModelError(
            "adaptive max-pool",
            expected=f"a size that divides {(height, width)}",
            got=str((rows, columns)),
        )
    kernel = (height // rows, width // columns)
    found = lowering_images.max_pool(a.builder, value, kernel, kernel, (0, 0, 0, 0), (1, 1), False)
    return [found]


def nearest(a: Arguments) -> Result:
    return _resized(a, "nearest", "asymmetric")


def nearest_exact(a: Arguments) -> Result:
    return _resized(a, "nearest", "half_pixel")


def interpolated(a: Arguments) -> Result:
    places = "align_corners" if a.get("align_corners", False) else "half_pixel"
    return _resized(a, "linear", places)


def _resized(a: Arguments, mode: str, places: str) -> Result:
    value = a.value("input" if "input" in a.named else "self")
    spatial = value.full[2:]
    sizes, factors = a.integers("output_size"), _factors(a, len(spatial))
    if not sizes:
        sizes = [int(old * factor) for old, factor in zip(spatial, factors, strict=True) if factor]
    if len(sizes) != len(spatial):
        raise ModelError("upsample", expected=f"{len(spatial)} sizes", got=str(sizes))
    axes: list[Axis | None] = [None, None]
    for old, new, factor in zip(spatial, sizes, factors, strict=True):
        own = Fraction(new, old) if not factor else Fraction(factor)
        axes.append(Axis(old, new, own, places))
    rounding = "floor" if places == "asymmetric" else "round_prefer_ceil"
    return lowering_resize.resize(a.builder, value, axes, mode, rounding)


def _factors(a: Arguments, count: int) -> list[float | None]:
    """The scale factors that were given, None for each that was not."""
    given = a.get("scale_factors")
    if given is None:
        names = ("scales",) if count == 1 else ("scales_h", "scales_w")
        given = [a.get(name) for name in names]
    assert isinstance(given, Sequence)
    return [None if factor is None else float(factor) for factor in given]


def pixel_shuffle(a: Arguments) -> Result:
    block = a.integer("upscale_factor", 1)
    return lowering_resize.depth_to_space(a.builder, a.value(), block, "CRD")


def pixel_unshuffle(a: Arguments) -> Result:
    block = a.integer("downscale_factor", 1)
    return lowering_resize.space_to_depth(a.builder, a.value(), block, "CRD")


def adaptive_max_pool_line(a: Arguments) -> Result:
    value = a.value()
    if a.integers("output_size") == [1]:
        return [lowering_pieces.extreme_over(a.builder, value, [-1], True, 1.0)]
    return planar(adaptive_max_pool)(a)


RESIZING: dict[str, Operator] = {
    "adaptive_max_pool1d": adaptive_max_pool_line,
    "adaptive_max_pool2d": adaptive_max_pool,
    "_upsample_nearest_exact1d": nearest_exact,
    "_upsample_nearest_exact2d": nearest_exact,
    "conv_transpose1d": planar(conv_transpose),
    "conv_transpose2d": conv_transpose,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "upsample_bilinear2d": interpolated,
    "upsample_linear1d": interpolated,
    "upsample_nearest1d": nearest,
    "upsample_nearest2d": nearest,
}
