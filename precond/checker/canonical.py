"""The one form that a certificate has: what is verified here is the form that is then used.

Every number is finite; multipliers are not negative; nothing is named twice where it could be
added up or overwritten (a term of an inequality, a place of a record, a neuron's bound, a way to
fail); every index points at something; sizes are what the statement and the trees need.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.checker.certificate import FRAME, SPLIT, Certificate, Linear, Statement, Tree
from precond.checker.tree import NESTED, misshapen, nests
from precond.network.activation import OutputActivation
from precond.network.graph import Network

HASH = re.compile(r"[0-9a-f]{64}")
BITS = (0, *range(16, 31))  # of a certificate: 0 for numbers of any length
Values = NDArray[Any]


def malformed(certificate: Certificate) -> str:
    """What of a certificate contradicts itself; empty if nothing does."""
    return next(_malformed(certificate), "")


def misfit(certificate: Certificate, network: Network) -> str:
    """What of a certificate is malformed or does not fit a network; empty if nothing."""
    return malformed(certificate) or next(_misfit(certificate, network), "")


def _malformed(c: Certificate) -> Iterator[str]:
    yield from _statement(c.statement)
    if c.bits not in BITS:
        yield f"bits are {c.bits}, none of {BITS[0]} and {BITS[1]} to {BITS[-1]}"
    ways = [len(way) for way in c.statement.conjuncts]
    closed = [way for tree in c.trees for way in tree.conjuncts]
    if any(not 0 <= way < len(ways) for way in closed):
        yield "a tree closes a way to fail that there is not"
    if len(set(closed)) < len(closed) or any(not tree.conjuncts for tree in c.trees):
        yield "a tree closes nothing, or a way to fail that is closed already"
    if len(closed) < len(ways):
        yield "a way to fail is not closed by any tree"
    yield from _records(c.records)
    for k, tree in enumerate(c.trees):
        for problem in _tree(tree, sum(ways[way] for way in tree.conjuncts), c.records.shape[0]):
            yield f"tree {k}: {problem}"
    yield from _refinements(c)
    yield from _steps(c)


def _statement(s: Statement) -> Iterator[str]:
    size = s.lower.size
    if not HASH.fullmatch(s.network):
        yield "the network's hash is none"
    if s.lower.shape != (size,) or s.upper.shape != (size,) or s.bound.shape != (s.bound.size,):
        yield "the sizes of the statement's box differ"
    if s.matrix.shape != (s.bound.size, size):
        yield "the sizes of the statement's box and half-spaces differ"
    numbers = [t.value for t in s.literals]
    for linear in (i for clause in s.clauses for i in clause):
        numbers += [linear.bound, *(v for _, v in (*linear.outputs, *linear.inputs))]
    arrays = (s.lower, s.upper, s.matrix, s.bound, np.array(numbers, dtype=np.float64))
    if not all(_finite(values) for values in arrays):
        yield "a number of the statement is not finite"
    if not (s.lower <= s.upper).all():
        yield "a lower bound is above the upper one"
    if len(set(s.literals)) < len(s.literals):
        yield "a literal is stated twice"
    for clause in s.clauses:
        if not clause:
            yield "a clause of the property has no inequality"
        if any(_repeats(linear) for linear in clause):
            yield "an inequality names an output or an input twice"


def _repeats(linear: Linear) -> bool:
    return any(len({k for k, _ in terms}) < len(terms) for terms in (linear.outputs, linear.inputs))


def _tree(tree: Tree, weights: int, records: int) -> Iterator[str]:
    nodes, leaves = tree.kind.size, tree.leaves
    if tree.kind.shape != (nodes,) or (_distinct(tree.kind) > SPLIT | FRAME).any():
        yield "a node is neither a leaf nor a split"
    if problem := misshapen(tree.kind):
        yield problem
    if (tree.item.shape, tree.at.shape) != ((nodes,), (nodes // 2,)):
        yield "the splits do not fit the nodes"
    if 2 * leaves != nodes + 1 or tree.weights.shape != (leaves, weights):
        yield "the weights do not fit the leaves and ways to fail"
    if tree.record.shape != (leaves, len(tree.conjuncts)):
        yield "the records do not fit the leaves and ways to fail"
    if not _finite(tree.at):
        yield "a split is at no number"
    if not _multipliers(tree.weights):
        yield "a multiplier is negative or not finite"
    if not _within(tree.record, -1, records - 1):
        yield "a leaf uses a record that there is not"


def _records(records: Any) -> Iterator[str]:
    count, columns = records.shape
    data, indices, starts = records.data, records.indices, records.indptr
    if not (data.ndim == indices.ndim == starts.ndim == 1 and len(starts) == count + 1):
        yield "the records have arrays of other sizes than they say"
    if starts[0] != 0 or starts[-1] != len(data) or len(indices) != len(data):
        yield "the records have arrays of other sizes than they say"
    if (starts[1:] < starts[:-1]).any() or not _within(indices, 0, columns - 1):
        yield "a record names a place that there is not"
    rising = indices[1:] > indices[:-1]
    inner = starts[(starts > 0) & (starts < len(data))]
    rising[inner - 1] = True  # a row may begin anywhere
    if not rising.all():
        yield "a record names a place twice, or out of order"
    if not _multipliers(data):
        yield "a multiplier is negative or not finite"


def _refinements(c: Certificate) -> Iterator[str]:
    r = c.refinements
    if len({values.shape for values in (r.tree, r.node, r.bound, r.record)}) > 1 or r.tree.ndim > 1:
        yield "refinements have arrays of different lengths"
    if not _within(r.tree, 0, len(c.trees) - 1):
        yield "a refinement is of a tree that there is not"
    nodes = np.array([tree.kind.size for tree in c.trees], dtype=np.int64)
    if ((r.node < 0) | (r.node >= nodes[r.tree])).any():
        yield "a refinement is of a node that there is not"
    first = np.concatenate([[0], nodes.cumsum()])[r.tree] + r.node
    frames = np.concatenate([np.zeros(0, bool), *(tree.kind & FRAME > 0 for tree in c.trees)])
    if not frames[first].all():
        yield "a refinement is of a node that derives no bounds"
    if not _within(r.record, -1, c.records.shape[0] - 1) or not _within(r.bound, 0, 2**31 - 1):
        yield "a refinement uses a record or a bound that there is not"
    order = np.lexsort((r.bound, first))
    first, bound = first[order], r.bound[order]
    if ((first[1:] == first[:-1]) & (bound[1:] == bound[:-1])).any():
        yield "a neuron's bound is refined twice"


def _steps(c: Certificate) -> Iterator[str]:
    s, conjuncts = c.steps, c.statement.conjuncts
    keys = (s.tree, s.node, s.round, s.bound, s.record)
    if s.weights.ndim != 2 or any(values.shape != s.weights.shape[:1] for values in keys):
        yield "steps have arrays of different lengths"
    if not _within(s.tree, 0, len(c.trees) - 1):
        yield "a step is in a tree that there is not"
    if problem := s.disorder():
        yield problem
    sizes = {}
    for t in np.unique(s.tree).tolist():
        tree, ways = c.trees[t], c.trees[t].conjuncts
        nodes = s.node[s.tree == t]
        if not _within(nodes, 0, tree.kind.size - 1) or not (tree.kind[nodes] & FRAME).all():
            yield "a step is at a node that derives no bounds"
        if nests(tree.kind, set(nodes.tolist())) > NESTED:
            yield f"more than {NESTED} frames with steps lie in one another"
        if len(ways) != 1:
            yield "a tree with steps closes several ways to fail"
        sizes[t] = len(conjuncts[ways[0]])
        if s.weights[s.tree == t, sizes[t] :].any():
            yield "a step has a weight for an inequality that there is not"
    if s.weights.shape[1] != max(sizes.values(), default=0):
        yield "the weights do not fit the steps"
    if not _multipliers(s.weights):
        yield "a multiplier is negative or not finite"
    if not _within(s.record, -1, c.records.shape[0] - 1) or not _within(s.bound, 0, 2**31 - 1):
        yield "a step uses a record or a bound that there is not"


def _misfit(c: Certificate, network: Network) -> Iterator[str]:
    s, neurons = c.statement, network.neurons
    if network.output_activation is not OutputActivation.NONE:
        name = network.output_activation.value
        yield f"its outputs y are not said to be the logits before the last {name}"
    if s.network != network.hash:
        yield "the certificate is about another network"
    if s.lower.size != network.input_size:
        yield f"the box has {s.lower.size} inputs, the network {network.input_size}"
    yield from _misfit_terms(s, network)
    if c.records.shape[1] != 3 * neurons + len(s.bound):
        yield "the records do not fit the network's neurons"
    for tree in c.trees:
        items = tree.item[tree.kind & SPLIT > 0]
        if not _within(items, 0, network.input_size + neurons - 1):
            yield "a split is of a coordinate which there is not"
    if not _within(c.refinements.bound, 0, 2 * neurons - 1):
        yield "a refinement is of a neuron that there is not"
    if not _within(c.steps.bound, 0, 2 * neurons - 1):
        yield "a step is of a neuron that there is not"


def _misfit_terms(s: Statement, network: Network) -> Iterator[str]:
    """Literals and inequalities about what the network does not have."""
    widths = {layer: network.width(layer) for layer in network.decision_layers}
    for t in s.literals:
        if t.layer not in widths:
            yield f"there is no decision layer {t.layer!r}"
        elif not 0 <= t.index < widths[t.layer]:
            yield f"decision layer {t.layer!r} has no neuron {t.index}"
    for linear in (i for clause in s.clauses for i in clause):
        for terms, size in (
            (linear.outputs, network.output_size),
            (linear.inputs, network.input_size),
        ):
            if any(not 0 <= k < size for k, _ in terms):
                yield "an inequality names an output or an input that there is not"


def _distinct(values: Values) -> Values:
    """``values``, or one of them where all are the same one in memory."""
    same = values.size > 0 and not any(values.strides)
    return values[(slice(0, 1),) * values.ndim] if same else values


def _finite(values: Values) -> bool:
    return bool(np.isfinite(_distinct(values)).all())


def _multipliers(values: Values) -> bool:
    some = _distinct(values)
    return _finite(some) and bool((some >= 0).all())


def _within(values: Values, low: int, high: int) -> bool:
    some = _distinct(values)
    return not some.size or bool(some.min() >= low and some.max() <= high)
