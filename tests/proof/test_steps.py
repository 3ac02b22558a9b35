"""Bounds that a way to fail implies, as a certificate's steps: by hand, in fractions, damaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from certificate_damage import is_false
from certificate_damage_proof import holds, still_follows
from certificate_files import parts, sealed
from multiplier_damage import ILL, PROGRAM_SEEDS, SHARP, by_programs
from scipy.sparse import csr_array
from small_networks import ABSOLUTE, below
from step_damage import ARRAYS, STEP_DAMAGES, STEP_SEEDS, by_steps

from precond.checker.canonical import misfit
from precond.checker.certificate import FRAME, SPLIT, Certificate, Tree, region
from precond.checker.exact import Checker, check
from precond.checker.fast import check_fast
from precond.checker.fast_bounds import FastBounds
from precond.checker.files import read_certificate, write_certificate
from precond.checker.steps import Round, Steps
from precond.checker.steps_in_words import stepped
from precond.checker.tree import NESTED
from precond.errors import DataError
from precond.proof.certificates.certify import statement_of
from precond.proof.claim import Claim
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

pytest.importorskip("highspy")

# |x| over [−1/2, 1]; who fails has |x| ≥ 0.9.
HALF = Claim(ABSOLUTE, Box(np.array([-0.5]), np.array([1.0])), DecisionPattern(), below(0, 0.9))
ON = 0, 3.0  # z0 ≥ …, with weight 3
OFF = 3, 1.5  # z1 ≤ …, with weight 3/2


def one_round(*steps: tuple[int, float]) -> Round:
    """Of bounds and weights, with default multipliers."""
    bound = np.array([bound for bound, _ in steps])
    weights = np.array([[weight] for _, weight in steps])
    return Round(bound, np.full(len(steps), -1), weights)


def bounds_after(*rounds: Round) -> np.ndarray:
    """(checker, low and high, neuron): of |x|'s two pre-activations, by both checkers."""
    statement = statement_of(HALF)
    given = Certificate(
        statement=statement,
        bits=27,
        trees=(),
        records=csr_array((0, 3 * ABSOLUTE.neurons)),
    )
    state, way = region(statement, ABSOLUTE), statement.conjuncts[0]
    slow, fast = Checker(ABSOLUTE, given), FastBounds(ABSOLUTE, given)
    bounds, cells = slow.derive(state), fast.derive(state[:, None])
    for steps in rounds:
        bounds = slow.stepped(bounds, state, steps, way)
        cells = stepped(fast, cells, state[:, None], steps, way)
    x, y = bounds.values["z0"], cells.values["z0"]
    ends = [np.array(x.n * 1.0, float) * 2.0**x.e, y.n[:, 0] * 2.0**y.e]
    return np.array([[low, -negative] for low, negative in ends])


def test_a_failure_implies_a_bound() -> None:
    """relu(x) ≤ (2 x + 1) / 3 and relu(−x) ≤ (1 − x) / 3, so 0.9 ≤ x / 3 + 2 / 3: x ≥ 0.7."""
    for low, high in bounds_after(one_round(ON)):
        assert low == pytest.approx([0.7, -1.0], abs=1e-5) and low[0] <= 0.7
        assert high == pytest.approx([1.0, 0.5])


def test_a_later_round_starts_from_the_earlier_ones() -> None:
    """With relu(x) = x: 0.9 ≤ x + (1 − x) / 3, x ≥ 0.85.  Without: x − 1.5 (x / 3 + 2 / 3 − 0.9) is
    x / 2 + 0.35 ≥ 0.1."""
    for _, high in bounds_after(one_round(ON), one_round(OFF)):
        assert high[1] == pytest.approx(-0.85, abs=1e-5) and high[1] >= -0.85
    for rounds in ((one_round(ON, OFF),), (one_round(OFF), one_round(ON))):
        for low, high in bounds_after(*rounds):
            assert low[0] == pytest.approx(0.7, abs=1e-5)  # it needs no other
            assert high[1] == pytest.approx(-0.1, abs=1e-5)


@pytest.fixture(scope="module")
def proofs() -> list[tuple[Claim, Certificate]]:
    found = [by_steps(seed) for seed in STEP_SEEDS]
    assert all(len(made.steps) for _, made in found)
    assert sum(len(np.unique(made.steps.node)) > 2 for _, made in found) == 2  # one in the other
    assert sum(made.steps.round.max() > 0 for _, made in found) > 5
    return found


