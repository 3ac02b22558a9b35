"""What every model reader builds with: values, a growing list of nodes, names.

A tensor of a model file usually has a leading batch axis; a layer's value here never has.
``Value.batched`` says whether the file's tensor has that axis, so that axes and shapes
written in the file can be read as they stand there (``Value.full``), with the batch counted
as one input.  When the file fixes the batch at 1, an operator may do anything with that
axis; when the batch is open, an operator that mixes it is refused.

A tensor with no axis (but perhaps the batch) has the shape () as a ``Value``, so that the
file's axes are counted as they stand; its node holds one number, (1,).
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from precond.errors import ModelError
from precond.formats.lowering.arithmetic import numbers
from precond.network.activation import OutputActivation
from precond.network.graph import INPUT, Network
from precond.network.interface import NamedTensor
from precond.network.layers import (
    ALONE,
    Add,
    Affine,
    Array,
    Concat,
    Conv2d,
    IntArray,
    Layer,
    LeakyReLU,
    MaxPool2d,
    Node,
    ReLU,
    Reshape,
    Scale,
    Select,
    Shape,
    Sum,
)
from precond.network.rewrite import rename, simplify
from precond.printable import printable

LARGEST = 1 << 25  # values of one tensor; ImageNet networks stay below an eighth of it
KIND: dict[type, str] = {
    Affine: "affine",
    Conv2d: "conv",
    Scale: "scale",
    Reshape: "reshape",
    Select: "select",
    Sum: "sum",
    Add: "add",
    Concat: "concat",
    ReLU: "relu",
    LeakyReLU: "leaky",
    MaxPool2d: "pool",
}


@dataclass(frozen=True)
class Value:
    """A computed tensor: the node that holds it and its shape without the batch axis."""

    name: str
    shape: Shape
    batched: bool

    @property
    def full(self) -> Shape:
        """Shape as the model file sees it, for a batch of one."""
        return (1, *self.shape) if self.batched else self.shape

    @property
    def index(self) -> IntArray:
        """Flat positions laid out in the full shape: any numpy view of it is a Select."""
        return np.arange(math.prod(self.shape), dtype=np.int64).reshape(self.full)


class NetworkBuilder:
    """Collects layers in topological order and turns them into a named ``Network``.

    ``label`` is the name the model file gives to the operator being read ("" for none).
    """

    def __init__(self, origin: str, input_shape: Shape, batched: bool, open_batch: bool) -> None:
        self.origin = origin
        self.open_batch = open_batch
        self.label = ""
        self.output_activation = OutputActivation.NONE
        self.other_arithmetic: list[str] = []  # as in ``Network``
        self.tensors: dict[str, str] = {}
        self.input_parts: tuple[NamedTensor, ...] = ()
        self.output_parts: tuple[NamedTensor, ...] = ()
        check_size(input_shape)
        self.input = Value(INPUT, input_shape, batched)
        self._nodes: list[Node] = []
        self._labels: dict[str, str] = {}

    def emit(self, layer: Layer, inputs: Sequence[Value]) -> Value:
        """Appends a layer and returns its value, batched as its first input is."""
        for item in dataclasses.fields(layer):
            value = getattr(layer, item.name)
            if isinstance(value, np.ndarray | float) and not np.isfinite(value).all():
                raise ModelError(
                    f"{item.name} of the {KIND[type(layer)]} layer",
                    expected="finite numbers",
                    got="NaN or infinity",
                    fix="Train or export the model again",
                )
        shape = layer.output_shape([value.shape or ALONE for value in inputs])
        if any(size < 1 for size in shape):
            raise ModelError(
                f"the {KIND[type(layer)]} layer", expected="at least one value", got=str(shape)
            )
        check_size(shape)
        name = f"%{len(self._nodes)}"
        self._nodes.append(Node(name, layer, tuple(value.name for value in inputs)))
        self._labels[name] = printable(self.label)
        if not inputs[0].shape and shape == ALONE:
            shape = ()
        return Value(name, shape, inputs[0].batched)

    def rearrange(
        self, value: Value, index: IntArray, keeps_batch: bool = True, fill: float = 0.0
    ) -> Value:
        """The value whose element k is element ``index[k]`` of ``value`` (−1: ``fill``).

        ``keeps_batch`` says that axis 0 of ``index`` still is the batch axis of ``value``.
        """
        check_size(index.shape)
        batched = value.batched and keeps_batch and index.ndim > 0 and index.shape[0] == 1
        if value.batched and not batched and self.open_batch:
            raise ModelError(
                "this operator mixes the batch axis",
                expected="operators that treat every input of a batch alike",
                got=f"shape {(*value.full,)} made into {(*index.shape,)}",
                fix="Export the model with a batch size of 1",
            )
        shape = index.shape[1:] if batched else index.shape
        flat = index.reshape(-1)
        unmoved = flat.size == math.prod(value.shape) and bool((flat == np.arange(flat.size)).all())
        layer: Layer
        if unmoved and shape == value.shape:
            return dataclasses.replace(value, batched=batched)
        layer = Reshape(shape) if unmoved else Select(flat, shape, fill)
        return dataclasses.replace(self.emit(layer, [value]), shape=shape, batched=batched)

    def unbatch(self, value: Value) -> Value:
        """The same numbers with the batch axis as an ordinary axis of size 1."""
        return self.rearrange(value, value.index, keeps_batch=False) if value.batched else value

    def finish(self, output: Value) -> Network:
        """The simplified network with its final names."""
        if output.name == INPUT:
            self.label = ""
            output = self.emit(Reshape(output.shape), [output])
        nodes = _up_to(self._nodes, output.name)
        live = {INPUT, *(node.name for node in nodes)}
        raw = Network(
            nodes,
            self.input.shape,
            self.origin,
            output_activation=self.output_activation,
            tensor_names={tensor: name for tensor, name in self.tensors.items() if name in live},
            other_arithmetic=tuple(dict.fromkeys(self.other_arithmetic)),
            input_parts=self.input_parts,
            output_parts=self.output_parts,
        )
        network = simplify(raw)
        return rename(network, self._names(network))

    def _names(self, network: Network) -> dict[str, str]:
        """Final name of every node: the file's where it has one, else kind and a counter."""
        by_label: dict[str, list[Node]] = {}
        for node in network.nodes:
            by_label.setdefault(self._labels[node.name], []).append(node)
        names: dict[str, str] = {}
        taken = {INPUT}
        for label, nodes in by_label.items():
            if not label or label in taken:
                continue
            names[nodes[-1].name] = label
            taken.add(label)
        for label, nodes in by_label.items():
            parts: Counter[str] = Counter()
            for node in nodes[:-1] if label else ():
                kind = KIND[type(node.layer)]
                parts[kind] += 1
                name = f"{label}.{kind}{parts[kind]}"
                if name not in taken:
                    names[node.name] = name
                    taken.add(name)
        counters: Counter[str] = Counter()
        for node in network.nodes:
            kind = KIND[type(node.layer)]
            while node.name not in names:
                counters[kind] += 1
                name = f"{kind}{counters[kind]}"
                if name not in taken:
                    names[node.name] = name
                    taken.add(name)
        return names


def check_size(shape: Sequence[int]) -> None:
    """ModelError for a tensor too large to be meant, before anything is allocated for it."""
    if math.prod(int(size) for size in shape) > LARGEST:
        raise ModelError(
            "a tensor", expected=f"at most {LARGEST} values", got=f"shape {tuple(shape)}"
        )


def constant_array(values: ArrayLike) -> Array:
    """A constant as float64, exactly, or as an array of ``Real`` where no float holds it."""
    return numbers(values)


def _up_to(nodes: Sequence[Node], output: str) -> tuple[Node, ...]:
    """Nodes the output needs; it comes last."""
    needed = {output}
    kept = []
    for node in reversed(nodes):
        if node.name in needed:
            needed.update(node.inputs)
            kept.append(node)
    return tuple(reversed(kept))
