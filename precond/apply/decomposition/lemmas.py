"""Lemmas: boxes of a layer's activations that imply a property of the output.

A pattern σ over a layer (off, z ≤ t, z ≥ t) together with the layer's reachable values R leaves
a box V of activations; what is proved of the rest of the network is V ⇒ B.  Such a proof does
not mention the inputs it was found for: it serves every box A of inputs whose values at the
layer lie in V, and every query that shares B.  ``Lemmas`` keeps them by network and property.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from precond.proof.claim import Claim
from precond.proof.verdict import Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

Key = tuple[str, tuple[tuple[Inequality, ...], ...]]


@dataclass(frozen=True, eq=False)
class Lemma:
    """``claim``: for all activations in ``claim.box`` the property holds of the rest of the
    network.  ``verdict``: None while it is only proposed."""

    claim: Claim
    verdict: Verdict | None = None

    @property
    def values(self) -> Box:
        """V, over the activations (m,) of the layer."""
        return self.claim.box

    @property
    def stands(self) -> bool:
        return self.verdict is not None and self.verdict.is_proved and self.verdict.confirmed


@dataclass(eq=False)
class Lemmas:
    """Proved lemmas of any number of networks and properties."""

    _kept: dict[Key, list[Lemma]] = field(default_factory=dict)

    def about(self, rest: Claim) -> tuple[Lemma, ...]:
        """Those of the network and property of ``rest``; oldest first."""
        return tuple(self._kept.get(_key(rest), ()))

    def find(self, rest: Claim) -> Lemma | None:
        """One that implies ``rest``: the same network and property, over values that include
        those of ``rest``."""
        return next((k for k in self.about(rest) if k.values.includes(rest.box)), None)

    def add(self, lemma: Lemma) -> None:
        """Keep a lemma that stands, unless one that is kept says as much."""
        if not lemma.stands:
            return
        if self.find(lemma.claim) is None:
            self._kept.setdefault(_key(lemma.claim), []).append(lemma)

    def __len__(self) -> int:
        return sum(len(kept) for kept in self._kept.values())


def _key(claim: Claim) -> Key:
    return claim.network.hash, claim.property.clauses


def literals(layer: str, values: Box, reach: Box) -> DecisionPattern:
    """The pattern over ``layer`` that leaves of the activations ``reach`` only ``values``: a
    literal for each side on which ``values`` is the narrower."""
    off, above, below = [], [], []
    for index in np.flatnonzero(values.upper < reach.upper).tolist():
        limit = float(values.upper[index])
        if limit > 0:
            below.append((layer, index, limit))
        else:
            off.append((layer, index))
    for index in np.flatnonzero(values.lower > reach.lower).tolist():
        above.append((layer, index, float(values.lower[index])))
    return DecisionPattern(
        frozenset(), off=frozenset(off), above=frozenset(above), below=frozenset(below)
    )


def implied(pattern: DecisionPattern) -> Property:
    """``pattern`` over one layer as a property of the network that ends with the values that
    decide it (a proof's closure: z ≥ t, z ≤ t)."""

    def at_least(index: int, value: float) -> tuple[Inequality, ...]:
        return (Inequality(((index, 1.0),), value),)

    def at_most(index: int, value: float) -> tuple[Inequality, ...]:
        return (Inequality(((index, -1.0),), -value),)

    clauses: Iterable[tuple[Inequality, ...]] = (
        *(at_least(i, 0.0) for _, i in sorted(pattern.on)),
        *(at_most(i, 0.0) for _, i in sorted(pattern.off)),
        *(at_least(i, t) for _, i, t in sorted(pattern.above)),
        *(at_most(i, t) for _, i, t in sorted(pattern.below)),
    )
    return Property(tuple(clauses), str(pattern))
