"""aten operators that move values and compute none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from precond.formats.lowering import basic as lowering
from precond.formats.lowering import moves
from precond.formats.lowering.builder import Value
from precond.formats.torch.arguments import Arguments, Result

LAST = 2**63 - 1  # torch's way to say "to the end"


def flatten(a: Arguments) -> Result:
    return moves.flatten(a.builder, a.value(), a.integer("start_dim"), end=a.integer("end_dim", -1))


def reshape(a: Arguments) -> Result:
    target = "shape" if "shape" in a.named else "size"
    return moves.reshape(a.builder, a.value(), a.integers(target))


def expand(a: Arguments) -> Result:
    value, sizes = a.value(), a.integers("size")
    full = (1,) * (len(sizes) - len(value.full)) + value.full
    target = tuple(old if new == -1 else new for old, new in zip(full, sizes, strict=True))
    return moves.expand(a.builder, value, target)


def permute(a: Arguments) -> Result:
    return moves.transpose(a.builder, a.value(), a.integers("dims"))


def transpose(a: Arguments) -> Result:
    value = a.value()
    order = list(range(len(value.full)))
    first, second = (moves.axis_of(value, a.integer(f"dim{i}")) for i in (0, 1))
    order[first], order[second] = order[second], order[first]
    return moves.transpose(a.builder, value, order)


def swapaxes(a: Arguments) -> Result:
    named = {**a.named, "dim0": a.get("axis0"), "dim1": a.get("axis1")}
    return transpose(replace(a, named=named))


def t(a: Arguments) -> Result:
    value = a.value()
    return moves.transpose(a.builder, value, range(len(value.full))[::-1])


def squeeze(a: Arguments) -> Result:
    value = a.value()
    if "dim" not in a.named:
        return moves.squeeze(a.builder, value, axes=None)
    axes = [moves.axis_of(value, axis) for axis in a.integers("dim")]
    return moves.squeeze(a.builder, value, [axis for axis in axes if value.full[axis] == 1])


def unsqueeze(a: Arguments) -> Result:
    return moves.unsqueeze(a.builder, a.value(), [a.integer("dim")])


def slice_(a: Arguments) -> Result:
    value = a.value()
    end = min(a.integer("end", LAST), LAST)
    return moves.strided(
        a.builder,
        value,
        a.integer("dim"),
        start=a.integer("start"),
        stop=end,
        step=a.integer("step", 1),
    )


def select(a: Arguments) -> Result:
    index = np.array(a.integer("index"))
    return moves.take(a.builder, a.value(), a.integer("dim"), indices=index)


def index_select(a: Arguments) -> Result:
    index = a.constant("index").astype(np.int64)
    return moves.take(a.builder, a.value(), a.integer("dim"), indices=np.atleast_1d(index))


def split(a: Arguments) -> Result:
    value, axis = a.value(), a.integer("dim")
    size = value.full[moves.axis_of(value, axis)]
    name = "split_sizes" if "split_sizes" in a.named else "split_size"
    given = a.integers(name)
    if isinstance(a.get(name), int):
        each = given[0]
        given = [min(each, size - start) for start in range(0, size, each)]
    return moves.split(a.builder, value, axis, sizes=given)


def chunk(a: Arguments) -> Result:
    value, axis = a.value(), a.integer("dim")
    size = value.full[moves.axis_of(value, axis)]
    each = -(-size // a.integer("chunks", 1))
    sizes = [min(each, size - start) for start in range(0, size, each)]
    return moves.split(a.builder, value, axis, sizes=sizes)


def cat(a: Arguments) -> Result:
    tensors = a.get("tensors")
    assert isinstance(tensors, Sequence)
    parts = [a.as_operand(part, "tensors") for part in tensors]
    return lowering.concat(a.builder, parts, a.integer("dim"))


def pad(a: Arguments) -> Result:
    value = a.value()
    sizes = a.integers("pad")
    widths = [(0, 0)] * len(value.full)
    for i in range(len(sizes) // 2):
        widths[-1 - i] = (sizes[2 * i], sizes[2 * i + 1])
    mode = {"replicate": "edge"}.get(str(a.get("mode", "constant")), str(a.get("mode", "constant")))
    return moves.pad(a.builder, value, widths, fill=a.number("value", 0.0), mode=mode)


def movedim(a: Arguments) -> Result:
    value = a.value()
    source = [moves.axis_of(value, axis) for axis in a.integers("source")]
    target = [moves.axis_of(value, axis) for axis in a.integers("destination")]
    rest = [axis for axis in range(len(value.full)) if axis not in source]
    for place, axis in sorted(zip(target, source, strict=True)):
        rest.insert(place, axis)
    return moves.transpose(a.builder, value, rest)


def unflatten(a: Arguments) -> Result:
    value, axis = a.value(), moves.axis_of(a.value(), a.integer("dim"))
    sizes = (*value.full[:axis], *a.integers("sizes"), *value.full[axis + 1 :])
    return moves.reshape(a.builder, value, sizes)


def narrow(a: Arguments) -> Result:
    start, length = a.integer("start"), a.integer("length")
    places = np.arange(start, start + length)
    return moves.take(a.builder, a.value(), a.integer("dim"), indices=places)


def like(operator: Callable[[Arguments, list[int]], Result]) -> Callable[[Arguments], Result]:
    """To the shape of another tensor."""

    def apply(a: Arguments) -> Result:
        other = a.operand("other")
        full = other.full if isinstance(other, Value) else other.shape
        return operator(a, list(full))

    return apply


def _view(a: Arguments, full: list[int]) -> Result:
    return moves.reshape(a.builder, a.value(), full)


def _expand(a: Arguments, full: list[int]) -> Result:
    return moves.expand(a.builder, a.value(), tuple(full))


SHAPES: dict[str, Callable[[Arguments], Result]] = {
    "_unsafe_view": reshape,
    "cat": cat,
    "chunk": chunk,
    "constant_pad_nd": pad,
    "expand": expand,
    "expand_as": like(_expand),
    "flatten": flatten,
    "index_select": index_select,
    "movedim": movedim,
    "narrow": narrow,
    "numpy_T": t,
    "pad": pad,
    "permute": permute,
    "reshape": reshape,
    "reshape_as": like(_view),
    "select": select,
    "slice": slice_,
    "split": split,
    "split_with_sizes": split,
    "squeeze": squeeze,
    "t": t,
    "swapaxes": swapaxes,
    "transpose": transpose,
    "unflatten": unflatten,
    "unsqueeze": unsqueeze,
    "view": reshape,
    "view_as": like(_view),
}
