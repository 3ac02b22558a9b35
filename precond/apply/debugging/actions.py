"""What can be done about a cause, and what it changes, measured on inputs the cause is new to.

Everything is measured on the held-out inputs of the checking half: neither the network nor the
cause has seen them.

    edit      hold a unit in its other state, or set a region of the input to usual values, for
              every input: the cause's own edit, or the one that gains most among its errors of
              the finding half
    watch     doubt every prediction that meets the condition
    relabel   give the doubtful training labels the class they look like, and go on training
    retrain   go on training with the finding half's errors of this cause, repeated until they
              and as many right inputs that share it are a fifth of the examples
    gather    get more inputs like these: how many of the ten training inputs nearest to such an
              error are right and carry its label, and how many they are usually

Going on with the training changes answers by itself, so a control is trained as long without the
examples; what an action gains is what it gains beyond the control.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from precond.apply.adversarial_examples.retrain import trained
from precond.apply.adversarial_examples.settings import Retraining
from precond.apply.debugging.cases import Cases, Count, Flags
from precond.apply.debugging.conditions import DoubtfulLabels, Edit, SwitchedUnit, UsualRegion
from precond.apply.debugging.cover import Covered, PossibleCause
from precond.apply.debugging.doubtful_labels import Suspect
from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.proof.deadline import Deadline

Rows = NDArray[np.int64]
SHARE = 0.2  # of the examples of an epoch
MOST = 5000  # training inputs of an epoch, and those that neighbours are looked for among
NEAREST = 10
USUAL = 200  # right inputs whose neighbours say what is usual
EPOCHS, RATE = 3, 3e-4


class Act(Enum):
    """What is done."""

    EDIT = "edit"
    WATCH = "watch"
    RELABEL = "relabel"
    RETRAIN = "retrain"
    GATHER = "gather"


@dataclass(frozen=True, kw_only=True)
class Action:
    """``edit``: what is edited.  ``effect``: errors mended (or caught) and right predictions
    broken (or doubted); that of the ``control``, where there is one.  ``examples`` used;
    ``seconds`` they took.  ``like`` and ``usual``: of the ten nearest training inputs so many are
    right and of the error's label, and of a right input's so many."""

    act: Act
    edit: Edit | None = None
    effect: Count | None = None
    control: Count | None = None
    examples: int = 0
    seconds: float = 0.0
    like: float | None = None
    usual: float | None = None

    @property
    def gain(self) -> int:
        """Right predictions gained beyond the control; 0 where the action changes none."""
        if self.effect is None or self.act is Act.WATCH:
            return 0
        return self.effect.net - (0 if self.control is None else self.control.net)


@dataclass(eq=False, kw_only=True)
class Workshop:
    """Tries actions.  ``inputs`` (N, n) and ``labels`` (N,) of all rows, ``train`` the rows that
    training goes on with."""

    network: Network
    inputs: NDArray[np.floating]
    labels: Rows
    train: Rows
    cases: Cases
    suspects: tuple[Suspect, ...]
    edits: Sequence[PossibleCause] = ()
    seed: int = 0
    device: str = "cpu"

    def actions(self, covered: Covered, deadline: Deadline) -> tuple[Action, ...]:
        """What was tried in time, in the order of ``Act``."""
        condition, inside = covered.candidate.condition, covered.candidate.inside
        found = [action] if (action := self._edited(covered)) is not None else []
        if not isinstance(condition, DoubtfulLabels | SwitchedUnit | UsualRegion):
            caught = self.cases.count(inside, self.cases.checked_held_out)
            found.append(Action(act=Act.WATCH, effect=caught))
        relabels = isinstance(condition, DoubtfulLabels)
        trains = self._relabelled if relabels else self._retrained
        if not deadline.passed and deadline.left > 1.2 * self._control[1]:
            action = trains(inside)
            found += [] if action is None else [action]
        if not relabels and not deadline.passed:
            found.append(self._gathered(covered.explained))
        return tuple(found)

    @cached_property
    def _base(self) -> Rows:
        """The training rows of an epoch."""
        if len(self.train) <= MOST:
            return self.train
        stream = np.random.default_rng(self.seed)
        return np.asarray(np.sort(stream.choice(self.train, MOST, replace=False)))

    @cached_property
    def _control(self) -> tuple[Count, float]:
        """What training as long does without the examples, and the seconds it takes."""
        started = time.monotonic()
        changed = self._effect(self._base, self.labels[self._base])
        return changed, time.monotonic() - started

    def _effect(self, rows: Rows, labels: Rows) -> Count:
        """Train on ``rows``; errors mended and right predictions broken."""
        settings = Retraining(epochs=EPOCHS, rate=RATE, device=self.device, seed=self.seed)
        inputs = np.asarray(self.inputs[rows], dtype=np.float32)
        network = trained(self.network, inputs, labels, settings=settings)
        cases, at = self.cases, np.flatnonzero(self.cases.checked_held_out)
        y = outputs(network, self.inputs[cases.rows[at]], device=self.device)
        right_now = network.classes.predicted(y) == cases.labels[at]
        changed = np.zeros(len(cases.rows), dtype=np.bool_)
        changed[at] = right_now == cases.wrong[at]
        return cases.count(changed, cases.checked_held_out)

    def _edited(self, covered: Covered) -> Action | None:
        """The cause's own edit, or another's that gains something among its errors."""
        cases, best, most = self.cases, covered.candidate, 0
        if not isinstance(best.condition, SwitchedUnit | UsualRegion):
            own = covered.candidate.inside & cases.wrong
            for edit in self.edits:
                gain = cases.count(edit.inside & (own | ~cases.wrong), cases.finding).net
                if gain > most:
                    best, most = edit, gain
        if not isinstance(best.condition, SwitchedUnit | UsualRegion):
            return None
        effect = cases.count(best.inside, cases.checked_held_out)
        return Action(act=Act.EDIT, edit=best.condition, effect=effect)

    def _retrained(self, inside: Flags) -> Action | None:
        cases = self.cases
        errors = cases.rows[inside & cases.wrong & cases.finding]
        right = cases.rows[inside & ~cases.wrong & cases.finding][: len(errors)]
        examples = np.concatenate([errors, right])
        started = time.monotonic()
        times = max(1, round(SHARE / (1 - SHARE) * len(self._base) / len(examples)))
        rows = np.concatenate([self._base, np.repeat(examples, times)])
        effect = self._effect(rows, self.labels[rows])
        seconds = time.monotonic() - started
        return Action(
            act=Act.RETRAIN,
            effect=effect,
            control=self._control[0],
            examples=len(examples),
            seconds=seconds,
        )

    def _relabelled(self, inside: Flags) -> Action | None:
        doubted = {s.row: s.likely for s in self.suspects}
        rows = [r for r in self.cases.rows[inside].tolist() if r in doubted]
        changed = self.labels.copy()
        changed[rows] = [doubted[r] for r in rows]
        count = int((changed[self._base] != self.labels[self._base]).sum())
        if not count:
            return None
        started = time.monotonic()
        effect = self._effect(self._base, changed[self._base])
        return Action(
            act=Act.RELABEL,
            effect=effect,
            control=self._control[0],
            examples=count,
            seconds=time.monotonic() - started,
        )

    def _gathered(self, explained: Flags) -> Action:
        cases = self.cases
        usual = np.flatnonzero(~cases.wrong & cases.checked_held_out)[:USUAL]
        if not len(usual):
            usual = np.flatnonzero(~cases.wrong)[:USUAL]
        return Action(
            act=Act.GATHER,
            like=self._like(np.flatnonzero(explained)),
            usual=self._like(usual),
        )

    def _like(self, at: Rows) -> float:
        """Of the ten training inputs nearest to each case, the mean number that are right and
        carry its label."""
        cases, own = self.cases, np.asarray(self.inputs[self._base], dtype=np.float64)
        if not len(at):
            return 0.0
        points = np.asarray(self.inputs[cases.rows[at]], dtype=np.float64)
        far = (points**2).sum(1)[:, None] - 2 * points @ own.T + (own**2).sum(1)[None]
        far[cases.rows[at][:, None] == self._base[None]] = np.inf
        near = self._base[np.argsort(far, axis=1, kind="stable")[:, :NEAREST]]
        same = (self.labels[near] == cases.labels[at][:, None]) & self._right[near]
        return float(same.sum(axis=1).mean())

    @cached_property
    def _right(self) -> Flags:
        """Whether each row of the data is predicted right, as far as the cases know."""
        right = np.ones(len(self.labels), dtype=np.bool_)
        right[self.cases.rows[self.cases.wrong]] = False
        return right