def test_proofs_by_tightening_are_certified(
    proofs: list[tuple[Claim, Certificate]], tmp_path: Path
) -> None:
    """By both checkers, and in fractions; as written and read again."""
    for claim, made in proofs:
        write_certificate(made, tmp_path / "proof")
        read = read_certificate(tmp_path / "proof")
        assert check(read, claim.network).valid and check_fast(read, claim.network).valid
        assert holds(read, claim.network)
        for name in ARRAYS:
            assert np.array_equal(getattr(read.steps, name), getattr(made.steps, name))


def test_steps_are_needed(proofs: list[tuple[Claim, Certificate]]) -> None:
    """Without them most of the proofs are none, and nobody says that they are."""
    bare = [(claim, replace(made, steps=Steps.none())) for claim, made in proofs]
    fail = [(c, made) for c, made in bare if still_follows(made, c.network) is False]
    assert len(fail) > len(proofs) / 2
    assert not any(check(m, c.network).valid or check_fast(m, c.network).valid for c, m in fail)


def test_a_tighter_claim_is_not_valid(proofs: list[tuple[Claim, Certificate]]) -> None:
    """The same proof of a bound that a point violates."""
    false = 0
    for claim, made in proofs:
        points = claim.box.sample(500, np.random.default_rng(0))
        (linear,) = made.statement.clauses[0]
        for more in (0.1, 0.5, 1.0):
            changed = replace(linear, bound=linear.bound + more)
            given = replace(made, statement=replace(made.statement, clauses=((changed,),)))
            if is_false(given.statement, claim.network, points):
                false += 1
                assert not check(given, claim.network).valid
                assert not check_fast(given, claim.network).valid
    assert false > len(proofs)


def test_damaged_steps_are_valid_only_where_they_prove(
    proofs: list[tuple[Claim, Certificate]],
) -> None:
    """Fractions say what still follows; where it does not, no checker says so."""
    rng = np.random.default_rng(5)
    seen = dict.fromkeys(STEP_DAMAGES, 0)
    for turn in range(42):
        claim, made = proofs[turn % len(proofs)]
        kind = STEP_DAMAGES[turn % len(STEP_DAMAGES)]
        changed = kind(made, rng)
        if changed is None or not len(changed.steps):
            continue
        assert not misfit(changed, claim.network)
        if still_follows(changed, claim.network) is False:
            seen[kind] += 1
            assert not check(changed, claim.network).valid
            assert not check_fast(changed, claim.network).valid
    assert sum(seen.values()) > 6 and sum(n > 0 for n in seen.values()) >= 4


@pytest.fixture(scope="module")
def narrow() -> list[tuple[Claim, Certificate]]:
    return [by_programs(seed) for seed in PROGRAM_SEEDS[:4]]


def test_proofs_by_programs_have_their_bounds_at_the_root(
    narrow: list[tuple[Claim, Certificate]],
) -> None:
    """All steps are the root's and hold without the way to fail; without them most proofs are
    none."""
    lost = 0
    for claim, made in narrow:
        assert len(made.steps) and not made.steps.node.any() and not made.steps.weights.any()
        assert check(made, claim.network).valid and check_fast(made, claim.network).valid
        assert holds(made, claim.network)
        lost += still_follows(replace(made, steps=Steps.none()), claim.network) is False
    assert lost >= len(narrow) / 2


