"""Leaves of a certificate in the making that do not close, and what closes them.

A leaf closes with its recorded multipliers, with better ones, or in halves of its box.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from precond.proof.certificates.floats import (
    DIGITS,
    FEW_INPUTS,
    Records,
    improved,
    in_boxes,
    problem_in,
)
from precond.proof.certificates.growth import Branch, Failing, Split, has_beta, weights_of
from precond.proof.certificates.judges import Judge
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline

Array = NDArray[np.float64]
MENDED = 400  # splits that may be added to a search's own, and as many again as it had
STEPS = 60  # of ascent for a leaf that does not close
STEP_DIGITS = 12, 16  # of a step's multipliers: what is lost there is lost for all after it


class NotCertified(Exception):
    """Why no certificate was found."""


class Mender:
    """Of one certificate, with one judge."""

    def __init__(self, claim: Claim, judge: Judge, deadline: Deadline) -> None:
        self.claim, self.judge, self.deadline = claim, judge, deadline
        self.network, self.statement = claim.network, judge.statement
        offset: dict[str, int] = {}
        for layer in self.network.decision_layers:
            offset[layer] = sum(self.network.width(k) for k in offset)
        rows = len(self.statement.bound)
        self.records = Records(offset, self.network.neurons, rows)
        self.rows = {c: len(way) for c, way in enumerate(self.statement.conjuncts)}
        self.problem = claim.problem.only(((),)) if self.statement.vacuous else claim.problem
        self.few = int((claim.box.width > 0).sum()) <= FEW_INPUTS
        self.splits = self.leaves = 0
        self.steps: dict[int, int] = {}  # records of steps, by the leaf that holds them

    def is_input(self, node: Branch) -> bool:
        return node.split is not None and node.split[0] < self.network.input_size

    def mended(
        self, alone: list[Branch], failing: Failing, conjuncts: tuple[int, ...]
    ) -> list[Branch]:
        """Leaves that do not close with bounds of their own: halves of their boxes where inputs
        are few, else better multipliers, and halves of what these do not close."""
        ways = {id(node): failing[id(node)][node] for node in alone}
        if not alone:
            return []
        self.bounded(alone, ways)
        where: dict[int, Split | None] = {}
        for steps in (0, STEPS):
            boxed = [n for n in alone if self.few and (n.patience > 0) == (steps == 0)]
            where.update(self.boxes(boxed, ways, conjuncts, steps=steps))
        rest = [n for n in alone if id(n) not in where]
        for node in rest:
            where[id(node)] = self.better(node, ways[id(node)])
        tried = {id(n) for n in alone if n.patience <= 0} | {id(n) for n in rest}
        last = self.evaluate([n for n in alone if id(n) in tried], conjuncts)
        halves: list[Branch] = []
        for node in alone:
            if id(node) in tried and id(node) not in last:
                node.frame = True
                continue
            split = where[id(node)]
            if split is None:
                raise NotCertified("a leaf does not close, and nothing is left to split in it")
            node.refine = {}
            halves.extend(node.cut(split))
        self.splits += len(halves) // 2
        if self.splits > MENDED + self.leaves:
            raise NotCertified(f"{self.splits} more splits were not enough")
        return halves

    def boxes(
        self,
        nodes: list[Branch],
        ways: Mapping[int, Mapping[int, float]],
        conjuncts: tuple[int, ...],
        steps: int,
    ) -> dict[int, Split | None]:
        """Where to cut leaves' boxes for the worst conjunct; with ``steps`` multipliers for it,
        by ascent in all boxes at once."""
        where: dict[int, Split | None] = {}
        size = self.network.input_size
        for c in conjuncts:
            some = [n for n in nodes if min(ways[id(n)], key=lambda k: ways[id(n)][k]) == c]
            states = [n.state[:, :size] for n in some]
            if not some or not self.rows[c] or any((s.sum(0) > 0).any() for s in states):
                continue
            weights = np.array([weights_of(n, (c,), self.rows) for n in some])
            boxes = np.array([s[0] for s in states]), -np.array([s[1] for s in states])
            found = in_boxes(
                self.problem,
                boxes,
                self.problem.conjuncts[c],
                weights=weights,
                steps=steps,
                deadline=self.deadline,
            )
            for node, (leaf, split) in zip(some, found, strict=True):
                where[id(node)] = split
                if steps:
                    node.leaf[c], node.record[c] = leaf, self.records.put(leaf)
        return where

    def bounded(self, alone: list[Branch], ways: Mapping[int, Mapping[int, float]]) -> None:
        """Give up where short numbers are the trouble: regions so small that nothing else is."""
        if not self.judge.bits:
            return
        size = self.network.input_size
        whole = self.claim.box.width.max()
        for node in alone:
            if (-node.state[1, :size] - node.state[0, :size]).max() < 1e-6 * whole:
                least = min(ways[id(node)].values())
                raise NotCertified(f"bounds stay at {least:.3g} in ever smaller regions")

    def recall(self, leaf: Branch, ways: Iterable[int], only_beta: bool = False) -> bool:
        """Use recorded multipliers that are not in use; whether there were any."""
        found = False
        for c in ways:
            given = leaf.leaf.get(c)
            if given is None or leaf.record.get(c, -1) >= 0:
                continue
            if has_beta(given) or (given.alpha and not only_beta):
                digits = STEP_DIGITS if leaf.rounds or leaf.outer else DIGITS
                leaf.record[c], found = self.records.put(given, digits), True
        return found

    def better(self, node: Branch, ways: Mapping[int, float]) -> tuple[int, float] | None:
        """Ascend from scratch in a leaf's own region; where to split it if that fails."""
        frame = node if node.rounds else node.outer
        known = None if frame is None else self.judge.layer_bounds(frame, tuple(ways))
        problem = problem_in(self.problem, node.state, known)
        where = None
        if problem is None:
            return None
        for c in sorted(ways, key=lambda c: ways[c], reverse=True):
            old = node.leaf.get(c)
            weights = None if old is None else old.weights
            tried = improved(
                problem, problem.conjuncts[c], weights, steps=STEPS, deadline=self.deadline
            )
            where = tried.split or where
            if not tried.leaf.empty:
                node.leaf[c] = tried.leaf
                node.record[c] = self.records.put(tried.leaf)
        return where

    def evaluate(self, frames: list[Branch], conjuncts: tuple[int, ...]) -> Failing:
        """By frame (its id): the leaves below it that do not close, with their bounds."""
        if not frames:
            return {}
        return self.judge.failing(frames, conjuncts, self.records.matrix())
