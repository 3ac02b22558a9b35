"""``Trace``: how a search closed a conjunct, so that a proof can be checked without the engine.

A trace is a binary tree.  Inner nodes split the region in two that cover it: at an input's
value, or by a ReLU's phase.  Each leaf is closed by one linear bound (``Leaf``), or has no
input at all.  Recording one is optional and cheap; the multipliers are those of
``precond.proof.bounds.backward`` and any values of them are sound, so a checker may round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Leaf:
    """A subdomain closed by one bound.

    ``weights`` (inequalities of the conjunct,) ≥ 0: the mix of rows that was bounded; None:
    any one row.  Per decision layer, (m,): ``alpha`` slopes of lower lines, ``low``/``high``
    multipliers β ≥ 0 of ``z ≥ t`` and ``z ≤ t``.  ``half`` (k,): multipliers of the input
    constraints.  ``empty``: layer bounds alone show that no input is inside.
    """

    weights: Array | None = None
    alpha: Mapping[str, Array] = field(default_factory=dict)
    low: Mapping[str, Array] = field(default_factory=dict)
    high: Mapping[str, Array] = field(default_factory=dict)
    half: Array | None = None
    empty: bool = False


@dataclass(frozen=True, eq=False)
class InputSplit:
    """``x[index] ≤ at`` is covered by ``below``, ``x[index] ≥ at`` by ``above``."""

    index: int
    at: float
    below: Trace
    above: Trace


@dataclass(frozen=True, eq=False)
class PhaseSplit:
    """Pre-activation ``index`` of decision layer ``layer``: ≤ 0 in ``off``, ≥ 0 in ``on``."""

    layer: str
    index: int
    off: Trace
    on: Trace


Trace: TypeAlias = "Leaf | InputSplit | PhaseSplit"
