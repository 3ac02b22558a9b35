"""Proofs with steps whose multipliers are changed so that it matters.

``ILL``: numbers that no certificate may have, a wrong sign or none that is finite; every checker
refuses them for their form.  ``SHARP``: numbers that a certificate may have, but that are a
thousand times too large, huge, another neuron's or another record's; what still follows is worked
out in fractions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from certificate_damage_proof import small_claim
from scipy.sparse import csr_array

from precond.checker.certificate import Certificate
from precond.network.evaluate import outputs
from precond.proof.certificates.certify import certify
from precond.proof.claim import Claim
from precond.proof.engines.lp_split import LpSplitEngine
from precond.proof.prover.plans import Stage
from precond.proof.prover.prove import prove
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

PROGRAMS = (Stage(LpSplitEngine()),)
PROGRAM_SEEDS = (100, 102, 103, 106, 107, 108, 109, 114)
Changed = Certificate | None


def by_programs(seed: int) -> tuple[Claim, Certificate]:
    """An output stays 0.5 % of its range above the least value at 41³ points: splits, steps at the
    root, and a record in most leaves."""
    rng = np.random.default_rng(seed)
    network, box = small_claim(rng).network, Box.uniform(3, -2.0, 2.0)
    axis = np.linspace(-2.0, 2.0, 41)
    y = outputs(network, np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3))[:, 0]
    least = float(y.min() - 0.005 * np.ptp(y))
    claim = Claim(network, box, DecisionPattern(), Property(((Inequality(((0, 1.0),), least),),)))
    found = prove(claim, budget=600, stages=PROGRAMS, keep_trace=True)
    assert found.is_proved
    return claim, certify(claim, found, 600)


def wrong_sign(made: Certificate, rng: np.random.Generator) -> Changed:
    """A multiplier, or a weight of a step, is negative."""
    if rng.uniform() < 0.3 and made.steps.weights.any():
        weights = made.steps.weights.copy()
        place = np.argwhere(weights)[int(rng.integers(np.count_nonzero(weights)))]
        weights[tuple(place)] *= -1.0
        return replace(made, steps=replace(made.steps, weights=weights))
    return _number(made, rng, lambda value: -value)


def not_finite(made: Certificate, rng: np.random.Generator) -> Changed:
    odd = float(rng.choice([np.nan, np.inf, -np.inf]))
    if rng.uniform() < 0.3 and made.steps.weights.size:
        weights = made.steps.weights.copy()
        weights[int(rng.integers(len(weights)))] = odd
        return replace(made, steps=replace(made.steps, weights=weights))
    return _number(made, rng, lambda _: odd)


def thousandfold(made: Certificate, rng: np.random.Generator) -> Changed:
    """All multipliers of a record, or a step's weights."""
    factor = float(rng.choice([1e3, 1e-3]))
    if rng.uniform() < 0.3 and made.steps.weights.any():
        weights = made.steps.weights.copy()
        weights[int(rng.choice(np.flatnonzero(weights.any(1))))] *= factor
        return replace(made, steps=replace(made.steps, weights=weights))
    if not made.records.nnz:
        return None
    r = int(rng.choice(np.flatnonzero(np.diff(made.records.indptr))))
    numbers = made.records.data.copy()
    numbers[made.records.indptr[r] : made.records.indptr[r + 1]] *= factor
    return _records(made, numbers, made.records.indices)


def huge(made: Certificate, rng: np.random.Generator) -> Changed:
    """As large as floats get."""
    return _number(made, rng, lambda _: float(rng.choice([1e30, 1e300])))


def of_another_neuron(made: Certificate, rng: np.random.Generator) -> Changed:
    """A record's multiplier stands at another neuron of its kind, or at its other side."""
    records = made.records
    if not records.nnz:
        return None
    r = int(rng.choice(np.flatnonzero(np.diff(records.indptr))))
    own = slice(int(records.indptr[r]), int(records.indptr[r + 1]))
    free = np.setdiff1d(np.arange(records.shape[1]), records.indices[own])
    columns = records.indices.copy()
    columns[int(rng.integers(own.start, own.stop))] = rng.choice(free)
    order = np.argsort(columns[own], kind="stable")
    numbers = records.data.copy()
    columns[own], numbers[own] = columns[own][order], numbers[own][order]
    return _records(made, numbers, columns)


def of_another_record(made: Certificate, rng: np.random.Generator) -> Changed:
    """A leaf uses the record of another leaf, or of a step."""
    t = int(rng.integers(len(made.trees)))
    record = made.trees[t].record.copy()
    record[int(rng.integers(len(record))), 0] = rng.integers(-1, made.records.shape[0])
    trees = [replace(tree, record=record) if k == t else tree for k, tree in enumerate(made.trees)]
    return replace(made, trees=tuple(trees))


def _number(
    made: Certificate, rng: np.random.Generator, change: Callable[[float], float]
) -> Changed:
    if not made.records.nnz:
        return None
    numbers = made.records.data.astype(np.float64)
    k = int(rng.integers(len(numbers)))
    numbers[k] = change(numbers[k])
    return _records(made, numbers, made.records.indices)


def _records(made: Certificate, numbers: np.ndarray, columns: np.ndarray) -> Certificate:
    shape = made.records.shape
    return replace(made, records=csr_array((numbers, columns, made.records.indptr), shape=shape))


ILL = (wrong_sign, not_finite)
SHARP = (thousandfold, huge, of_another_neuron, of_another_record)
