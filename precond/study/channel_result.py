"""``ChannelResult``: the channel rules of a run, and how many held-out inputs they explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.basics.counting import how_many, percent
from precond.mine.labels import NO_LABEL
from precond.mine.support import voted
from precond.region.signature import Signatures
from precond.study.channel_precondition import ChannelPrecondition

SURE = 0.97  # the least confidence of the surest rules
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Explained:
    """Of ``inputs`` held-out inputs ``covered`` have the pattern of some of ``rules`` rules, and
    of these ``right`` have what the rules say together."""

    rules: int
    inputs: int
    covered: int
    right: int

    @classmethod
    def of(
        cls, rules: Sequence[ChannelPrecondition], signatures: Signatures, labels: Rows
    ) -> Explained:
        """Counted on the recorded inputs, which have ``labels``."""
        said = voted(rules, signatures)
        covered = said != NO_LABEL
        right = int((said == labels)[covered].sum())
        return cls(len(rules), len(signatures), int(covered.sum()), right=right)

    @property
    def coverage(self) -> float | None:
        return self.covered / self.inputs if self.inputs else None

    @property
    def precision(self) -> float | None:
        return self.right / self.covered if self.covered else None

    @property
    def words(self) -> str:
        """``68.8 % of 1000 held-out predictions at 97.2 % precision``."""
        at = "" if self.precision is None else f" at {percent(self.precision)} precision"
        return f"{percent(self.coverage)} of {self.inputs} held-out predictions{at}"

    def to_json(self) -> dict[str, float | int | None]:
        return {"rules": self.rules, "coverage": self.coverage, "precision": self.precision}


@dataclass(frozen=True)
class ChannelResult:
    """``rules``, and what all of them and the ``surest`` (confidence ``SURE`` or more) explain."""

    rules: tuple[ChannelPrecondition, ...]
    every: Explained
    surest: Explained

    @classmethod
    def of(
        cls, rules: tuple[ChannelPrecondition, ...], signatures: Signatures, labels: Rows
    ) -> ChannelResult:
        """``signatures`` and ``labels`` of the held-out inputs."""
        sure = [rule for rule in rules if rule.confidence >= SURE]
        every, surest = (Explained.of(some, signatures, labels) for some in (rules, sure))
        return cls(rules, every, surest)

    @property
    def proved(self) -> int:
        """Rules proved around every training input that supports them."""
        return sum(rule.near is not None and rule.near.is_proved for rule in self.rules)

    @property
    def silent(self) -> int:
        """Rules in which no channel fires."""
        return sum(rule.pattern.is_silence for rule in self.rules)

    def sentences(self) -> tuple[str, ...]:
        """For people."""
        if not self.rules:
            return ()
        first = f"Rules over channels explain {self.every.words}"
        if self.surest.rules:
            first += (
                f"; the surest {self.surest.rules} of {how_many(len(self.rules), 'rule')} explain "
                f"{percent(self.surest.coverage)} at {percent(self.surest.precision)}"
            )
        radii = {rule.near.radius.words for rule in self.rules if rule.near is not None}
        if radii:
            first += (
                f"; {self.proved} are proved within {radii.pop()} of every training input that "
                "supports them, the rest is counted on data"
            )
        else:
            first += "; they are counted on data, not proved"
        return (f"{first}.",)
