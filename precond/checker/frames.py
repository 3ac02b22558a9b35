"""Bounds of a frame: within those of the nearest frame around it that has steps, by backward
passes, then by its own steps, round after round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from precond.checker.certificate import Certificate, Linear
from precond.checker.steps import Round
from precond.checker.tree import Frame

Array = NDArray[Any]


class HasEmpty(Protocol):
    """Bounds that know whether their region is empty."""

    empty: Any


B = TypeVar("B", bound=HasEmpty)
Derive = Callable[[Array, B | None, dict[int, int]], B]
Step = Callable[[B, Array, Round, tuple[Linear, ...]], B]


@dataclass(eq=False)
class FrameBounds(Generic[B]):
    """Of tree ``tree`` over the region ``root``.  ``derive``: bounds in a region, within some and
    with the records of single neurons' bounds; ``step``: bounds after a round of steps for a way
    to fail.  Only those on the way to the frame asked last are kept."""

    given: Certificate
    tree: int
    root: Array
    derive: Derive[B]
    step: Step[B]
    known: dict[int, B] = field(default_factory=dict, init=False)

    @cached_property
    def stepped(self) -> frozenset[int]:
        """The nodes that have steps."""
        steps = self.given.steps
        return frozenset(steps.node[steps.tree == self.tree].tolist())

    def of(self, frame: Frame, around: Array | None = None) -> B:
        """``around``: the frame's region, where it is at hand."""
        way = [frame]
        while (above := self._outer(way[-1])) is not None:
            way.append(above)
        self.known = {f.node: self.known[f.node] for f in way if f.node in self.known}
        kept = None
        for each in reversed(way):
            if each.node not in self.known:
                given = around if each is frame else None
                state = each.region(self.root) if given is None else given
                self.known[each.node] = self._derived(each, state, kept)
            kept = self.known[each.node]
        return self.known[frame.node]

    def _derived(self, frame: Frame, state: Array, within: B | None) -> B:
        found = self.derive(state, within, self.given.refinements.of(self.tree, frame.node))
        if within is not None:
            found.empty |= within.empty
        for one in self.given.steps.of(self.tree, frame.node):
            if not np.all(found.empty):
                found = self.step(found, state, one, self._way())
        return found

    def _outer(self, frame: Frame) -> Frame | None:
        outer = frame.outer
        while outer is not None and outer.node not in self.stepped:
            outer = outer.outer
        return outer

    def _way(self) -> tuple[Linear, ...]:
        (only,) = self.given.trees[self.tree].conjuncts
        way: tuple[Linear, ...] = self.given.statement.conjuncts[only]
        return way
