"""What a piecewise-linear network looks like from a line through its input space.

A value is *straight* if only affine layers lie between it and the input.  A *head* is a
first nonlinear layer over a straight value: max-pool, (leaky) ReLU, or one after the other.
ReLU before max-pool is exchanged with it where nothing else reads the ReLU: both are
monotone, the function is the same, and only the window's leader has to be followed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from precond.network.graph import INPUT, Network
from precond.network.layers import LeakyReLU, MaxPool2d, Node, ReLU


@dataclass(frozen=True)
class Head:
    """Nodes folded into one: ``name``'s value from the straight ``source``.

    ``pool`` names the max-pool node, if any; ``slope`` is that of negative values, None
    without a ReLU.
    """

    name: str
    source: str
    pool: str | None
    slope: float | None


@dataclass(frozen=True, eq=False)
class Plan:
    """Nodes to evaluate in order, from straight values (``straight``) through ``heads``."""

    network: Network
    output: str
    target: str
    nodes: tuple[Node, ...]
    straight: frozenset[str]
    heads: tuple[Head, ...]

    @property
    def straight_nodes(self) -> tuple[Node, ...]:
        return tuple(n for n in self.nodes if n.name in self.straight)

    @property
    def bent_nodes(self) -> tuple[Node, ...]:
        """Nodes after the heads, in order."""
        folded = {head.pool for head in self.heads} | {head.name for head in self.heads}
        return tuple(n for n in self.nodes if n.name not in self.straight and n.name not in folded)


def slope_of(node: Node) -> float:
    """Slope of a ReLU (0) or leaky ReLU for negative values."""
    return node.layer.slope if isinstance(node.layer, LeakyReLU) else 0.0


def plan(network: Network, output: str, target: str) -> Plan:
    """The plan for gradients of node ``output`` with respect to node ``target``."""
    needed = network.ancestors[output] | {output} if output != INPUT else frozenset({INPUT})
    nodes = _pool_first([n for n in network.nodes if n.name in needed], {output, target})
    straight = {INPUT}
    readers: dict[str, list[Node]] = {}
    for node in nodes:
        for source in node.inputs:
            readers.setdefault(source, []).append(node)
        bends = isinstance(node.layer, ReLU | LeakyReLU | MaxPool2d)
        if not bends and all(source in straight for source in node.inputs):
            straight.add(node.name)
    heads, used = [], set()
    for node in nodes:
        if node.name in used or node.name in straight or node.inputs[0] not in straight:
            continue
        if isinstance(node.layer, MaxPool2d):
            after = readers.get(node.name, [])
            if (
                len(after) == 1
                and isinstance(after[0].layer, ReLU | LeakyReLU)
                and node.name not in (output, target)
            ):
                used.add(after[0].name)
                heads.append(Head(after[0].name, node.inputs[0], node.name, slope_of(after[0])))
            else:
                heads.append(Head(node.name, node.inputs[0], node.name, None))
        elif isinstance(node.layer, ReLU | LeakyReLU):
            heads.append(Head(node.name, node.inputs[0], None, slope_of(node)))
    shaped = replace(network, nodes=tuple(nodes), tensor_names={})
    return Plan(shaped, output, target, tuple(nodes), frozenset(straight), tuple(heads))


def _pool_first(nodes: list[Node], kept: set[str]) -> list[Node]:
    """ReLU → max-pool as max-pool → ReLU where only the max-pool reads the ReLU."""
    readers: dict[str, list[Node]] = {}
    for node in nodes:
        for source in node.inputs:
            readers.setdefault(source, []).append(node)
    result = {node.name: node for node in nodes}
    for node in nodes:
        after = readers.get(node.name, [])
        if (
            isinstance(node.layer, ReLU | LeakyReLU)
            and len(after) == 1
            and isinstance(after[0].layer, MaxPool2d)
            and node.name not in kept
        ):
            result[node.name] = Node(node.name, after[0].layer, node.inputs)
            result[after[0].name] = Node(after[0].name, node.layer, after[0].inputs)
    return [result[node.name] for node in nodes]
