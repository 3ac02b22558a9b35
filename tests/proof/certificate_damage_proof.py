"""Certificates of true statements with one number or index of the *proof* changed.

Whether the proof still holds after such a change is worked out by ``certificate_oracle``, in
fractions and without any rounding: where it finds a leaf that is no contradiction, the claim no
longer follows, and a checker, which rounds to the weaker side, must refuse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from certificate_oracle import Chain
from scipy.sparse import csr_array
from small_networks import layered

from precond.checker.certificate import FRAME, SPLIT, Certificate
from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.proof.claim import Claim
from precond.proof.prover.prove import prove
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern
from precond.region.recording import record

SLACK = 1e-7  # of the output's size: a bound nearer to 0 is left undecided


def small_claim(rng: np.random.Generator) -> Claim:
    """A bound of an output a little below what 4,000 inputs reach; half with some literals."""
    slope = None if rng.uniform() < 0.7 else 0.1
    sizes = ((6, 3), (6, 6), (2, 6))  # of weights in 64ths, which keep the fractions short
    weights = [np.round(52 * rng.normal(size=size)) / 64 for size in sizes]
    biases = [np.round(52 * rng.normal(size=size[0])) / 64 for size in sizes]
    network = layered(*zip(weights, biases, strict=True), slope=slope)
    box = Box.uniform(3, -0.7, 0.7)
    x = box.sample(4000, rng)
    pattern = DecisionPattern()
    if rng.uniform() < 0.5:
        signs = record(network, x)
        whole = DecisionPattern.of_row(signs, 0, network.decision_layers[:1])
        kept = sorted(whole.on)[:2], sorted(whole.off)[:2]
        pattern = DecisionPattern(frozenset(kept[0]), frozenset(kept[1]))
        x = x[pattern.holds(signs)]
    y = outputs(network, x)[:, 0]
    least = float(y.min() - rng.uniform(0.01, 0.2) * (np.ptp(y) + 0.1))
    prop = Property(((Inequality(((0, 1.0),), least),),))
    return Claim(network, box, pattern, prop)


def small_certificates(rng: np.random.Generator, count: int) -> list[tuple[Claim, Certificate]]:
    """So many claims with certificates that use splits or multipliers."""
    found: list[tuple[Claim, Certificate]] = []
    while len(found) < count:
        claim = small_claim(rng)
        made = prove(claim, budget=600, exact=True).certificate
        if made is not None and (made.records.nnz or len(made.trees[0].kind) > 1):
            found.append((claim, made))
    return found


def altered(
    certificate: Certificate, rng: np.random.Generator
) -> Iterator[tuple[str, Certificate]]:
    """Endlessly: what was changed, and the certificate with that change; every sign, size and
    index is one that a certificate may have."""
    kinds = [multiplier, weight, split_value, split_place, other_record, frame, refinement]
    while True:
        kind = kinds[int(rng.integers(len(kinds)))]
        changed = kind(certificate, rng)
        if changed is not None:
            yield kind.__name__, changed


def still_follows(certificate: Certificate, network: Network) -> bool | None:
    """Whether the proof holds in fractions; None where a bound is within rounding of 0."""
    close = False
    for shown in Chain(network, certificate).shown():
        if shown.enough:
            close |= shown.bound is not None and shown.bound < SLACK
            continue
        assert shown.bound is not None
        if shown.bound < -SLACK:
            return False
        close = True
    return None if close else True


def holds(certificate: Certificate, network: Network) -> bool:
    """Whether every leaf is a contradiction in fractions, however narrowly."""
    return all(shown.enough for shown in Chain(network, certificate).shown())


Changed = Certificate | None


def multiplier(c: Certificate, rng: np.random.Generator) -> Changed:
    """A slope or a β is another number."""
    if not c.records.nnz:
        return None
    numbers = c.records.data.copy()
    k = int(rng.integers(len(numbers)))
    numbers[k] *= float(rng.choice([0.0, 0.5, 2.0, 10.0]))
    return replace(c, records=csr_array((numbers, c.records.indices, c.records.indptr),
                                        shape=c.records.shape))  # fmt: skip


def weight(c: Certificate, rng: np.random.Generator) -> Changed:
    """A weight is 0, or larger."""
    t = int(rng.integers(len(c.trees)))
    weights = c.trees[t].weights.copy()
    if not weights.size:
        return None
    place = tuple(int(rng.integers(k)) for k in weights.shape)
    weights[place] = float(rng.choice([0.0, 3.0 * weights[place]]))
    return _tree(c, t, weights=weights)


def split_value(c: Certificate, rng: np.random.Generator) -> Changed:
    """A split is at another value."""
    t = int(rng.integers(len(c.trees)))
    at = c.trees[t].at.copy()
    if not at.size:
        return None
    at[int(rng.integers(at.size))] += rng.normal()
    return _tree(c, t, at=at)


def split_place(c: Certificate, rng: np.random.Generator) -> Changed:
    """A split is of another input or neuron."""
    t = int(rng.integers(len(c.trees)))
    splits = np.flatnonzero(c.trees[t].kind & SPLIT)
    if not splits.size:
        return None
    item = c.trees[t].item.copy()
    item[rng.choice(splits)] = rng.integers(c.statement.lower.size + 12)
    return _tree(c, t, item=item)


def other_record(c: Certificate, rng: np.random.Generator) -> Changed:
    """A leaf uses the multipliers of another, or none."""
    t = int(rng.integers(len(c.trees)))
    numbers = c.trees[t].record.copy()
    if not c.records.shape[0] or not numbers.size:
        return None
    place = tuple(int(rng.integers(k)) for k in numbers.shape)
    numbers[place] = rng.integers(-1, c.records.shape[0])
    return _tree(c, t, record=numbers)


def frame(c: Certificate, rng: np.random.Generator) -> Changed:
    """Layer bounds are derived at a node where they were not, or are not where they were."""
    t = int(rng.integers(len(c.trees)))
    kind = c.trees[t].kind.copy()
    kind[int(rng.integers(kind.size))] ^= FRAME
    return _tree(c, t, kind=kind)


def refinement(c: Certificate, rng: np.random.Generator) -> Changed:
    """A neuron's bound uses another record."""
    numbers = c.refinements.record.copy()
    if not numbers.size:
        return None
    numbers[int(rng.integers(numbers.size))] = rng.integers(-1, c.records.shape[0])
    return replace(c, refinements=replace(c.refinements, record=numbers))


def _tree(c: Certificate, t: int, **changed: Any) -> Certificate:
    tree = replace(c.trees[t], **changed)
    return replace(c, trees=(*c.trees[:t], tree, *c.trees[t + 1 :]))
