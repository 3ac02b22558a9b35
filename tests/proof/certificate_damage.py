"""Certificates with one number or index changed so that they no longer prove what they state.

That they do not is known without any checker: either the changed statement is false (a point
replays in exact arithmetic), or the change breaks a rule that every certificate must keep (a
sign, an index, the cover of the region).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from precond.checker.certificate import SPLIT, Certificate, Linear, Statement, Tree
from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.proof.claim import Claim, HalfSpaces
from precond.proof.replay import replay
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

Array = NDArray[np.float64]


def claim_of(statement: Statement, network: Network) -> Claim:
    """The claim a statement makes."""
    rows = [(t.layer, t.index, t.value) for t in statement.literals if t.above]
    downs = [(t.layer, t.index, t.value) for t in statement.literals if not t.above]
    clauses = tuple(
        tuple(Inequality(i.outputs, i.bound, i.strict, i.inputs) for i in clause)
        for clause in statement.clauses
    )
    half = HalfSpaces(statement.matrix, statement.bound) if len(statement.bound) else None
    return Claim(
        network,
        Box(statement.lower, statement.upper),
        DecisionPattern(above=frozenset(rows), below=frozenset(downs)),
        Property(clauses),
        half,
    )


def is_false(statement: Statement, network: Network, points: Array) -> bool:
    """Whether one of ``points`` (k, n) refutes the statement, exactly."""
    claim = claim_of(statement, network)
    return any(replay(claim, x).counts for x in points)


def damaged(
    certificate: Certificate, network: Network, points: Array, rng: np.random.Generator
) -> Iterator[tuple[str, Certificate]]:
    """Endlessly: what was changed, and the certificate with that change.

    ``points`` (k, n): inputs of the region.
    """
    stated = [bound, sign, output, box, literal, vacuous]
    rules = [hash_digit, weight_sign, weight_nan, multiplier_sign, lost_node, more_nodes]
    rules += [coordinate, no_weights, record, way, leaf_turned, box_index]
    while True:
        kinds = stated if rng.uniform() < 0.6 else rules
        kind = kinds[int(rng.integers(len(kinds)))]
        changed = kind(certificate, network, points, rng)
        if changed is not None:
            yield kind.__name__, changed


Changed = Certificate | None


def bound(c: Certificate, n: Network, points: Array, rng: np.random.Generator) -> Changed:
    """The bound of an inequality is raised until a known input no longer meets it."""

    y = outputs(n, points)

    def change(linear: Linear) -> Linear:
        given = Inequality(linear.outputs, linear.bound, linear.strict, linear.inputs)
        more = float(given.margin(y, points).min()) + 10.0 ** rng.uniform(-9, 0)
        return replace(linear, bound=linear.bound + more)

    return _clause(c, n, points, rng, change)


def sign(c: Certificate, n: Network, points: Array, rng: np.random.Generator) -> Changed:
    """A coefficient of an inequality changes its sign."""

    def change(linear: Linear) -> Linear:
        terms = list(linear.outputs)
        k = int(rng.integers(len(terms)))
        terms[k] = terms[k][0], -terms[k][1]
        return replace(linear, outputs=tuple(terms))

    return _clause(c, n, points, rng, change)


def output(c: Certificate, n: Network, points: Array, rng: np.random.Generator) -> Changed:
    """An inequality speaks of another output."""

    def change(linear: Linear) -> Linear:
        terms = list(linear.outputs)
        k = int(rng.integers(len(terms)))
        other = int(rng.integers(n.output_size))
        terms[k] = other, terms[k][1]
        return replace(linear, outputs=tuple(terms))

    return _clause(c, n, points, rng, change)


def _clause(
    c: Certificate,
    n: Network,
    points: Array,
    rng: np.random.Generator,
    change: Callable[[Linear], Linear],
) -> Changed:
    s = c.statement
    if s.vacuous or not s.clauses:
        return None
    clauses = [list(clause) for clause in s.clauses]
    row = clauses[int(rng.integers(len(clauses)))]
    k = int(rng.integers(len(row)))
    if not row[k].outputs:
        return None
    row[k] = change(row[k])
    changed = replace(s, clauses=tuple(map(tuple, clauses)))
    return replace(c, statement=changed) if is_false(changed, n, points) else None


def box(c: Certificate, n: Network, points: Array, rng: np.random.Generator) -> Changed:
    """One side of the box moves out until a violation lies inside."""
    s = c.statement
    if s.vacuous:
        return None
    k, up = int(rng.integers(s.lower.size)), bool(rng.integers(2))
    reach = (s.upper - s.lower).max() * 10.0 ** rng.uniform(0, 2)
    edge = s.upper[k] + reach if up else s.lower[k] - reach
    lower, upper = s.lower.copy(), s.upper.copy()
    (upper if up else lower)[k] = edge
    changed = replace(s, lower=lower, upper=upper)
    moved = points[: 1 + 8 // len(points)].copy()
    moved[:, k] = edge + (0.5 * reach * rng.uniform(size=len(moved))) * (-1 if up else 1)
    return replace(c, statement=changed) if is_false(changed, n, moved) else None


def box_index(c: Certificate, n: Network, points: Array, rng: np.random.Generator) -> Changed:
    """A side of the box passes the other: no such box."""
    lower = c.statement.lower.copy()
    lower[int(rng.integers(lower.size))] = np.nan
    return replace(c, statement=replace(c.statement, lower=lower))


def literal(c: Certificate, n: Network, points: Array, rng: np.random.Generator) -> Changed:
    """A literal is dropped, and a violation lies in what it kept out."""
    s = c.statement
    if s.vacuous or not s.literals:
        return None
    k = int(rng.integers(len(s.literals)))
    changed = replace(s, literals=s.literals[:k] + s.literals[k + 1 :])
    tried = s.lower + (s.upper - s.lower) * rng.uniform(size=(5, s.lower.size))
    return replace(c, statement=changed) if is_false(changed, n, tried) else None


def vacuous(c: Certificate, n: Network, points: Array, rng: np.random.Generator) -> Changed:
    """It is said that there is no input, and there is."""
    s = c.statement
    if s.vacuous or not replay(claim_of(s, n), points[0]).in_region:
        return None
    tree = c.trees[0]
    count = len(tree.weights)
    same = replace(
        tree, conjuncts=(0,), weights=np.zeros((count, 0)), record=np.full((count, 1), -1)
    )
    return replace(c, statement=replace(s, vacuous=True), trees=(same,))


def hash_digit(c: Certificate, n: Network, points: Array, rng: np.random.Generator) -> Changed:
    """The network is another."""
    digits = list(c.statement.network)
    k = int(rng.integers(len(digits)))
    digits[k] = "1" if digits[k] == "0" else "0"
    return replace(c, statement=replace(c.statement, network="".join(digits)))


def weight_sign(c: Certificate, n: Network, points: Array, rng: np.random.Generator) -> Changed:
    """A weight is negative."""
    return _weights(c, rng, -1.0)


def weight_nan(c: Certificate, n: Network, points: Array, rng: np.random.Generator) -> Changed:
    """A weight is no number, or infinite."""
    return _weights(c, rng, float(rng.choice([np.nan, np.inf])))


def _weights(c: Certificate, rng: np.random.Generator, value: float) -> Changed:
    t = int(rng.integers(len(c.trees)))
    weights = c.trees[t].weights.copy()
    if not weights.size:
        return None
    weights[tuple(int(rng.integers(k)) for k in weights.shape)] = value
    return _tree(c, t, replace(c.trees[t], weights=weights))


def multiplier_sign(c: Certificate, n: Network, points: Array, rng: np.random.Generator) -> Changed:
    """A slope or a β is negative."""
    if not c.records.nnz:
        return None
    numbers = c.records.data.copy()
    k = int(rng.integers(len(numbers)))
    numbers[k] = -numbers[k] or -1.0
    records = csr_array((numbers, c.records.indices, c.records.indptr), shape=c.records.shape)
    return replace(c, records=records)


def lost_node(c: Certificate, n: Network, points: Array, rng: np.random.Generator) -> Changed:
    """A node is missing, so a part of the region is not covered."""
    t = int(rng.integers(len(c.trees)))
    tree = c.trees[t]
    k = int(rng.integers(len(tree.kind)))
    return _tree(c, t, replace(tree, kind=np.delete(tree.kind, k), item=np.delete(tree.item, k)))


def more_nodes(c: Certificate, n: Network, points: Array, rng: np.random.Generator) -> Changed:
    """Nodes follow the last leaf."""
    t = int(rng.integers(len(c.trees)))
    tree = c.trees[t]
    kind, item = np.append(tree.kind, tree.kind[-1]), np.append(tree.item, tree.item[-1])
    return _tree(c, t, replace(tree, kind=kind, item=item))


def leaf_turned(c: Certificate, n: Network, points: Array, rng: np.random.Generator) -> Changed:
    """A leaf says it is split, or a split that it is a leaf."""
    t = int(rng.integers(len(c.trees)))
    tree = c.trees[t]
    kind = tree.kind.copy()
    kind[int(rng.integers(len(kind)))] ^= SPLIT
    return _tree(c, t, replace(tree, kind=kind))


def coordinate(c: Certificate, n: Network, points: Array, rng: np.random.Generator) -> Changed:
    """A split names a coordinate that there is not."""
    t = int(rng.integers(len(c.trees)))
    tree = c.trees[t]
    splits = np.flatnonzero(tree.kind & SPLIT)
    if not len(splits):
        return None
    item = tree.item.copy()
    item[rng.choice(splits)] = rng.choice([-1, n.input_size + n.neurons, 2**31 - 1])
    return _tree(c, t, replace(tree, item=item))


def no_weights(c: Certificate, n: Network, points: Array, rng: np.random.Generator) -> Changed:
    """A tree of one leaf, which has inputs, has no weights: nothing contradicts nothing."""
    t = int(rng.integers(len(c.trees)))
    tree = c.trees[t]
    s = c.statement
    if len(tree.kind) > 1 or s.vacuous or not replay(claim_of(s, n), points[0]).in_region:
        return None
    return _tree(c, t, replace(tree, weights=np.zeros_like(tree.weights)))


def record(c: Certificate, n: Network, points: Array, rng: np.random.Generator) -> Changed:
    """A leaf uses a record that there is not."""
    t = int(rng.integers(len(c.trees)))
    numbers = c.trees[t].record.copy()
    if not numbers.size:
        return None
    place = tuple(int(rng.integers(k)) for k in numbers.shape)
    numbers[place] = rng.choice([-2, c.records.shape[0], 2**31 - 1])
    return _tree(c, t, replace(c.trees[t], record=numbers))


def way(c: Certificate, n: Network, points: Array, rng: np.random.Generator) -> Changed:
    """One way to fail is left open: its tree, or its place in a tree, is gone."""
    t = int(rng.integers(len(c.trees)))
    tree = c.trees[t]
    if len(tree.conjuncts) == 1:
        return replace(c, trees=c.trees[:t] + c.trees[t + 1 :])
    sizes = [len(c.statement.conjuncts[k]) for k in tree.conjuncts]
    gone = int(rng.integers(len(sizes)))
    columns = np.repeat(np.arange(len(sizes)), sizes) != gone
    kept = replace(
        tree,
        conjuncts=tree.conjuncts[:gone] + tree.conjuncts[gone + 1 :],
        weights=tree.weights[:, columns],
        record=np.delete(tree.record, gone, 1),
    )
    return _tree(c, t, kept)


def _tree(c: Certificate, t: int, tree: Tree) -> Certificate:
    return replace(c, trees=(*c.trees[:t], tree, *c.trees[t + 1 :]))
