"""One wrong input after another: rules that hold, flips, its own precondition, the features that
suffice for it, attributions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from precond.apply.debugging.own_answer import NOT_TRIED, OwnPrecondition, Unproved
from precond.apply.debugging.own_precondition import own_precondition
from precond.apply.debugging.profiles import Profile, comparative_gradients, profiles
from precond.apply.debugging.rule_book import Counterfactual, RuleBook
from precond.apply.debugging.settings import DebugSettings
from precond.apply.debugging.sufficient_part import EACH, sufficient_part
from precond.mine.sufficient_features.sufficient import SufficientFeatures
from precond.mine.sufficient_features.units import Units
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.ledger.ledger import Ledger
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.radius import Radius
from precond.region.value_ranges import ValueRanges

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
EXPLAINING = 0.2  # of the time left, for attributions at most, and as much for profiles
PROVING = 0.9  # of what is left then, for the inputs' own preconditions
FEATURES = 0.15  # of that, for the features that suffice; the first inputs have it


@dataclass(frozen=True, eq=False, kw_only=True)
class Finding:
    """One wrong input.

    ``rules``: numbers in the book of the predicted class's rules it satisfies, best-supported
    first.  ``nearest``: the fewest flips to a rule of its true class; ``switching``: the fewest
    that change the network's answer to it (None where there is none).  ``own``: its precondition,
    or why it has none.  ``sufficient``: features that suffice for its class in the ball of that
    (None: nothing has to stay there, or there was no time to look).  ``gradients`` (n,): for the
    predicted class rather than the true one.
    """

    row: int
    label: int
    predicted: int
    outputs: Array
    rules: tuple[int, ...]
    nearest: Counterfactual | None
    switching: Counterfactual | None
    own: OwnPrecondition | Unproved
    gradients: Array
    profile: Profile | None
    sufficient: SufficientFeatures | None = None


class Examiner:
    """Examines wrong inputs of a book one by one, within the budget of its settings."""

    def __init__(
        self,
        book: RuleBook,
        labels: Rows,
        ranges: ValueRanges,
        settings: DebugSettings,
        ledger: Ledger | None,
        units: Units,
    ) -> None:
        self.book, self.labels, self.ranges, self.units = book, labels, ranges, units
        self.settings, self.ledger = settings, ledger
        self.deadline = Deadline.after(settings.budget)

    def findings(self, rows: Rows, gradients: Array, notes: list[str]) -> Iterator[Finding]:
        """One of ``rows`` after another; ``gradients`` of the first of them, ``notes`` on those
        without a precondition of their own."""
        book, predicted = self.book, self.book.signatures.predicted
        all_rows = len(rows)
        rows = rows[: len(gradients)]
        scores = book.network.classes.scores(np.asarray(book.signatures.outputs[rows]))
        usual, seen = self._profiles(rows)
        if seen is not None:
            notes.append(f"time ran out: what is usual for a class rests on {seen} right inputs")
        satisfied = book.satisfied(rows) & (book.labels[None] == predicted[rows][:, None])
        proving = self.deadline.earlier(PROVING * self.deadline.left)
        describing = FEATURES * proving.left  # seconds for features that suffice
        found, without, late = 0, 0, 0
        for position, row in enumerate(rows.tolist()):
            if position and self.deadline.passed:
                break
            own: OwnPrecondition | Unproved = NOT_TRIED
            if proving.passed:
                late += 1
            else:
                own = self._own(row, budget=proving.left / (len(rows) - position))
            begun = time.monotonic()
            sufficient = self._sufficient(row, own, budget=min(EACH, describing, proving.left))
            describing -= time.monotonic() - begun
            ways = book.counterfactuals(row, int(self.labels[row]))
            found, without = found + 1, without + isinstance(own, Unproved)
            yield Finding(
                row=row,
                label=int(self.labels[row]),
                predicted=int(predicted[row]),
                outputs=scores[position],
                rules=tuple(np.flatnonzero(satisfied[position]).tolist()),
                nearest=ways[0] if ways else None,
                switching=next((way for way in ways if way.changes_answer), None),
                own=own,
                gradients=gradients[position],
                profile=usual[position],
                sufficient=sufficient,
            )
        if found < all_rows:
            notes.append(f"time ran out: {found} of {all_rows} wrong inputs were examined")
        if late:
            notes.append(f"time was over before a precondition of {late} of them was looked for")
        if without > late:
            notes.append(
                f"{without - late} of {found - late} inputs looked at have no precondition of "
                "their own with at most half of their neurons; their pages say why"
            )

    def gradients(self, rows: Rows) -> Array:
        """For the predicted class rather than the true one; fewer rows where time runs out."""
        return comparative_gradients(
            self.book.network,
            inputs=self.book.inputs[rows],
            predicted=self.book.signatures.predicted[rows],
            true=self.labels[rows],
            baseline=self._baseline,
            device=self.settings.device,
            deadline=self.deadline.earlier(EXPLAINING * self.deadline.left),
        )

    def _profiles(self, rows: Rows) -> tuple[list[Profile | None], int | None]:
        book, train = self.book, self.book.train
        predicted = book.signatures.predicted
        return profiles(
            book.network,
            inputs=book.inputs,
            labels=self.labels,
            right=train[predicted[train] == self.labels[train]],
            wrong=rows,
            seed=self.settings.seed,
            deadline=self.deadline.earlier(EXPLAINING * self.deadline.left),
        )

    @property
    def _baseline(self) -> float | Array:
        """What attributions start from: black pixels, or the mean of each column."""
        if not self.ranges.columns:
            return float(self.ranges.box.lower[0])
        rows = self.book.inputs[self.book.train]
        return np.asarray(rows.mean(axis=0, dtype=np.float64))

    @cached_property
    def _within(self) -> Box:
        """The range of each value, and all that the data show."""
        return self.ranges.holding(self.book.inputs).box

    def _sufficient(
        self, row: int, own: OwnPrecondition | Unproved, budget: float
    ) -> SufficientFeatures | None:
        if isinstance(own, Unproved) or budget <= 0:
            return None
        point = np.asarray(self.book.inputs[row], dtype=np.float64)
        radius = Radius(own.radius, own.of_range)
        return sufficient_part(
            self.book.network,
            point,
            own,
            ball=self.ranges.ball(point, radius, within=self._within),
            units=self.units,
            effort=replace(self.settings, budget=budget),
            ledger=self.ledger,
        )

    def _own(self, row: int, budget: float) -> OwnPrecondition | Unproved:
        network, signatures = self.book.network, self.book.signatures
        claim = Claim(
            network,
            box=self._within,
            pattern=DecisionPattern.of_row(signatures, row),
            property=Property.of_class(int(signatures.predicted[row]), network),
        )
        return own_precondition(
            claim,
            point=np.asarray(self.book.inputs[row], dtype=np.float64),
            radius=self.ranges.plain(Radius.of(self.settings.radius)),
            ranges=self.ranges,
            effort=replace(self.settings, budget=budget),
            ledger=self.ledger,
        )
