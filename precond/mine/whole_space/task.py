"""``PatternTask``: what a search for patterns over a whole domain is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from precond.mine.whole_space.settings import Search
from precond.proof.ledger.ledger import Ledger
from precond.proof.restate.tail import Tail
from precond.property import Property


def silent(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, eq=False)
class PatternTask:
    """Patterns over the layers of ``tail`` that imply ``property``, sought as ``search`` says;
    ``note`` is told what happens, and ``ledger`` remembers the proofs."""

    tail: Tail
    property: Property
    search: Search
    note: Callable[[str], None] = silent
    ledger: Ledger | None = None
