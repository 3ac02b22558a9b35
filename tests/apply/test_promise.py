"""The promise of a fast path: p-values by counting every outcome, thresholds worked out by hand."""

from __future__ import annotations

import math
from math import comb

import numpy as np
import pytest

from precond.apply.distillation.risk import fewest_rows, least_loss, p_value
from precond.apply.distillation.samples import calibration_count
from precond.apply.distillation.settings import Promise
from precond.apply.distillation.thresholds import (
    NEVER,
    Answers,
    ExitRows,
    Prices,
    choose,
    choose_anyway,
    counted,
    rungs,
)
from precond.errors import QueryError

ROWS = 40


@pytest.mark.parametrize("credit", [False, True])
@pytest.mark.parametrize("loss", [0.1, 0.15])
@pytest.mark.parametrize("apart", [0.15, 0.3, 0.45])
def test_a_loss_above_the_limit_passes_in_at_most_delta(
    credit: bool, loss: float, apart: float
) -> None:
    """Every outcome of 40 rows with its chance: those that pass have 0.1 together at most."""
    lost, won = (apart + loss) / 2, (apart - loss) / 2
    promise = Promise(max_loss=10.0, delta=0.1)
    passed = 0.0
    for b in range(ROWS + 1):
        for c in range(ROWS + 1 - b):
            if p_value(promise, b, c, ROWS, credit=credit) <= promise.delta:
                ways = comb(ROWS, b) * comb(ROWS - b, c)
                passed += ways * lost**b * won**c * (1 - lost - won) ** (ROWS - b - c)
    assert passed <= promise.delta
    assert passed > 0 or credit


def test_p_values_by_hand() -> None:
    """No row of 10 is lost: 0.8¹⁰ if a fifth were; with wins a loss can be made up for."""
    promise = Promise(max_loss=20.0, delta=0.1)
    assert p_value(promise, 0, 0, 10, credit=False) == pytest.approx(0.8**10)
    assert p_value(promise, 0, 9, 10, credit=False) == pytest.approx(0.8**10)
    tight = Promise(max_loss=0.1)
    lost_only = p_value(tight, 20, 25, 10_000, credit=False)
    assert lost_only > 0.99 and p_value(tight, 20, 25, 10_000, credit=True) < 0.1
    assert p_value(tight, 0, 0, 0, credit=False) == 1.0
    assert p_value(Promise(max_loss=0.0), 0, 5, 9, credit=True) == 1.0


def test_rows_that_a_promise_needs() -> None:
    promise = Promise(max_loss=0.1, delta=0.1)
    needed = fewest_rows(promise)
    assert needed == 2302 == math.ceil(math.log(0.1) / math.log(0.999))
    assert p_value(promise, 0, 0, needed, credit=False) <= 0.1
    assert p_value(promise, 0, 0, needed - 1, credit=False) > 0.1
    assert fewest_rows(Promise(max_loss=0.0)) is None
    assert least_loss(needed, 0.1) <= 0.1 < least_loss(needed - 1, 0.1)
    assert calibration_count(1_000, Promise(max_loss=10.0)) == 200  # a fifth
    assert calibration_count(4_000, promise) == 2_400  # three fifths, of 9,208 wanted
    assert calibration_count(60_000, promise) == 12_000


def rows(*exits: tuple[list[float], list[int]], right: list[int] | None = None) -> ExitRows:
    count = len(exits[0][0])
    answers = tuple(
        Answers(np.array(c, np.float32), np.array(r) > 0, np.zeros(count, np.bool_))
        for c, r in exits
    )
    own = np.ones(count, np.bool_) if right is None else np.array(right) > 0
    return ExitRows(answers, own)


