"""What a model file reads and gives: several inputs as one, several outputs as one, or one chosen.

Inputs stand side by side in the order of the file, each flat.  So do the outputs that are read:
all of them, or the one that the user names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from precond.basics.arguments import items, whole
from precond.errors import ModelError
from precond.formats.lowering.basic import Operand, concat, constant
from precond.formats.lowering.builder import NetworkBuilder, Value
from precond.formats.lowering.moves import reshape
from precond.network.graph import INPUT, Network
from precond.network.interface import NamedTensor, places
from precond.network.layers import Shape

InputShape = Sequence[int] | Mapping[str, Sequence[int]]
"""Sizes of the one input without the batch axis, or those of several inputs by name."""
Dims = Sequence[int | None]
"""Sizes as a file says them, None where it leaves one open."""
SHAPE_FIX = "Give the sizes: --input-shape 1,28,28 (in Python input_shape=(1, 28, 28))"
NAMED_FIX = (
    "Give the sizes of each: --input-shape {name}=1,28,28 (in Python "
    "input_shape={{'{name}': (1, 28, 28)}})"
)


@dataclass(frozen=True)
class Source:
    """One input: its shape without a batch axis, whether the file's tensor has that axis, and
    whether it leaves it open."""

    name: str
    shape: Shape
    batched: bool
    open_batch: bool

    @property
    def part(self) -> NamedTensor:
        return NamedTensor(self.name, self.shape)


def checked_shape(given: InputShape | None) -> InputShape | None:
    """Sizes as tuples; ModelError for what are none."""
    if isinstance(given, Mapping):
        return {str(name): _sizes(sizes, f"input_shape of {name}") for name, sizes in given.items()}
    return None if given is None else _sizes(given, "input_shape")


def _sizes(given: Sequence[int], name: str) -> Shape:
    sizes = tuple(whole(name, size) for size in items(name, given, "sizes"))
    if not sizes or any(size < 1 for size in sizes):
        raise ModelError(
            name, expected="positive sizes without the batch axis", got=str(tuple(given))
        )
    return sizes


def shapes_by_name(
    given: InputShape | None, names: Sequence[str], origin: str
) -> dict[str, Shape | None]:
    """What the user gave for each input; ModelError for names that the model has not, and for
    sizes without a name where there are several inputs."""
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in names]
        if unknown:
            raise ModelError(
                f"{origin}: input_shape",
                expected=f"sizes of {', '.join(names)}",
                got=f"those of {', '.join(unknown)}",
            )
        return {name: tuple(given[name]) if name in given else None for name in names}
    if given is not None and len(names) > 1:
        raise ModelError(
            f"{origin}: input_shape",
            expected=f"sizes of each of the inputs {', '.join(names)} by name",
            got=str(tuple(given)),
            fix=NAMED_FIX.format(name=names[0]),
        )
    return {name: None if given is None else tuple(given) for name in names}


def source_of(name: str, dims: Dims | None, given: Shape | None, origin: str) -> Source:
    """An input of a file that says ``dims`` (None: nothing) with the sizes the user gave.

    Without these, a first axis that is open or of size 1 is the batch.
    """
    if dims is None:
        if given is None:
            raise ModelError(f"{origin}: input {name!r} has no shape", fix=SHAPE_FIX)
        return Source(name, given, batched=True, open_batch=True)
    shown = str(["?" if size is None else size for size in dims])
    batched = len(dims) > 1 and dims[0] in (1, None)
    if given is not None:
        batched = batched and len(dims) == len(given) + 1
    inner = dims[1:] if batched else dims
    shape = tuple(size for size in inner if size is not None) if given is None else given
    fits = len(inner) == len(shape) and all(
        size in (None, n) for size, n in zip(inner, shape, strict=True)
    )
    if given is not None and not fits:
        raise ModelError(
            f"{origin}: input_shape",
            expected=f"one that fits {shown} in the file",
            got=str(given),
            fix="Leave the batch axis out",
        )
    if not fits or not shape:
        raise ModelError(
            f"{origin}: input {name!r}",
            expected="fixed sizes after the batch axis",
            got=shown,
            fix=SHAPE_FIX,
        )
    return Source(name, shape, batched, open_batch=batched and dims[0] is None)


def opened(origin: str, sources: Sequence[Source]) -> tuple[NetworkBuilder, dict[str, Value]]:
    """A builder for a network of these inputs, and the value of each by name."""
    parts = tuple(source.part for source in sources)
    batched = any(source.batched for source in sources)
    open_batch = any(s.open_batch for s in sources) and all(s.batched for s in sources)
    if len(sources) == 1:
        builder = NetworkBuilder(origin, parts[0].shape, batched, open_batch=open_batch)
        builder.tensors[parts[0].name] = INPUT
        return builder, {parts[0].name: builder.input}
    builder = NetworkBuilder(
        origin, (sum(part.size for part in parts),), batched, open_batch=open_batch
    )
    builder.input_parts = parts
    values = {}
    for source, (part, start, end) in zip(sources, places(parts), strict=True):
        builder.label = part.name
        index = np.arange(start, end, dtype=np.int64)
        shape = (1, *part.shape) if source.batched else part.shape
        value = builder.rearrange(builder.input, index.reshape(shape), source.batched)
        builder.tensors[part.name] = value.name
        values[part.name] = value
    builder.label = ""
    return builder, values


def output_names(names: Sequence[str], wanted: str | None, origin: str) -> list[str]:
    """The outputs that are read: all, or the one that the user names, or numbers from 0."""
    if not names:
        raise ModelError(origin, expected="an output", got="none")
    if wanted is None:
        return list(names)
    if wanted in names:
        return [wanted]
    if wanted.isdecimal() and int(wanted) < len(names):
        return [names[int(wanted)]]
    raise ModelError(
        f"{origin}: output {wanted!r}", expected=f"one of {', '.join(names)}", got="none of them"
    )


def one_alone(names: Sequence[str]) -> str:
    """What to add to a refusal where others of several outputs may do; empty for one."""
    return f". Or read one output alone: --output {' or '.join(names)}" if len(names) > 1 else ""


def closed(builder: NetworkBuilder, outputs: Sequence[tuple[str, Operand]]) -> Network:
    """The network whose output are these, side by side."""
    values = [
        (name, value if isinstance(value, Value) else constant(builder, builder.input, value))
        for name, value in outputs
    ]
    if len(values) == 1:
        return builder.finish(values[0][1])
    builder.label = ""
    builder.output_parts = tuple(NamedTensor(name, value.shape) for name, value in values)
    if not all(value.batched for _, value in values):
        values = [(name, builder.unbatch(value)) for name, value in values]
    flat = [reshape(builder, value, (1, -1) if value.batched else (-1,)) for _, value in values]
    return builder.finish(concat(builder, flat, -1))