def test_multipliers_that_matter(narrow: list[tuple[Claim, Certificate]]) -> None:
    """A change either leaves a proof, as fractions say, or no checker calls it valid."""
    rng = np.random.default_rng(6)
    broken = dict.fromkeys(SHARP, 0)
    for turn in range(48):
        claim, made = narrow[turn % len(narrow)]
        kind = SHARP[turn % len(SHARP)] if turn % 8 < 4 else SHARP[(turn // 8) % len(SHARP)]
        changed = kind(made, rng)
        assert changed is not None and not misfit(changed, claim.network)
        if still_follows(changed, claim.network) is False:
            broken[kind] += 1
            assert not check(changed, claim.network).valid
            assert not check_fast(changed, claim.network).valid
    assert all(broken.values())


@pytest.mark.parametrize("kind", ILL)
def test_numbers_that_no_certificate_may_have(
    kind: Callable[..., Certificate | None], narrow: list[tuple[Claim, Certificate]]
) -> None:
    rng = np.random.default_rng(7)
    for claim, made in narrow * 3:
        changed = kind(made, rng)
        assert changed is not None
        for checker in (check, check_fast):
            assert "negative or not finite" in checker(changed, claim.network).where


FORMS = {
    "a step is out of order, or stands twice": {"bound": [0, 0]},
    "a round of steps is missing": {"round": [0, 2]},
    "a step is in a tree that there is not": {"tree": [0, 1]},
    "a step is at a node that derives no bounds": {"node": [0, 7]},
    "a step uses a record or a bound that there is not": {"record": [-1, 0]},
    "a step is of a neuron that there is not": {"bound": [0, 4]},
    "a multiplier is negative or not finite": {"weights": [[1.0], [-1.0]]},
    "the weights do not fit the steps": {"weights": [[1.0, 0.0], [1.0, 0.0]]},
    "steps have arrays of different lengths": {"record": [-1]},
}


def two_steps() -> Certificate:
    """|x| ≤ 1.2 over [−1/2, 1], with two steps that it does not need."""
    claim = replace(HALF, property=below(0, 1.2))
    none = np.zeros(2, np.int64)
    return Certificate(
        statement=statement_of(claim),
        bits=27,
        trees=(
            Tree(
                (0,),
                np.array([FRAME], np.uint8),
                np.array([-1]),
                np.zeros(0),
                np.ones((1, 1)),
                np.full((1, 1), -1),
            ),
        ),
        records=csr_array((0, 3 * ABSOLUTE.neurons)),
        steps=Steps(
            tree=none,
            node=none,
            round=none,
            bound=np.array([0, 3]),
            record=none - 1,
            weights=np.ones((2, 1)),
        ),
    )


def test_the_form_is_right() -> None:
    made = two_steps()
    assert check(made, ABSOLUTE).valid and check_fast(made, ABSOLUTE).valid


@pytest.mark.parametrize("message", FORMS)
def test_steps_of_another_form_are_refused(message: str) -> None:
    made = two_steps()
    changed = {name: np.array(values) for name, values in FORMS[message].items()}
    broken = replace(made, steps=replace(made.steps, **changed))
    for judge in (check, check_fast):
        assert judge(broken, ABSOLUTE).where == message


def test_a_tree_with_steps_closes_one_way_to_fail() -> None:
    """What the one implies need not hold where the other does."""
    two = Property((below(0, 1.2).clauses[0], (Inequality(((0, -1.0),), -1.3),)))
    made = two_steps()
    tree = replace(
        made.trees[0], conjuncts=(0, 1), weights=np.ones((1, 2)), record=np.full((1, 2), -1)
    )
    claim = replace(HALF, property=two)
    broken = replace(made, statement=statement_of(claim), trees=(tree,))
    for judge in (check, check_fast):
        assert judge(broken, ABSOLUTE).where == "a tree with steps closes several ways to fail"


def test_frames_with_steps_lie_in_one_another_up_to_a_limit() -> None:
    for many, fits in ((NESTED, True), (NESTED + 1, False)):
        kind = [SPLIT | FRAME, 0] * (many - 1) + [FRAME]
        node = np.array([2 * k for k in range(many)])
        zero = np.zeros(many, np.int64)
        made = two_steps()
        tree = replace(
            made.trees[0],
            kind=np.array(kind, np.uint8),
            item=np.array([0, -1] * (many - 1) + [-1]),
            at=np.linspace(-0.4, 0.9, many - 1),
            weights=np.ones((many, 1)),
            record=np.full((many, 1), -1),
        )
        steps = Steps(
            tree=zero,
            node=node,
            round=zero,
            bound=zero,
            record=zero - 1,
            weights=np.ones((many, 1)),
        )
        given = replace(made, trees=(tree,), steps=steps)
        assert check(given, ABSOLUTE).valid is check_fast(given, ABSOLUTE).valid is fits


def test_a_file_without_steps_has_no_arrays_for_them(tmp_path: Path) -> None:
    made = two_steps()
    write_certificate(replace(made, steps=Steps.none()), tmp_path / "none")
    assert b"steps" not in (tmp_path / "none").read_bytes()
    write_certificate(made, tmp_path / "two")
    file = parts((tmp_path / "two").read_bytes())
    for name in ARRAYS:
        file.arrays[f"steps.{name}"] = file.arrays[f"steps.{name}"][:0]
    (tmp_path / "empty").write_bytes(sealed(file))
    with pytest.raises(DataError, match="steps do not fit"):
        read_certificate(tmp_path / "empty")
