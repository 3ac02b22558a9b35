"""aten operators that change the resolution of lines, pictures and volumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from precond.errors import ModelError
from precond.formats.lowering import resize as lowering_resize
from precond.formats.lowering.resize import Axis
from precond.formats.torch.arguments import Arguments, Result

Operator = Callable[[Arguments], Result]


def nearest(a: Arguments) -> Result:
    return _resized(a, "nearest", "asymmetric")


def nearest_exact(a: Arguments) -> Result:
    return _resized(a, "nearest", "half_pixel")


def interpolated(a: Arguments) -> Result:
    places = "align_corners" if a.get("align_corners", False) else "half_pixel"
    return _resized(a, "linear", places)


def cubic(a: Arguments) -> Result:
    places = "align_corners" if a.get("align_corners", False) else "half_pixel"
    return _resized(a, "cubic", places)


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
        axes.append(Axis(before=old, after=new, factor=own, places=places))
    rounding = "floor" if places == "asymmetric" else "round_prefer_ceil"
    return lowering_resize.resize(a.builder, value, axes, mode=mode, rounding=rounding)


def _factors(a: Arguments, count: int) -> list[float | None]:
    """The scale factors that were given, None for each that was not."""
    given = a.get("scale_factors")
    if given is None:
        names = ("scales",) if count == 1 else ("scales_d", "scales_h", "scales_w")[-count:]
        given = [a.get(name) for name in names]
    assert isinstance(given, Sequence)
    return [None if factor is None else float(factor) for factor in given]


def pixel_shuffle(a: Arguments) -> Result:
    block = a.integer("upscale_factor", 1)
    return lowering_resize.depth_to_space(a.builder, a.value(), block, mode="CRD")


def pixel_unshuffle(a: Arguments) -> Result:
    block = a.integer("downscale_factor", 1)
    return lowering_resize.space_to_depth(a.builder, a.value(), block, mode="CRD")


RESIZING: dict[str, Operator] = {
    "_upsample_nearest_exact1d": nearest_exact,
    "_upsample_nearest_exact2d": nearest_exact,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "_upsample_nearest_exact3d": nearest_exact,
    "upsample_bicubic2d": cubic,
    "upsample_bilinear2d": interpolated,
    "upsample_trilinear3d": interpolated,
    "upsample_linear1d": interpolated,
    "upsample_nearest1d": nearest,
    "upsample_nearest2d": nearest,
    "upsample_nearest3d": nearest,
}
