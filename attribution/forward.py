"""Breakpoints of one chunk, layer by layer, and on which side every unit is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from attribution.heads import window_maximum
from attribution.plan import slope_of
from attribution.segments import (
    Breakpoints,
    gather_windows,
    maximum_crossings,
    split,
    zero_crossings,
)
from precond.network.layers import MaxPool2d

if TYPE_CHECKING:
    from attribution.pieces import Lines


class Forward:
    """Evaluation at breakpoints; ``decided[name]`` (segments then, …): ReLU sides, or leaders.

    ``row_of[name]`` maps the breakpoints of now to those of the time ``name`` was decided;
    ``changed[name]`` says where its sides differ from those of the segment before.  The name
    of the quantity's own maximum is empty.
    """

    def __init__(self, lines: Lines, points: Breakpoints) -> None:
        self.lines = lines
        self.points = points
        self.known: dict[str, Tensor] = {}
        self.decided: dict[str, Tensor] = {}
        self.row_of: dict[str, Tensor] = {}
        self.changed: dict[str, Tensor] = {}
        self.slopes: Tensor | None = None

    def run(self) -> None:
        lines, plan = self.lines, self.lines.plan
        order = plan.bent_nodes
        last_use = {s: i for i, node in enumerate(order) for s in node.inputs}
        for i, node in enumerate(order):
            for source in node.inputs:
                if source not in self.known:
                    self.known[source] = self._first(source)
            values = [self.known[source] for source in node.inputs]
            for source in set(node.inputs):
                if last_use[source] == i and source != plan.output:
                    del self.known[source]
            operator = lines.ops.affine.get(node.name)
            if operator is not None:
                self.known[node.name] = operator.apply(values)
            elif isinstance(node.layer, MaxPool2d):
                self._max_pool(node.name, values[0])
            else:
                self._relu(node.name, values[0], slope_of(node))
        if plan.output not in self.known:
            self.known[plan.output] = self._first(plan.output)
        self._quantity()

    def _first(self, name: str) -> Tensor:
        """A straight or head value at the breakpoints."""
        head = self.lines.heads.get(name)
        if head is not None:
            return head.values(self.points)
        start, move = self.lines.start[name], self.lines.move[name]
        t = self.points.t.to(start.dtype).reshape(-1, *[1] * (start.dim() - 1))
        return torch.addcmul(start[self.points.line], move[self.points.line], t)

    def _split(self, found: tuple[Tensor, Tensor], value: Tensor) -> Tensor:
        """Insert breakpoints; everything alive, and ``value``, follow."""
        if not len(found[0]):
            return value
        refined = split(self.points, *found)
        self.points = refined.points
        self.known = {name: refined.values(old) for name, old in self.known.items()}
        self.row_of = {name: rows[refined.origin] for name, rows in self.row_of.items()}
        return refined.values(value)

    def _decide(self, name: str, decided: Tensor) -> None:
        self.decided[name] = decided
        # Where neighbours on a line differ: only there do gradients below change.
        changed = torch.ones(len(self.points.t), dtype=torch.bool, device=decided.device)
        if len(decided) > 1:
            changed[1:-1] = (decided[1:] != decided[:-1]).any(1)
        self.changed[name] = changed
        self.row_of[name] = torch.arange(len(self.points.t), device=decided.device)

    def _relu(self, name: str, z: Tensor, slope: float) -> None:
        flat = z.flatten(1)
        flat = self._split(zero_crossings(self.points, flat), flat)
        # The side of a segment is that of its middle.
        self._decide(name, flat[1:] + flat[:-1] > 0)
        value = F.relu_(flat) if slope == 0.0 else F.leaky_relu(flat, slope)
        self.known[name] = value.reshape(-1, *z.shape[1:])

    def _leaders(self, flat: Tensor, windows: Tensor) -> tuple[Tensor, Tensor]:
        for _ in range(windows.shape[1] + 2):
            found = maximum_crossings(self.points, flat, windows)
            if not len(found[0]):
                break
            flat = self._split(found, flat)
        middle = gather_windows(flat[1:] + flat[:-1], windows)
        return flat, middle.argmax(-1)

    def _max_pool(self, name: str, value: Tensor) -> None:
        windows = self.lines.ops.windows[name]
        flat, leaders = self._leaders(value.flatten(1), windows)
        chosen = torch.gather(windows.expand(len(leaders), *windows.shape), 2, leaders[..., None])
        self._decide(name, chosen.squeeze(-1))
        shape = self.lines.plan.network.shapes[name]
        self.known[name] = window_maximum(flat, windows).reshape(-1, *shape)

    def _quantity(self) -> None:
        """Slopes (segments, K) of q at the output, and q at the lines' ends."""
        form, output = self.lines.form, self.lines.plan.output
        y = self.known[output].flatten(1).double()
        rivals = form.rivals
        leaders = None
        if rivals is not None:
            windows = torch.arange(y.shape[1], device=y.device)[None]
            bottom = y.min() - 1 if y.numel() else y.sum()
            kept = torch.where(rivals[self.points.line], y, bottom)
            kept, leaders = self._leaders(kept, windows)
            y = self.known[output].flatten(1).double()
        line = self.points.line
        scores = (form.weights[line] * y).sum(1)
        self.slopes = form.weights[line[:-1]]
        if rivals is not None and leaders is not None:
            top = torch.where(rivals[line], y, -torch.inf).amax(1)
            scores = scores + form.sign * top
            self._decide("", leaders)
            self.slopes = self.slopes.scatter_add(
                1, leaders, torch.full_like(leaders, form.sign, dtype=torch.float64)
            )
        for end in (0, 1):
            at = self.points.t == end
            self.lines.values[end, line[at]] = scores[at]
