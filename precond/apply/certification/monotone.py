"""Monotonicity and output ranges of networks with real-valued outputs.

*Monotone* in input i: raising x_i alone, inside the box, never lowers output k.  The claim is
stated on the two-copy network ``g(x, d) = f(x + d·e_i) − f(x)`` over x in the box, d ≥ 0 and
x_i + d ≤ u_i: every output of g that is asked about is ≥ 0.  A witness (x, d) replays there.

It is proved by the derivative instead, because two copies that are relaxed apart lose what they
share.  f is piecewise linear, so along e_i it is the integral of its derivative, and on every
piece that derivative is a product of weights and neuron states s ∈ {0, 1} (a leaky neuron's
slope for 0).  Interval arithmetic over it, with s fixed where bounds fix the neuron's sign and
free otherwise, bounds ∂f_k/∂x_i over a box; boxes where the sign stays open are halved along
their widest side.  A lowest bound ≥ 0 everywhere proves the claim.  What rounding hides stays
unknown: slopes that cancel to exactly 0, and a bend on the box's border with a fall beyond it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.apply.certification.slopes import least_derivative, linear_parts
from precond.errors import QueryError
from precond.logit_property import changed
from precond.network.activation import OutputActivation
from precond.network.evaluate import outputs
from precond.network.graph import INPUT, Network
from precond.network.layers import Add, Node, Reshape, Select
from precond.proof.bounds.magnitudes import beyond_floats
from precond.proof.claim import Claim, HalfSpaces
from precond.proof.coverage import Coverage
from precond.proof.deadline import Deadline
from precond.proof.gate import excludes
from precond.proof.prover.prove import prove
from precond.proof.replay import replay
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

Array = NDArray[np.float64]
BATCH = 256
ENGINE = "derivative bounds"


@dataclass(frozen=True)
class Monotone:
    """Output ``output`` never falls (``rising``), or never rises, as input ``input`` is raised."""

    input: int
    output: int = 0
    rising: bool = True
    name: str = field(default="", compare=False)
    """What people call the input; empty: x0, x1, …"""

    @property
    def input_name(self) -> str:
        return self.name or f"x{self.input}"

    def __str__(self) -> str:
        word = "never falls" if self.rising else "never rises"
        return f"y{self.output} {word} as {self.input_name} rises"


def two_copies(network: Network, index: int) -> Network:
    """``g(x, d) = f(x + d·e_index) − f(x)`` as a network of n + 1 inputs, d the last one."""
    size = network.input_size
    if not 0 <= index < size:
        raise QueryError("monotone input", expected=f"0 to {size - 1}", got=str(index))
    shape = network.input_shape
    step = np.full(size, -1)
    step[index] = size
    nodes = [
        Node("x", Select(np.arange(size), shape), (INPUT,)),
        Node("step", Select(step, shape), (INPUT,)),
        Node("moved", Add((1.0, 1.0)), ("x", "step")),
    ]
    for prefix, start in (("at", "x"), ("after", "moved")):
        for node in network.nodes:
            sources = tuple(start if s == INPUT else f"{prefix}.{s}" for s in node.inputs)
            nodes.append(Node(f"{prefix}.{node.name}", node.layer, sources))
    pair = (f"after.{network.output}", f"at.{network.output}")
    nodes.append(Node("rise", Add((1.0, -1.0)), pair))
    nodes.append(Node("flat", Reshape((network.output_size,)), ("rise",)))
    return Network(tuple(nodes), (size + 1,), f"{network.origin}, two copies")


def monotone_claim(network: Network, property: Monotone, box: Box) -> Claim:
    """The claim on the two-copy network."""
    if not 0 <= property.output < network.output_size:
        raise QueryError(
            "monotone output", expected=f"0 to {network.output_size - 1}", got=str(property.output)
        )
    if network.output_activation not in (OutputActivation.NONE, OutputActivation.SIGMOID):
        raise changed(str(property), network)  # a sigmoid rises, output by output, as its logit
    if box.size != network.input_size:
        raise QueryError("box", expected=f"{network.input_size} inputs", got=str(box.size))
    copies = two_copies(network, property.input)
    i = property.input
    room = Box(np.append(box.lower, 0.0), np.append(box.upper, box.width[i]))
    row = np.zeros((1, room.size))
    row[0, [i, -1]] = 1.0
    sign = 1.0 if property.rising else -1.0
    never = Property(((Inequality(((property.output, sign),), 0.0),),), str(property))
    return Claim(
        copies,
        box=room,
        pattern=DecisionPattern(),
        property=never,
        halfspaces=HalfSpaces(row, box.upper[[i]]),
    )


def prove_monotone(
    network: Network, property: Monotone, box: Box, *, budget: float = 60.0, device: str = "cpu"
) -> Verdict:
    """Prove, or refute by two inputs, that ``property`` holds over ``box``.

    A refuted verdict's witness is (x, d), of n + 1 values.  UNKNOWN where the budget ran out, or
    open boxes became too small to halve.
    """
    claim = monotone_claim(network, property, box)
    started, deadline = time.monotonic(), Deadline.after(budget)
    slopes = linear_parts(network, device)
    direction = np.zeros(network.input_size)
    direction[property.input] = 1.0 if property.rising else -1.0

    def verdict(status: Status, **more: Any) -> Verdict:
        seconds = time.monotonic() - started
        return replace(Verdict(status, ENGINE, seconds), **more)

    if beyond_floats(claim.problem) is not None:
        return prove(claim, budget=budget, device=device)
    boxes, coverage = [(box.lower, box.upper, 1.0)], Coverage(1)
    least = np.inf
    while boxes:
        part, boxes = boxes[-BATCH:], boxes[:-BATCH]
        lower, upper = (np.stack([one[k] for one in part]) for k in (0, 1))
        witness = _falls(claim, network, property, lower=lower, upper=upper)
        if witness is not None:
            shown = replay(claim, witness)
            return verdict(Status.REFUTED, witness=witness, exact=True, confirmed=shown.in_float32)
        if deadline.passed:
            reason = f"budget spent with {len(boxes) + len(part)} boxes open"
            return verdict(Status.UNKNOWN, reason=reason)
        low = least_derivative(
            network, slopes, lower, upper=upper, direction=direction, device=device
        )[:, property.output]
        closed = excludes(low, strict=True)
        shares = np.array([share for _, _, share in part])
        coverage.close(np.zeros(int(closed.sum()), dtype=np.int64), shares[closed])
        least = min(least, float(low[closed].min(initial=np.inf)))
        for k in np.flatnonzero(~closed).tolist():
            sides = upper[k] - lower[k]
            side = int(sides.argmax())
            middle = (lower[k][side] + upper[k][side]) / 2
            if not lower[k][side] < middle < upper[k][side]:
                return verdict(Status.UNKNOWN, reason="a box is too small to halve")
            first, second = upper[k].copy(), lower[k].copy()
            first[side] = second[side] = middle
            half = shares[k] / 2
            boxes += [(lower[k], first, half), (second, upper[k], half)]
            coverage.split(0)
    fault = coverage.fault(0)
    if fault is not None:
        return verdict(Status.UNKNOWN, reason=fault)
    return verdict(Status.PROVED, bound=least)


def _falls(
    claim: Claim, network: Network, property: Monotone, lower: Array, upper: Array
) -> Array | None:
    """A step along the input, in one of the boxes, that goes the wrong way and replays."""
    i, sign = property.input, 1.0 if property.rising else -1.0
    middle = (lower + upper) / 2
    width = upper[:, i] - lower[:, i]
    for share in (1.0, 0.25, 0.01):
        begin, end = middle.copy(), middle.copy()
        begin[:, i] = middle[:, i] - share * width / 2
        end[:, i] = begin[:, i] + share * width
        rise = sign * (outputs(network, end) - outputs(network, begin))[:, property.output]
        for k in np.argsort(rise)[:2].tolist():
            step = min(end[k, i], claim.box.upper[i]) - begin[k, i]
            point = np.append(begin[k], min(step, float(claim.box.upper[-1])))
            if rise[k] < 0 and step > 0 and replay(claim, point).counts:
                return point
    return None
