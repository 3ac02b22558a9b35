"""Proofs by ``tighten-split`` with their steps changed: in order, round, neuron, weight, record.

A step states no number: whoever checks works it out, so there is no claimed bound to forge.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from certificate_damage_proof import multiplier, small_claim

from precond.checker.certificate import Certificate
from precond.checker.steps import Steps
from precond.network.evaluate import outputs
from precond.proof.certificates.certify import certify
from precond.proof.claim import Claim
from precond.proof.engines.highs import HighsEngine
from precond.proof.engines.tighten_split import TightenSplitEngine
from precond.proof.prover.plans import Stage, known_bounds
from precond.proof.prover.prove import prove
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

TIGHTEN = (Stage(TightenSplitEngine(HighsEngine(known_bounds, milp_neurons=0))),)
ARRAYS = ("tree", "node", "round", "bound", "record", "weights")
STEP_SEEDS = (103, 104, 110, 112, 124, 125, 126, 139, 145)  # of proofs that need steps


def by_steps(seed: int) -> tuple[Claim, Certificate]:
    """An output stays 2 % of its range above the least of 4,000 values: with its certificate."""
    rng = np.random.default_rng(seed)
    network, box = small_claim(rng).network, Box.uniform(3, -2.0, 2.0)
    y = outputs(network, box.sample(4000, rng))[:, 0]
    least = float(y.min() - 0.02 * np.ptp(y))
    claim = Claim(network, box, DecisionPattern(), Property(((Inequality(((0, 1.0),), least),),)))
    found = prove(claim, budget=600, stages=TIGHTEN, keep_trace=True)
    assert found.is_proved
    return claim, certify(claim, found, 600)


def swapped_rounds(made: Certificate, rng: np.random.Generator) -> Certificate | None:
    """Two rounds of a frame in the other order."""
    s = made.steps
    frame = (s.tree == s.tree[-1]) & (s.node == s.node[-1])
    if not s.round[frame].any():
        return None
    first, second = rng.permutation(int(s.round[frame].max()) + 1)[:2]
    number = s.round.copy()
    number[frame & (s.round == first)] = second
    number[frame & (s.round == second)] = first
    order = np.lexsort((s.bound, number, s.node, s.tree))
    return replace(made, steps=_rows(replace(s, round=number), order))


def all_at_once(made: Certificate, rng: np.random.Generator) -> Certificate:
    """Every frame's steps in one round, as if each could lean on the others."""
    s, seen, kept = made.steps, set(), []
    for k in rng.permutation(len(s)).tolist():
        key = int(s.node[k]), int(s.bound[k])
        if key not in seen:
            seen.add(key)
            kept.append(k)
    order = sorted(kept, key=lambda k: (s.node[k], s.bound[k]))
    rows = _rows(s, np.array(order))
    return replace(made, steps=replace(rows, round=np.zeros_like(rows.round)))


def wrong_neuron(made: Certificate, rng: np.random.Generator) -> Certificate:
    """A step's multipliers for another bound of the same round."""
    s, bound = made.steps, made.steps.bound.copy()
    k = int(rng.integers(len(s)))
    own = np.flatnonzero((s.node == s.node[k]) & (s.round == s.round[k]))
    free = np.setdiff1d(np.arange(2 * 12), bound[own])
    bound[k] = rng.choice(free)
    order = np.lexsort((bound, s.round, s.node, s.tree))
    return replace(made, steps=_rows(replace(s, bound=bound), order))


def other_weight(made: Certificate, rng: np.random.Generator) -> Certificate:
    weights = made.steps.weights.copy()
    weights[int(rng.integers(len(weights)))] *= rng.choice([0.0, 0.5, 3.0])
    return replace(made, steps=replace(made.steps, weights=weights))


def other_record(made: Certificate, rng: np.random.Generator) -> Certificate:
    record = made.steps.record.copy()
    record[int(rng.integers(len(record)))] = rng.integers(-1, made.records.shape[0])
    return replace(made, steps=replace(made.steps, record=record))


def lost(made: Certificate, rng: np.random.Generator) -> Certificate:
    """A step is left out; the rounds stay without a gap."""
    s = made.steps
    kept = np.delete(np.arange(len(s)), int(rng.integers(len(s))))
    rows = _rows(s, kept)
    places = np.stack([rows.node, rows.round])
    number = rows.round.copy()
    for node in np.unique(rows.node):
        own = rows.node == node
        number[own] = np.unique(places[1, own], return_inverse=True)[1]
    return replace(made, steps=replace(rows, round=number))


def _rows(s: Steps, which: np.ndarray) -> Steps:
    return Steps(**{name: getattr(s, name)[which] for name in ARRAYS})


STEP_DAMAGES = (
    swapped_rounds,
    all_at_once,
    wrong_neuron,
    other_weight,
    other_record,
    lost,
    multiplier,
)
