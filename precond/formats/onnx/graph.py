"""The nodes of an ONNX graph that its outputs need, each after the nodes it reads.

The standard asks for sorted nodes, but runtimes take any order and some exporters write one.
Nodes that no output needs are left out: they may hold anything.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence

import onnx

from precond.errors import ModelError


def ordered(
    graph: onnx.GraphProto, outputs: Sequence[str], given: Mapping[str, object], origin: str
) -> list[onnx.NodeProto]:
    """The nodes that ``outputs`` depend on, sorted; those that could go first in file order.

    ``given``: tensors that need no node (inputs, weights).  ModelError for a tensor that is
    made twice, for one that nothing makes, and for a cycle.
    """
    nodes = list(graph.node)
    makers = _makers(nodes, given, origin)
    needed = _needed(nodes, makers, outputs)
    waits = {number: _made(nodes[number], makers) for number in needed}
    readers: dict[int, list[int]] = {}
    for number, sources in waits.items():
        for source in sources:
            readers.setdefault(source, []).append(number)
    ready = [number for number, sources in waits.items() if not sources]
    heapq.heapify(ready)
    found: list[onnx.NodeProto] = []
    while ready:
        number = heapq.heappop(ready)
        found.append(nodes[number])
        for reader in readers.get(number, ()):
            waits[reader].discard(number)
            if not waits[reader]:
                heapq.heappush(ready, reader)
    if len(found) < len(needed):
        stuck = min(number for number, sources in waits.items() if sources)
        raise ModelError(
            f"{origin}: the nodes",
            expected="an order in which each reads earlier ones",
            got=f"a cycle through {', '.join(nodes[stuck].output)}",
        )
    return found


def _makers(
    nodes: Sequence[onnx.NodeProto], given: Mapping[str, object], origin: str
) -> dict[str, int]:
    made = Counter(name for node in nodes for name in node.output if name)
    twice = [name for name, count in made.items() if count > 1 or name in given]
    if twice:
        raise ModelError(
            f"{origin}: tensor {twice[0]!r}", expected="one node that makes it", got="several"
        )
    return {name: i for i, node in enumerate(nodes) for name in node.output if name}


def _made(node: onnx.NodeProto, makers: Mapping[str, int]) -> set[int]:
    """Numbers of the nodes that a node reads, also from within its subgraphs."""
    names = [*node.input]
    for item in node.attribute:
        for graph in (*([item.g] if item.HasField("g") else []), *item.graphs):
            names += [name for inner in graph.node for name in inner.input]
    return {makers[name] for name in names if name in makers}


def _needed(
    nodes: Sequence[onnx.NodeProto], makers: Mapping[str, int], outputs: Sequence[str]
) -> list[int]:
    waiting = [makers[output] for output in outputs if output in makers]
    seen = set(waiting)
    while waiting:
        for source in _made(nodes[waiting.pop()], makers):
            if source not in seen:
                seen.add(source)
                waiting.append(source)
    return sorted(seen)
