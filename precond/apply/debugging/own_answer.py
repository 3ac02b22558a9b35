"""What is known of one wrong input's own precondition: the precondition, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from precond.mine.input_preconditions.relax import InputPrecondition
from precond.region.box import Box

HALVINGS = 12  # of the radius, at most


@dataclass(frozen=True, eq=False, kw_only=True)
class OwnPrecondition:
    """``precondition`` in the ball of ``radius``; the whole signature, of ``literals``, proves in
    that of radius ``whole`` (``of_range``: shares of each value's range); ``box``, where there is
    one, lies in the precondition's region."""

    radius: float
    precondition: InputPrecondition
    box: Box | None
    literals: int
    whole: float
    of_range: bool = False


@dataclass(frozen=True, kw_only=True)
class Unproved:
    """Why an input has no precondition of its own.

    Radii of the balls that were tried: ``refuted`` ones hold an input with the same signature
    and another class (as larger ones do), ``open`` ones were not decided within their time;
    ``untried`` smaller ones had no time at all.  ``proved``: the whole signature, of ``literals``,
    does prove there, and relaxation left ``left`` of them at best (None: there was no time to free
    one).  ``seconds``: spent on all of it.  ``of_range``: radii are shares of each value's range.
    """

    refuted: tuple[float, ...]
    open: tuple[float, ...]
    untried: int
    proved: float | None
    seconds: float
    left: int | None = None
    literals: int = 0
    of_range: bool = False


NOT_TRIED = Unproved(refuted=(), open=(), untried=HALVINGS + 1, proved=None, seconds=0.0)
