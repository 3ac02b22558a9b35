"""Which actions ``precond debug`` says are of no help."""

from __future__ import annotations

import pytest

from precond.apply.debugging.actions import Act, Action
from precond.apply.debugging.cases import Count
from precond.report.debug.answer import helps


@pytest.mark.parametrize(
    ("act", "errors", "right", "control", "helped"),
    [
        (Act.WATCH, 3, 50, None, True),  # it catches some, at a price that the page tells
        (Act.WATCH, 0, 0, None, False),
        (Act.EDIT, 3, 2, None, True),
        (Act.EDIT, 3, 3, None, False),
        (Act.RETRAIN, 2, 0, 1, True),
        (Act.RETRAIN, 2, 0, 2, False),  # training on without the cause does as much
    ],
)
def test_help_is_more_mended_than_broken(
    act: Act, errors: int, right: int, control: int | None, helped: bool
) -> None:
    other = None if control is None else Count(control, 5, 0, of_right=100)
    assert (
        helps(Action(act=act, effect=Count(errors, 5, right, of_right=100), control=other))
        is helped
    )


def test_what_was_not_measured_on_errors_is_not_said_to_be_useless() -> None:
    assert helps(Action(act=Act.GATHER, like=2.0, usual=9.0))
