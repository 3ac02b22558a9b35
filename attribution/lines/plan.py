"""What a piecewise-linear network looks like from a line through its input space.

A value is *straight* if only affine layers lie between it and the input.  A *bend* is a
nonlinear step: max-pool, (leaky) ReLU, or one after the other.  ReLU before max-pool is
exchanged with it where nothing else reads the ReLU: both are monotone and the function is
the same, but a window's leader then only matters where it is positive.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from precond.network.graph import INPUT, Network
from precond.network.layers import LeakyReLU, MaxPool2d, Node, ReLU


@dataclass(frozen=True)
class Bend:
    """``name``'s value from ``source``: the max-pool node ``pool``, if any, then a (leaky)
    ReLU whose ``slope`` is that of negative values; None without a ReLU."""

    name: str
    source: str
    pool: str | None
    slope: float | None


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """``straight`` values, then ``steps`` in order: bends, and affine nodes after bends."""

    network: Network
    output: str
    target: str
    straight_nodes: tuple[Node, ...]
    steps: tuple[Node | Bend, ...]
    straight: frozenset[str]

    @property
    def bends_after_target(self) -> bool:
        """Whether a bend lies between the target and the output."""
        reached = {self.target}
        for step in (*self.straight_nodes, *self.steps):
            sources = (step.source,) if isinstance(step, Bend) else step.inputs
            if not reached.isdisjoint(sources):
                if isinstance(step, Bend):
                    return True
                reached.add(step.name)
        return False

    @property
    def heads(self) -> tuple[Bend, ...]:
        """Bends of straight values: their breakpoints are known without the network."""
        return tuple(
            step for step in self.steps if isinstance(step, Bend) and step.source in self.straight
        )


@lru_cache(maxsize=16)
def plan(network: Network, output: str, target: str) -> Plan:
    """The plan for gradients of node ``output`` with respect to node ``target``."""
    needed = network.ancestors[output] | {output} if output != INPUT else frozenset({INPUT})
    nodes = _pool_first([n for n in network.nodes if n.name in needed], {output, target})
    readers = _readers(nodes)
    straight = {INPUT}
    straight_nodes: list[Node] = []
    steps: list[Node | Bend] = []
    folded: dict[str, Node] = {}
    for node in nodes:
        match node.layer:
            case MaxPool2d():
                after = readers.get(node.name, [])
                if (
                    len(after) == 1
                    and isinstance(after[0].layer, ReLU | LeakyReLU)
                    and node.name not in (output, target)
                ):
                    folded[after[0].name] = node
                else:
                    steps.append(Bend(node.name, source=node.inputs[0], pool=node.name, slope=None))
            case ReLU() | LeakyReLU():
                pool = folded.get(node.name)
                source = node.inputs[0] if pool is None else pool.inputs[0]
                slope = node.layer.slope if isinstance(node.layer, LeakyReLU) else 0.0
                steps.append(
                    Bend(node.name, source, pool=None if pool is None else pool.name, slope=slope)
                )
            case _ if all(source in straight for source in node.inputs):
                straight.add(node.name)
                straight_nodes.append(node)
            case _:
                steps.append(node)
    shaped = replace(network, nodes=tuple(nodes), tensor_names={})
    return Plan(
        network=shaped,
        output=output,
        target=target,
        straight_nodes=tuple(straight_nodes),
        steps=tuple(steps),
        straight=frozenset(straight),
    )


def _readers(nodes: list[Node]) -> dict[str, list[Node]]:
    readers: dict[str, list[Node]] = {}
    for node in nodes:
        for source in node.inputs:
            readers.setdefault(source, []).append(node)
    return readers


def _pool_first(nodes: list[Node], kept: set[str]) -> list[Node]:
    """ReLU → max-pool as max-pool → ReLU where only the max-pool reads the ReLU."""
    readers = _readers(nodes)
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