def test_the_boldest_rung_that_passes() -> None:
    """100 rows of confidence 100, 99, …, 1, lost from 40 on: b of 100 are within 10 points at
    δ = 0.1 for b ≤ 5 (P(Bin(100, 0.1) ≤ 5) = 0.058, ≤ 6: 0.117), so the 45 surest are answered.
    Confidence is scaled to the rungs' spacing, so that each row falls between two of them."""
    spacing = 40 / 159
    confidence = [spacing * (k + 0.5) for k in range(100, 0, -1)]
    given = rows((confidence, [1] * 40 + [0] * 60))
    prices = Prices((0.0, 1.0), (0.1,))
    promise = Promise(max_loss=10.0, delta=0.1)
    found = choose(given, given, prices, promise)
    assert (found.early, found.lost, found.won) == (45, 5, 0)
    assert found.p_value == pytest.approx(0.0576, abs=1e-4)
    assert found.cost == pytest.approx(0.1 + 0.55)
    assert found.loss == 5.0 and found.coverage == 0.45
    dear = choose(given, given, Prices((0.0, 1.0), (0.5,)), promise)
    assert dear.thresholds == (NEVER,) and dear.early == 0  # saves 0.45 and costs 0.5


def test_thresholds_do_not_depend_on_later_rows() -> None:
    """Rungs are tested until one fails: what would pass after it is not looked at."""
    spacing = 40 / 159
    confidence = [spacing * (k + 0.5) for k in range(100, 0, -1)]
    right = [1] * 10 + [0] * 20 + [1] * 70  # 20 lost, then 70 won back
    own = [1] * 30 + [0] * 70
    given = rows((confidence, right), right=own)
    found = choose(given, given, Prices((0.0, 1.0), (0.01,)), Promise(max_loss=10.0))
    assert found.early <= 16


def test_no_second_ladder_where_calibration_rows_fail_the_first() -> None:
    """The first exit answers 60 rows of 100, the second, which is not worth its time, all of them.
    So tuning rows, on which both are right, say that the first is to be used; of calibration rows
    it loses 20.  The second alone would pass, but it is not tried.  Where tuning rows say that
    both cost more than they save, it is."""
    sure, most, good, bad = [50.0] * 100, [50.0] * 60 + [0.0] * 40, [1] * 100, [0] * 20 + [1] * 80
    tuning = rows((most, good), (sure, good))
    calibration = rows((most, bad), (sure, good))
    promise = Promise(max_loss=10.0, delta=0.1)
    first = Prices((0.0, 0.9, 0.1), (0.1, 0.5))
    assert choose(tuning, calibration, first, promise).early == 0
    assert choose_anyway(tuning, calibration, first, promise).early == 0
    dear = Prices((0.0, 0.5, 0.5), (2.0, 2.0))
    assert choose(tuning, calibration, dear, promise).early == 0
    anyway = choose_anyway(tuning, calibration, dear, promise)
    assert anyway.early == 100 and anyway.cost > 1


def test_counts_by_hand() -> None:
    """The first exit takes rows 0 and 1 (the second of them wrongly), the other takes row 2, which
    the network has wrong; row 3 goes to the end."""
    given = rows(
        ([9.0, 9.0, 1.0, 1.0], [1, 0, 0, 0]),
        ([9.0, 9.0, 9.0, 1.0], [1, 1, 1, 0]),
        right=[1, 1, 0, 1],
    )
    prices = Prices((0.0, 0.3, 0.7), (0.01, 0.02))
    found = counted(given, (5.0, 5.0), prices)
    assert (found.early, found.lost, found.won, found.loss) == (3, 1, 1, 0.0)
    assert found.cost == pytest.approx((4 * 0.01 + 2 * 0.32 + 0.7) / 4)
    assert counted(given, (NEVER, 5.0), prices).lost == 0
    assert counted(given, (NEVER, NEVER), prices).cost == pytest.approx(1.0)


def test_an_exit_that_saves_less_must_be_surer() -> None:
    """The second exit saves half of what the first does: its threshold is log 2 higher."""
    ladder = rungs((0, 1), Prices((0.0, 0.5, 0.5), (0.0, 0.0)))
    first, second = ladder[0]
    assert second - first == pytest.approx(math.log(2))
    assert all(
        a <= b
        for one, two in zip(ladder[1:], ladder, strict=False)
        for a, b in zip(one, two, strict=True)
    )
    assert rungs((1,), Prices((0.0, 0.5, 0.5), (0.0, 0.0)))[0][0] == NEVER
    with pytest.raises(QueryError, match="expected 1 to 3"):
        choose(
            ExitRows((), np.ones(2, np.bool_)),
            ExitRows((), np.ones(2, np.bool_)),
            Prices((1.0,), ()),
            Promise(),
        )
