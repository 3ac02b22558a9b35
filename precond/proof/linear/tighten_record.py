"""How a search that tightens bounds closed its subdomains, as a ``Trace``."""

from __future__ import annotations

from dataclasses import dataclass

from precond.proof.linear.tighten import Tightening
from precond.proof.trace import PhaseSplit, Trace
from precond.region.pattern import Neuron


@dataclass(frozen=True)
class _Halves:
    """A neuron's phases, and the numbers of the subdomains where it is off and on."""

    neuron: Neuron
    off: int
    on: int


class TightenRecord:
    """Of subdomains by number, the whole's is 0; children have larger numbers than their parent.
    Past ``limit`` bytes there is no trace."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._steps: dict[int, Tightening] = {}
        self._inner: dict[int, Trace | None] = {}
        self._halves: dict[int, _Halves] = {}

    def of(self, number: int) -> Tightening:
        """How the bounds of a subdomain are tightened; to be filled in."""
        return self._steps.setdefault(number, Tightening())

    def close(self, number: int, trace: Trace | None) -> None:
        """With its tightened bounds the subdomain is closed so; None: that is not known."""
        self._inner[number] = trace

    def split(self, number: int, neuron: Neuron, off: int, on: int) -> None:
        self._halves[number] = _Halves(neuron, off, on)

    def trace(self) -> Trace | None:
        """The tree of the whole, all of which is closed; None where some of it is not known."""
        if sum(steps.bytes for steps in self._steps.values()) > self.limit:
            return None
        built: dict[int, Trace] = {}
        for number in sorted(self._steps.keys() | self._inner.keys() | self._halves.keys())[::-1]:
            steps = self.of(number)
            if number in self._halves:
                halves = self._halves[number]
                off, on = built.pop(halves.off, None), built.pop(halves.on, None)
                if off is None or on is None:
                    continue
                built[number] = steps.around(PhaseSplit(*halves.neuron, off, on=on))
            elif number in self._inner:
                inner = self._inner[number]
                if inner is not None:
                    built[number] = steps.around(inner)
            else:
                built[number] = steps.closed
        return built.get(0)
