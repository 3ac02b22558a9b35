"""Edits that could mend errors: a unit held in its other state, a part of the input made usual.

Every edit is run on the errors first, many edits to a forward pass; the right inputs are run
only under the edits that mend two errors of the finding half or more, those that mend most
first.  A unit that is switched on is given the mean it has, among right inputs, where it is on;
one that is switched off is given 0.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.apply.debugging.cases import Cases, Flags
from precond.apply.debugging.conditions import Edit, SwitchedUnit, UsualRegion
from precond.apply.debugging.cover import LEAST, PossibleCause
from precond.network.evaluate import forward, values_at
from precond.network.graph import INPUT, Network
from precond.network.operators import operators
from precond.proof.deadline import FOREVER, Deadline

Rows = NDArray[np.int64]
TOGETHER = 16 << 20  # numbers of the edited layer, and of what follows, in one forward pass


@dataclass(frozen=True, eq=False, kw_only=True)
class _Edits:
    """Edits of one node's ``values`` (M, width): each sets a part to usual values.  ``tried`` in
    all, of this kind; only those of ``chosen`` (None: all) are candidates."""

    node: str
    values: NDArray[np.float32]
    each: Sequence[tuple[Edit, NDArray[np.intp], NDArray[np.float32]]]
    tried: int
    chosen: Container[Edit] | None = None


class EditedAnswers:
    """Answers of the network to inputs (M, n), with the values of one node edited."""

    def __init__(self, network: Network, inputs: NDArray[np.floating], device: str) -> None:
        self.network, self.inputs = network, inputs
        self.ops = operators(network, device, torch.float32)
        widest = max(network.width(node.name) for node in network.nodes)
        self.rows = max(1, TOGETHER // widest)

    def values(self, node: str) -> NDArray[np.float32]:
        """(M, width) of a node."""
        if node == INPUT:
            return np.asarray(self.inputs, dtype=np.float32)
        found = values_at(self.network, self.inputs, node, dtype=torch.float32)
        return found.astype(np.float32)

    def __call__(self, node: str, values: NDArray[np.float32], rows: Rows) -> Rows:
        """The class of each of ``rows`` (k,) where ``node`` has ``values`` (k, width)."""
        network, found = self.network, [np.zeros(0, dtype=np.int64)]
        for start in range(0, len(rows), self.rows):
            part = slice(start, start + self.rows)
            given = {node: self._shaped(values[part], network.shapes[node])}
            if node != INPUT:  # what lies beside the node (a skip connection) reads the input
                own = np.asarray(self.inputs[rows[part]], dtype=np.float32)
                given[INPUT] = self._shaped(own, network.input_shape)
            with torch.no_grad():
                y = forward(self.ops, given, [network.output])[network.output]
            found.append(network.classes.predicted(y.flatten(1).double().cpu().numpy()))
        return np.concatenate(found)

    def _shaped(self, values: NDArray[np.float32], shape: Sequence[int]) -> Tensor:
        return (
            torch.from_numpy(np.ascontiguousarray(values)).to(self.ops.device).reshape(-1, *shape)
        )


def switch_candidates(
    answers: EditedAnswers, cases: Cases, layers: Sequence[str], deadline: Deadline = FOREVER
) -> tuple[list[PossibleCause], bool]:
    """Units of ``layers`` held on or off; whether all were tried."""
    found: list[PossibleCause] = []
    edits: list[tuple[Edit, NDArray[np.intp], NDArray[np.float32]]]
    total = sum(2 * _units(answers.network, layer) for layer in layers)
    for layer in reversed(layers):  # the last are the cheapest to run
        if deadline.passed:
            return found, False
        values, edits = answers.values(layer), []
        units = _units(answers.network, layer)
        parts = np.arange(values.shape[1]).reshape(units, -1)
        right = ~cases.wrong & cases.finding
        for unit, part in enumerate(parts):
            own = values[:, part]
            on = (own > 0).any(axis=1) & right
            usual = own[on].mean(axis=0) if on.any() else np.zeros(len(part), np.float32)
            channel = len(part) > 1
            edits.append((SwitchedUnit(layer, unit, on=False, channel=channel), part, 0 * usual))
            if on.any():
                edits.append((SwitchedUnit(layer, unit, on=True, channel=channel), part, usual))
        several = _Edits(node=layer, values=values, each=edits, tried=total)
        tried, whole = _tried(answers, cases, several, deadline=deadline)
        found += tried
        if not whole:
            return found, False
    return found, True


def _units(network: Network, layer: str) -> int:
    """Units of a layer: channels of a convolution, neurons otherwise."""
    return network.shapes[layer][0] if len(network.shapes[layer]) == 3 else network.width(layer)


def region_candidates(
    answers: EditedAnswers,
    cases: Cases,
    regions: Sequence[UsualRegion],
    agreed: Sequence[UsualRegion],
    deadline: Deadline = FOREVER,
) -> tuple[list[PossibleCause], bool]:
    """``regions`` of the input set to the median of right inputs; candidates are those that errors
    ``agreed`` on.  The second value: whether all were tried."""
    values = answers.values(INPUT)
    usual = np.median(values[~cases.wrong & cases.finding], axis=0)
    edits: list[tuple[Edit, NDArray[np.intp], NDArray[np.float32]]] = [
        (region, np.array(region.features), usual[list(region.features)]) for region in regions
    ]
    several = _Edits(
        node=INPUT, values=values, each=edits, tried=max(1, len(edits)), chosen=set(agreed)
    )
    return _tried(answers, cases, several, deadline=deadline)


def _tried(
    answers: EditedAnswers, cases: Cases, edits: _Edits, deadline: Deadline
) -> tuple[list[PossibleCause], bool]:
    errors, right = np.flatnonzero(cases.wrong), np.flatnonzero(~cases.wrong)
    mended = _mended(answers, cases, edits, errors=errors, deadline=deadline)
    finding = cases.finding[errors]
    counts = (mended & finding).sum(axis=1)
    share = float(counts.mean() / max(1, finding.sum())) if len(counts) else 0.0
    found: list[PossibleCause] = []
    for number in np.argsort(-counts, kind="stable").tolist():
        condition, part, usual = edits.each[number]
        if counts[number] < LEAST:
            break
        if edits.chosen is not None and condition not in edits.chosen:
            continue
        if deadline.passed:
            return found, False
        inside = np.zeros(len(cases.rows), dtype=np.bool_)
        inside[errors] = mended[number]
        rows = right[(edits.values[np.ix_(right, part)] != usual).any(axis=1)]
        changed = edits.values[rows]
        changed[:, part] = usual
        inside[rows] = answers(edits.node, changed, rows) != cases.predicted[rows]
        found.append(PossibleCause(condition, inside, edits.tried, usual=share))
    return found, len(mended) == len(edits.each) and not deadline.passed


def _mended(
    answers: EditedAnswers, cases: Cases, edits: _Edits, errors: Rows, deadline: Deadline
) -> Flags:
    """Which errors each edit mends, (edits, errors); fewer edits where time is up."""
    own, block = edits.values[errors], max(1, answers.rows // max(1, len(errors)))
    found = [np.zeros((0, len(errors)), dtype=np.bool_)]
    for start in range(0, len(edits.each), block):
        if start and deadline.passed:
            break
        some = edits.each[start : start + block]
        changed = np.repeat(own[None], len(some), axis=0)
        for k, (_, part, usual) in enumerate(some):
            changed[k][:, part] = usual
        rows = np.tile(errors, len(some))
        said = answers(edits.node, changed.reshape(len(rows), -1), rows).reshape(len(some), -1)
        found.append(said == cases.labels[errors])
    return np.concatenate(found)
