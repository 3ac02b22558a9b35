"""Draw the pictures of ``docs/ideas.md``: one small network of two inputs, seen from above.

    python docs/draw_ideas.py

The network (2 inputs, 4 and 2 ReLUs, two scores) was trained on two half moons; its weights,
rounded, stand below, so that every picture is exact.  ``cells`` cuts the square by the line of each
neuron: in a cell no neuron switches, and the network is affine.  What the pictures call proved is
put to ``precond`` while they are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from precond import (
    Box,
    DecisionPattern,
    Network,
    Property,
    input_precondition,
    underapproximation_box,
)
from precond.network import Affine, Node, ReLU

FOLDER = Path(__file__).parent / "images"
LOW, HIGH, SIZE, MARGIN = -1.2, 1.2, 280, 6
INPUT = np.array([-0.53, 0.8])
RADIUS = 0.45
WEIGHTS = (
    ([[1.67, -0.41], [-0.9, 1.29], [1.98, -0.81], [5.16, 0.76]], [1.76, 1.33, 1.49, 1.21]),
    ([[-0.15, -2.35, 0.91, 0.58], [2.42, -1.03, 2.38, -4.91]], [-2.4, 0.75]),
    ([[0.0, 0.0], [5.76, 2.36]], [0.0, -3.92]),
)
STYLE = """
text { font: 13px sans-serif; fill: #1b2733 } .a { fill: #dbe9f6 } .b { fill: #fbe3cf }
.cell { stroke: #b9c4cf; stroke-width: .6 } .line { stroke: #5b6b7b; fill: none }
.region { fill: #2a6f4e; fill-opacity: .45; stroke: #1d5038; stroke-width: 1.6 }
.box { fill: none; stroke: #10243a; stroke-width: 2.2 } .none { fill: none; stroke: none }
.dot0 { fill: #2c6cb0 } .dot1 { fill: #c8641b } .x { fill: #10243a; stroke: #fff; stroke-width: 2 }
"""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """A polygon in which no neuron switches: its corners, who is on, and the class."""

    corners: Array
    on: tuple[tuple[bool, ...], ...]
    label: int

    def satisfies(self, pattern: DecisionPattern) -> bool:
        state = {
            (f"relu{k + 1}", i): on for k, row in enumerate(self.on) for i, on in enumerate(row)
        }
        return all(state[n] for n in pattern.on) and not any(state[n] for n in pattern.off)


def network() -> Network:
    nodes: list[Node] = []
    last = "input"
    for number, (weight, bias) in enumerate(WEIGHTS, 1):
        nodes.append(Node(f"fc{number}", Affine(np.array(weight), np.array(bias)), (last,)))
        if number < len(WEIGHTS):
            nodes.append(Node(f"relu{number}", ReLU(), (f"fc{number}",)))
        last = nodes[-1].name
    return Network(tuple(nodes), (2,), origin="two half moons")


def halves(corners: Array, slope: Array, offset: float) -> Iterator[tuple[bool, Array]]:
    """The parts of a convex polygon above and below 0 of slope·x + offset."""
    values = corners @ slope + offset
    for above in (True, False):
        signed = values if above else -values
        kept = []
        for k, value in enumerate(signed):
            following = signed[(k + 1) % len(signed)]
            if value >= 0:
                kept.append(corners[k])
            if value * following < 0:
                share = value / (value - following)
                kept.append(corners[k] + share * (corners[(k + 1) % len(signed)] - corners[k]))
        if len(kept) > 2:
            yield above, np.array(kept)


def square() -> Array:
    return np.array([[LOW, LOW], [HIGH, LOW], [HIGH, HIGH], [LOW, HIGH]])


def cells() -> list[Cell]:
    """The square cut by every neuron's line, layer after layer, then by the two classes' border."""
    parts: list[tuple[Array, Array, Array, tuple[tuple[bool, ...], ...]]]
    parts = [(square(), np.eye(2), np.zeros(2), ())]
    for weight, bias in WEIGHTS[:-1]:
        following = []
        for corners, slope, offset, on in parts:
            slopes, offsets = np.array(weight) @ slope, np.array(weight) @ offset + bias
            pieces: list[tuple[Array, tuple[bool, ...]]] = [(corners, ())]
            for row, constant in zip(slopes, offsets, strict=True):
                pieces = [
                    (half, (*so_far, above))
                    for piece, so_far in pieces
                    for above, half in halves(piece, row, constant)
                ]
            for piece, states in pieces:
                mask = np.array(states, dtype=float)
                following.append((piece, mask[:, None] * slopes, mask * offsets, (*on, states)))
        parts = following
    found = []
    for corners, slope, offset, on in parts:
        weight, bias = np.array(WEIGHTS[-1][0]), np.array(WEIGHTS[-1][1])
        scores, constants = weight @ slope, weight @ offset + bias
        border = scores[1] - scores[0], constants[1] - constants[0]
        found += [Cell(half, on, int(above)) for above, half in halves(corners, *border)]
    return found


def moons(count: int = 60) -> tuple[Array, NDArray[np.int64]]:
    """Points of two half moons, as the network was trained on, and their classes."""
    noise = np.random.RandomState(0).normal(0, 0.1, (2 * count, 2))
    angle = np.linspace(0, np.pi, count)
    upper = np.column_stack([np.cos(angle), np.sin(angle)])
    lower = np.column_stack([1 - np.cos(angle), 0.5 - np.sin(angle)])
    points = (np.vstack([upper, lower]) + noise - [0.5, 0.25]) / [1.6, 0.9]
    return points, np.repeat([0, 1], count)


def place(point: Sequence[float]) -> str:
    across, up = ((value - LOW) / (HIGH - LOW) * SIZE for value in point)
    return f"{MARGIN + across:.1f},{MARGIN + SIZE - up:.1f}"


def polygon(corners: Array, style: str) -> str:
    return f'<polygon class="{style}" points="{" ".join(map(place, corners))}"/>'


def box_drawn(lower: Array, upper: Array, style: str = "box") -> str:
    corners = np.array([lower, [upper[0], lower[1]], upper, [lower[0], upper[1]]])
    return polygon(corners, style)


def dot(point: Sequence[float], style: str, radius: float) -> str:
    across, up = place(point).split(",")
    return f'<circle class="{style}" cx="{across}" cy="{up}" r="{radius}"/>'


def classes(every: Sequence[Cell]) -> list[str]:
    return [polygon(cell.corners, f"cell {'ab'[cell.label]}") for cell in every]


def satisfying(every: Sequence[Cell], pattern: DecisionPattern) -> list[str]:
    return [polygon(cell.corners, "region") for cell in every if cell.satisfies(pattern)]


def picture(name: str, title: str, parts: Sequence[str]) -> None:
    side = SIZE + 2 * MARGIN
    text = "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" width="{side}" '
            f'height="{side}" role="img" aria-label="{title}">',
            f"<style>{STYLE}</style>",
            *parts,
            "</svg>",
        ]
    )
    (FOLDER / f"idea-{name}.svg").write_text(text + "\n", encoding="utf-8")


def signature(every: Sequence[Cell], point: Array) -> Cell:
    """The cell that holds ``point``."""

    def holds(cell: Cell) -> bool:
        step = np.roll(cell.corners, -1, axis=0) - cell.corners
        way = point - cell.corners
        turns = step[:, 0] * way[:, 1] - step[:, 1] * way[:, 0]
        return bool((turns >= 0).all() or (turns <= 0).all())

    return next(cell for cell in every if holds(cell))


def pattern_of(cell: Cell, layers: Sequence[int]) -> DecisionPattern:
    literals = {(f"relu{k + 1}", i): on for k in layers for i, on in enumerate(cell.on[k])}
    return DecisionPattern(
        on=frozenset(n for n, on in literals.items() if on),
        off=frozenset(n for n, on in literals.items() if not on),
    )


def main(say: Callable[[str], None] = print) -> None:
    every, net = cells(), network()
    home = signature(every, INPUT)
    here = dot(INPUT, "x", 6)
    points, labels = moons()
    data = [dot(p, f"dot{k}", 2.6) for p, k in zip(points.tolist(), labels, strict=True)]
    picture("network", "What the network answers", [*classes(every), *data])
    layer = pattern_of(home, [1])
    picture("pattern", "A pattern", [*classes(every), *satisfying(every, layer), here])
    closed = pattern_of(home, [0, 1])
    picture("closed", "A closed pattern", [*classes(every), *satisfying(every, closed), here])
    domain = Box.uniform(2, LOW, HIGH)
    found = input_precondition(net, INPUT, Property.argmax(home.label, 2), domain)
    assert found.pattern is not None and found.verdict.is_proved
    say(f"precondition: {found.pattern} ({len(closed)} literals before), proved")
    region = satisfying(every, found.pattern)
    picture("precondition", "A precondition", [*classes(every), *region, here])
    box = underapproximation_box(net, found.pattern, INPUT, domain)
    inside = box_drawn(box.lower, box.upper)
    picture("box", "A box inside it", [*classes(every), *region, inside, here])
    ball = Box.ball(INPUT, RADIUS, within=domain)
    domains = [box_drawn(ball.lower, ball.upper), box_drawn(domain.lower, domain.upper)]
    picture("domain", "Two domains", [*classes(every), *domains, here])


if __name__ == "__main__":
    main()
