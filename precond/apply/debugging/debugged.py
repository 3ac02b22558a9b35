"""What debugging finds: of every wrong input, and of all of them together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.apply.debugging.causes import Cause, Suspect
from precond.apply.debugging.own_precondition import OwnPrecondition, Unproved
from precond.apply.debugging.profiles import Profile
from precond.apply.debugging.rule_book import Counterfactual, RuleBook
from precond.apply.debugging.settings import DebugSettings
from precond.basics.notebook import NotebookPage

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Finding:
    """One wrong input.

    ``rules``: numbers in the book of the predicted class's rules it satisfies, best-supported
    first.  ``nearest``: the fewest flips to a rule of its true class; ``switching``: the fewest
    that change the network's answer to it (None where there is none).  ``own``: its precondition,
    or why it has none.  ``gradients`` (n,):
    for the predicted class rather than the true one.
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


@dataclass(frozen=True, eq=False, kw_only=True)
class Debugged(NotebookPage):
    """All that was found; ``wrong`` are row numbers, held-out ones first, and ``findings`` the
    first of them; fewer where Ctrl-C ended the work (``interrupted``)."""

    book: RuleBook
    labels: Rows
    held_out: Rows
    wrong: Rows
    findings: tuple[Finding, ...]
    causes: tuple[Cause, ...]
    suspects: tuple[Suspect, ...]
    settings: DebugSettings
    seconds: float
    interrupted: bool = False
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Debugged({len(self.wrong)} wrong, {len(self.causes)} causes)"

    @property
    def predicted(self) -> Rows:
        return self.book.signatures.predicted
