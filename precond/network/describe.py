"""A network in a few lines of plain text: what it computes, and its layers."""

from __future__ import annotations

from collections.abc import Sequence

from precond.network.activation import OutputActivation
from precond.network.graph import Network
from precond.network.interface import NamedTensor, places
from precond.printable import printable

NAME = 24  # columns for a layer's name


def _named(role: str, parts: Sequence[NamedTensor]) -> list[str]:
    """A line for each of several inputs or outputs: which values are its."""
    return [
        f"  {printable(part.name):<16} {role}s {start} to {end - 1}  shape {part.shape}"
        for part, start, end in places(parts)
    ]


def describe(network: Network) -> str:
    """Layers, neurons, shapes and hash."""
    lines = [
        f"network   {printable(network.origin)}",
        f"hash      {network.hash}",
        f"inputs    {network.input_size}  shape {network.input_shape}",
        *_named("input", network.input_parts),
        f"outputs   {network.output_size}",
        *_named("output", network.output_parts),
        f"neurons   {network.neurons} in {len(network.decision_layers)} decision layers",
    ]
    if network.roundings:
        lines.append(f"constants {network.roundings} (counted in every proof)")
    if network.output_words:
        lines.append(f"last      {network.output_words}")
    if network.classes.binary:
        behind = network.output_activation is not OutputActivation.NONE
        words = network.classes.words("the logit" if behind else "y0")
        lines.append(f"classes   where they are asked for, 2: {words}")
    lines.append("")
    lines.append(f"{'layer':<{NAME}} {'kind':<12} {'shape':<18} neurons")
    for node in network.nodes:
        kind = type(node.layer).__name__
        neurons = str(network.width(node.name)) if node.name in network.decision_layers else ""
        shape = str(network.shapes[node.name])
        name = printable(node.name)
        if len(name) > NAME:  # whole, as options take it, on a line of its own
            lines.append(name)
            name = ""
        lines.append(f"{name:<{NAME}} {kind:<12} {shape:<18} {neurons}".rstrip())
    return "\n".join(lines)
