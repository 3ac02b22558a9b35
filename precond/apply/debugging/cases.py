"""``Cases``: the errors, and right inputs to compare them with, each in two halves.

Causes are found on one half and checked on the other, so that what is said of the other half
was not fitted to it.  The halves have errors and right inputs, training and held-out ones, in
equal numbers, up to one.  With fewer than four errors there is nothing to check on: all of them
are in the first half.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]
MOST_RIGHT = 5000  # right inputs that errors are compared with
FEWEST = 4  # errors that can be halved


@dataclass(frozen=True)
class Count:
    """Of ``of_errors`` errors so many, and of ``of_right`` right inputs so many."""

    errors: int
    of_errors: int
    right: int
    of_right: int

    @property
    def lift(self) -> float:
        """How many times more common among errors than among right inputs; one right input more
        is counted than there is, so that none at all does not mean infinitely often."""
        if not self.of_errors:
            return 0.0
        return (self.errors / self.of_errors) * (self.of_right + 1) / (self.right + 1)

    @property
    def net(self) -> int:
        """Errors less right inputs: what an edit that mends and breaks so many gains."""
        return self.errors - self.right


@dataclass(frozen=True, eq=False, kw_only=True)
class Cases:
    """``rows`` (M,) of the data, with their ``labels`` and ``predicted`` classes (M,); which are
    in the half that causes are found on (``finding``), and which are ``held_out``."""

    rows: Rows
    labels: Rows
    predicted: Rows
    finding: Flags
    held_out: Flags

    @property
    def wrong(self) -> Flags:
        return np.asarray(self.labels != self.predicted)

    @property
    def checked_held_out(self) -> Flags:
        """Held-out cases that no cause was found on: where actions are measured."""
        return np.asarray(self.held_out & ~self.finding)

    def count(self, inside: Flags, among: Flags) -> Count:
        """Errors and right inputs of ``among`` (M,), and those of them ``inside`` (M,)."""
        wrong, right = self.wrong & among, ~self.wrong & among
        return Count(
            errors=int((inside & wrong).sum()),
            of_errors=int(wrong.sum()),
            right=int((inside & right).sum()),
            of_right=int(right.sum()),
        )

    @classmethod
    def of(cls, labels: Rows, predicted: Rows, held_out: Rows, seed: int) -> Cases:
        """All errors, and ``MOST_RIGHT`` right inputs drawn at random, or all."""
        stream = np.random.default_rng(seed)
        errors, right = np.flatnonzero(labels != predicted), np.flatnonzero(labels == predicted)
        if len(right) > MOST_RIGHT:
            right = np.sort(stream.choice(right, MOST_RIGHT, replace=False))
        rows = np.concatenate([errors, right])
        late = np.isin(rows, held_out)
        finding = np.ones(len(rows), dtype=np.bool_)
        if len(errors) >= FEWEST:
            wrong = np.arange(len(rows)) < len(errors)
            for kind in (wrong, ~wrong):
                order = stream.permutation(np.flatnonzero(kind))
                order = order[np.argsort(late[order], kind="stable")]
                finding[order[1::2]] = False
        return cls(
            rows=rows,
            labels=labels[rows],
            predicted=predicted[rows],
            finding=finding,
            held_out=late,
        )
