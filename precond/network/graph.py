"""``Network``: a directed acyclic graph of layers over the reals."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from precond.basics.arguments import items, require_kind, whole
from precond.basics.notebook import NotebookLine
from precond.errors import ModelError
from precond.network.activation import OutputActivation
from precond.network.classes import Classes
from precond.network.constants import Range
from precond.network.content_hash import content_hash
from precond.network.deviation import constants, ranges
from precond.network.interface import NamedTensor
from precond.network.layers import (
    AFFINE_KINDS,
    Add,
    Concat,
    LeakyReLU,
    Node,
    ReLU,
    Reshape,
    Scale,
    Select,
    Shape,
)
from precond.printable import printable

INPUT = "input"


@dataclass(frozen=True, eq=False)
class Network(NotebookLine):
    """Nodes in topological order, from the value named ``input`` to the last node's value.

    ``input_shape`` has no batch dimension.  The last node's values are the logits; the outputs
    are ``output_activation`` of them.  ``logits_of`` is set in the view ``logits`` alone: the
    activation that the file has and that the view stops before.  ``threshold``: what one logit
    is compared with to tell two classes, between two floats (see ``Classes``); like ``origin`` it
    takes no part in ``hash``.  ``tensor_names`` maps names in the model file to node names.
    ``other_arithmetic`` names operators of the model whose floating-point run is not that of the
    layers here (their real values are the same): nothing is said about its runs in floats.
    ``input_parts`` and ``output_parts`` name several inputs and outputs of the file, which stand
    side by side in the input and in the output (empty: there is one).
    """

    nodes: tuple[Node, ...]
    input_shape: Shape
    origin: str = "memory"
    output_activation: OutputActivation = OutputActivation.NONE
    tensor_names: Mapping[str, str] = field(default_factory=dict)
    logits_of: OutputActivation = OutputActivation.NONE
    threshold: tuple[float, float] = (0.0, 0.0)
    other_arithmetic: tuple[str, ...] = ()
    input_parts: tuple[NamedTensor, ...] = ()
    output_parts: tuple[NamedTensor, ...] = ()

    def __post_init__(self) -> None:
        nodes = items(f"nodes of {self.origin}", self.nodes, "Node")
        if not nodes:
            raise ModelError(f"network {self.origin} has no layers")
        sizes = items(f"input shape of {self.origin}", self.input_shape, "sizes")
        if not sizes or any(whole("size", size) < 1 for size in sizes):
            raise ModelError(
                f"network {self.origin}",
                expected="an input of at least one value",
                got=str(self.input_shape),
            )
        for node in nodes:
            require_kind(f"node of {self.origin}", node, Node, fix="Node(name, layer, inputs)")
            items(f"inputs of node {node.name}", node.inputs, "names of earlier nodes")
            many = isinstance(node.layer, Add | Concat)
            if len(node.inputs) < 1 or (len(node.inputs) > 1 and not many):
                raise ModelError(
                    f"node {node.name} of {self.origin}",
                    expected="one input or more" if many else "one input",
                    got=str(len(node.inputs)),
                )
            for item in dataclasses.fields(node.layer):
                value = getattr(node.layer, item.name)
                if value is None or isinstance(value, Range):
                    continue
                if not np.isfinite(np.asarray(value, dtype=np.float64)).all():
                    raise ModelError(
                        f"layer {node.name} of {self.origin}: {item.name}",
                        expected="finite numbers",
                        got="NaN or infinity",
                        fix="Train or export the model again",
                    )
        _ = self.shapes  # checks names, order and shapes

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Shape of the input and of every node's value, by name."""
        shapes = {INPUT: self.input_shape}
        for node in self.nodes:
            if node.name in shapes:
                raise ModelError(f"two nodes of {self.origin} are named {node.name}")
            for source in node.inputs:
                if source not in shapes:
                    raise ModelError(
                        f"node {node.name} of {self.origin} reads {source}",
                        expected="an earlier node",
                        got="none of that name",
                    )
            try:
                shapes[node.name] = node.layer.output_shape([shapes[s] for s in node.inputs])
            except ModelError as error:
                raise ModelError(f"node {node.name} of {self.origin}: {error}") from error
            if math.prod(shapes[node.name]) < 1:
                raise ModelError(
                    f"node {node.name} of {self.origin}",
                    expected="a layer of at least one value",
                    got=str(shapes[node.name]),
                )
        return shapes

    @cached_property
    def node(self) -> dict[str, Node]:
        """Nodes by name."""
        return {node.name: node for node in self.nodes}

    @property
    def output(self) -> str:
        """Name of the node whose value is the network's output."""
        return self.nodes[-1].name

    @property
    def input_size(self) -> int:
        return math.prod(self.input_shape)

    @property
    def output_size(self) -> int:
        return math.prod(self.shapes[self.output])

    @property
    def classes(self) -> Classes:
        """How its logits are read as a class."""
        return Classes(self.output_size, *self.threshold)

    @cached_property
    def logits(self) -> Network:
        """The same network without its last activation; itself where there is none.

        Its hash is its own: what is proved of the logits is not proved of the outputs, nor of
        a file that ends there.
        """
        if self.output_activation is OutputActivation.NONE:
            return self
        return dataclasses.replace(
            self,
            origin=self.origin + _before(self.output_activation),
            output_activation=OutputActivation.NONE,
            logits_of=self.output_activation,
        )

    @property
    def whole(self) -> Network:
        """The network that this is the ``logits`` of; itself where it is a whole one."""
        if self.logits_of is OutputActivation.NONE:
            return self
        return dataclasses.replace(
            self,
            origin=self.origin.removesuffix(_before(self.logits_of)),
            output_activation=self.logits_of,
            logits_of=OutputActivation.NONE,
        )

    @property
    def output_words(self) -> str:
        """What its outputs are, where that needs saying; else empty."""
        if self.logits_of is not OutputActivation.NONE:
            return f"logits, before the last {self.logits_of.value}"
        if self.output_activation is not OutputActivation.NONE:
            return f"after a last {self.output_activation.value}"
        return ""

    def width(self, name: str) -> int:
        """Number of values of a node (or of ``input``)."""
        self.require(name)
        return math.prod(self.shapes[name])

    @cached_property
    def decision_layers(self) -> tuple[str, ...]:
        """Names of the ReLU and leaky ReLU nodes, first to last: the layers with neurons."""
        return tuple(n.name for n in self.nodes if isinstance(n.layer, ReLU | LeakyReLU))

    @property
    def neurons(self) -> int:
        return sum(self.width(name) for name in self.decision_layers)

    def pre_activation(self, layer: str) -> str:
        """Name of the value that decides ``layer``'s neurons."""
        return self.node[self.require_decisions(layer)].inputs[0]

    def require(self, name: str) -> str:
        if name not in self.shapes:
            raise ModelError(
                f"layer {name!r}",
                expected=f"one of {', '.join(self.shapes)}",
                got="no such layer",
                fix="'precond info MODEL' lists the layers",
            )
        return name

    def require_decisions(self, name: str) -> str:
        if name not in self.decision_layers:
            raise ModelError(
                f"layer {name!r}",
                expected=f"one of {', '.join(self.decision_layers)}",
                got="no such layer"
                if name not in self.shapes
                else "a layer without on/off neurons",
                fix="'precond info MODEL' lists the layers",
            )
        return name

    @cached_property
    def ancestors(self) -> dict[str, frozenset[str]]:
        """For every node, the names of all values it depends on, ``input`` included."""
        found: dict[str, frozenset[str]] = {INPUT: frozenset()}
        for node in self.nodes:
            found[node.name] = frozenset(node.inputs).union(*(found[s] for s in node.inputs))
        return found

    @cached_property
    def loose(self) -> frozenset[str]:
        """Affine values of which intervals may be wider than what they reach: behind an activation
        or a pool, or behind more than one map that mixes values."""
        mixes = {INPUT: 0}
        for node in self.nodes:
            own = 1 if self.is_affine(node.name) else 2
            own = 0 if isinstance(node.layer, Reshape | Select | Scale | Concat) else own
            mixes[node.name] = own + max(mixes[source] for source in node.inputs)
        return frozenset(n for n, count in mixes.items() if count > 1 and self.is_affine(n))

    @cached_property
    def consumers(self) -> dict[str, int]:
        """How many times each value is read by a node."""
        counts = dict.fromkeys(self.shapes, 0)
        for node in self.nodes:
            for source in node.inputs:
                counts[source] += 1
        return counts

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of the content: layers, numbers, what they stand for where no float
        holds that, names, wiring, last activation."""
        activations = {
            "output_activation": self.output_activation,
            "logits_of": self.logits_of,
        }
        return content_hash(self.input_shape, self.nodes, activations)

    @cached_property
    def inexact(self) -> tuple[str, ...]:
        """Nodes with a constant that the layer's floats only approximate."""
        return tuple(node.name for node in self.nodes if ranges(node.layer))

    @property
    def rational(self) -> bool:
        """Whether every constant is one known rational."""
        nodes = (self.node[name] for name in self.inexact)
        return all(known.known for node in nodes for known in ranges(node.layer).values())

    @property
    def roundings(self) -> str:
        """How many constants the layers' floats only approximate, and how well; empty if none."""
        if not self.inexact:
            return ""
        known = [r for name in self.inexact for r in ranges(self.node[name].layer).values()]
        every = sum(constants(node.layer) for node in self.nodes)
        off = sum(r.rounded for r in known)
        most = max(float(r.radius.max(initial=0.0)) for r in known)
        return f"{off} of {every} are not floats; the nearest are off by at most {most:.1e}"

    def is_affine(self, name: str) -> bool:
        return isinstance(self.node[name].layer, AFFINE_KINDS)

    def __repr__(self) -> str:
        return (
            f"Network({printable(self.origin)}, {self.input_shape} → {self.output_size}, "
            f"{len(self.decision_layers)} decision layers, {self.neurons} neurons)"
        )


def _before(activation: OutputActivation) -> str:
    """What the view of logits adds to its network's origin."""
    return f", logits before the last {activation.value}"
