"""``Status``: what is known of a claim."""

from __future__ import annotations

from enum import Enum


class Status(Enum):
    """What is known of a claim; the value is the word used in files and reports."""

    PROVED = "proved"
    """Every input of the region has the property."""
    REFUTED = "refuted"
    """A witness replays: in the region, without the property."""
    UNKNOWN = "unknown"
    """No engine answered in the budget; a larger one may."""
    VACUOUS = "vacuous"
    """No input of the box satisfies the pattern: true, but it says nothing."""
    EMPIRICAL = "empirical"
    """Not a claim that can be proved (or none was tried): counted on data only."""

    @property
    def holds(self) -> bool:
        """Whether the claim is true: proved, or of no input at all."""
        return self in (Status.PROVED, Status.VACUOUS)
