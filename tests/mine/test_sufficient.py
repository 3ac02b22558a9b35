"""The features that suffice, on networks whose smallest sets are known or found by brute force."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from precond.apply import SufficientSettings, Units, sufficient_features
from precond.errors import QueryError
from precond.mine.sufficient_features.asking import Inquiry
from precond.mine.sufficient_features.budgeted import largest_set
from precond.mine.sufficient_features.changes import Changes, shrink
from precond.mine.sufficient_features.contrast import contrastive_set
from precond.mine.sufficient_features.corners import through
from precond.mine.sufficient_features.counting import counting_bound
from precond.mine.sufficient_features.cuts import Way, cut_claim
from precond.mine.sufficient_features.game import Game
from precond.mine.sufficient_features.hitting import fewest_hitting
from precond.mine.sufficient_features.linear import margin_lines
from precond.mine.sufficient_features.minimal import Needed
from precond.mine.sufficient_features.sufficient import feature_question
from precond.mine.sufficient_features.widen import short_number
from precond.network.evaluate import outputs
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node, ReLU
from precond.proof.deadline import Deadline
from precond.proof.replay import replay
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality

SETTINGS = SufficientSettings(budget=60.0, each=10.0)


def dense(*layers: tuple[object, object]) -> Network:
    nodes, source = [], INPUT
    for k, (weight, bias) in enumerate(layers):
        nodes.append(
            Node(f"z{k}", Affine(np.array(weight, float), np.array(bias, float)), (source,))
        )
        source = f"z{k}"
        if k < len(layers) - 1:
            nodes.append(Node(f"a{k}", ReLU(), (source,)))
            source = f"a{k}"
    return Network(tuple(nodes), (np.array(layers[0][0]).shape[1],))


# Of five inputs it reads 1 and 3: class 1 where max(x1, x3) > 1/2.
TWO_OF_FIVE = dense(
    ([[0, 1, 0, -1, 0], [0, 0, 0, 1, 0], [0, 0, 0, -1, 0]], [0, 0, 0]),
    ([[0, 0, 0], [1, 1, -1]], [0.5, 0]),
)


def at_least(count: int, size: int) -> Network:
    """Class 1 where the inputs sum up to more than ``count`` − 1/2."""
    return dense((np.ones((1, size)), [0.0]), ([[0.0], [1.0]], [count - 0.5, 0.0]))


def unit_box(size: int) -> Box:
    return Box.uniform(size, 0.0, 1.0)


def test_one_of_the_two_inputs_that_are_read_is_enough() -> None:
    found = sufficient_features(
        TWO_OF_FIVE, [0.2, 1.0, 0.3, 0.9, 0.4], unit_box(5), settings=SETTINGS
    )
    assert found.size == 1 and found.kept[0] in (1, 3)
    assert found.is_smallest and found.verdict.is_proved and found.verdict.exact
    assert found.needed.why == {found.kept[0]: Needed.VIOLATOR}


def test_both_are_needed_for_the_other_class() -> None:
    found = sufficient_features(
        TWO_OF_FIVE, [0.2, 0.1, 0.3, 0.3, 0.4], unit_box(5), settings=SETTINGS
    )
    assert set(found.kept) == {1, 3} and found.least == 2
    for unit, point in found.needed.violators.items():
        assert set(np.flatnonzero(point != found.question.x)) & {1, 3} == {unit}
        assert replay(found.question.whole, point).counts


def test_an_interval_is_what_is_needed_of_a_kept_feature() -> None:
    found = sufficient_features(
        TWO_OF_FIVE, [0.2, 1.0, 0.3, 0.25, 0.4], unit_box(5), settings=SETTINGS
    )
    assert found.kept == (1,) and found.widened is not None
    box = found.widened.box
    assert 0.5 < box.lower[1] <= 0.75 and box.upper[1] == 1.0
    assert found.widened.verdict.exact


@pytest.mark.parametrize(("count", "size"), [(3, 5), (3, 6), (1, 6)])
def test_a_threshold_needs_as_many_ones(count: int, size: int) -> None:
    found = sufficient_features(
        at_least(count, size), np.ones(size), unit_box(size), settings=SETTINGS
    )
    assert found.size == count == found.least


def concave(size: int, seed: int) -> tuple[Network, np.ndarray, Box]:
    """A network whose score of class 1 is b − Σ relu, an input of class 1, and its ball."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(5, size)), rng.normal(size=5)
    rows = unit_box(size).sample(50, rng)
    sums = np.maximum(rows @ first[0].T + first[1], 0).sum(1)
    network = dense(first, ([[0] * 5, [-1] * 5], [0.0, np.median(sums)]))
    x = rows[np.argsort(sums)[10]]
    return network, x, Box.ball(x, 0.5, unit_box(size))


def suffices(network: Network, x: np.ndarray, reach: Box, kept: tuple[int, ...]) -> bool:
    """By all corners; enough where the margin is concave in what is free, as it is here."""
    free = [i for i in range(x.size) if i not in kept]
    corners = np.tile(x, (2 ** len(free), 1))
    for place, i in enumerate(free):
        bit = (np.arange(len(corners)) >> place) & 1
        corners[:, i] = np.where(bit, reach.upper[i], reach.lower[i])
    label = outputs(network, x[None])[0].argmax()
    return bool((outputs(network, corners).argmax(1) == label).all())


@pytest.mark.parametrize("seed", range(4))
def test_smallest_by_brute_force(seed: int) -> None:
    """The score of class 1 is a sum of −relu: concave, so corners decide."""
    network, x, reach = concave(7, seed)
    size = x.size
    fewest = next(
        k
        for k in range(size + 1)
        if any(suffices(network, x, reach, kept) for kept in combinations(range(size), k))
    )
    found = sufficient_features(network, x, reach, settings=SETTINGS)
    assert found.verdict.is_proved and found.least <= fewest <= found.size
    assert suffices(network, x, reach, found.kept)
    for unit in found.kept:
        rest = tuple(k for k in found.kept if k != unit)
        assert not suffices(network, x, reach, rest) and found.needed.why[unit] is Needed.VIOLATOR
    assert found.least == fewest == found.size


def test_regression_stays_within_t() -> None:
    """y = x0 + x1 / 10 on [0, 1]²: x0 must stay for ± 0.3, x1 need not."""
    network = dense(([[1.0, 0.1]], [0.0]))
    found = sufficient_features(
        network, [0.5, 0.5], unit_box(2), settings=replace(SETTINGS, within=0.3)
    )
    assert found.kept == (0,) and found.least == 1
    wide = sufficient_features(
        network, [0.5, 0.5], unit_box(2), settings=replace(SETTINGS, within=1.0)
    )
    assert wide.kept == () and wide.is_smallest and wide.verdict.is_proved


def test_groups_are_kept_as_one() -> None:
    units = Units.groups({"pair": [0, 1]}, 5)
    found = sufficient_features(
        TWO_OF_FIVE, [0.2, 0.1, 0.3, 0.3, 0.4], unit_box(5), units=units, settings=SETTINGS
    )
    assert set(found.names) == {"pair", "x3"} and found.least == 2


def test_patches_and_superpixels_cover_a_picture() -> None:
    patches = Units.patches((2, 4, 6), 4)
    assert patches.count == 2 and patches.sizes.tolist() == [32, 16]
    picture = np.zeros((8, 8))
    picture[:, 4:] = 1.0
    areas = Units.superpixels(picture.reshape(-1), (8, 8), 4)
    inside = areas.owner.reshape(8, 8)
    assert set(inside[:, :4].ravel()) & set(inside[:, 4:].ravel()) == set()
    with pytest.raises(QueryError, match="group b: expected features of no other group"):
        Units.groups({"a": [0], "b": [0]}, 3)


def test_a_contrastive_set_reaches_the_class_and_no_smaller_one_does() -> None:
    network = at_least(3, 6)
    question = feature_question(network, np.zeros(6), unit_box(6))
    found = contrastive_set(question, 1, Deadline.after(60))
    assert found.point is not None and outputs(network, found.point[None])[0].argmax() == 1
    assert len(found.units) == 3 == found.least
    with pytest.raises(QueryError, match="contrast class"):
        contrastive_set(question, 0, Deadline.after(60))


def test_lines_of_a_box_are_bounds_of_its_subsets() -> None:
    rng = np.random.default_rng(0)
    network = dense(
        (rng.normal(size=(8, 6)), rng.normal(size=8)), (rng.normal(size=(3, 8)), np.zeros(3))
    )
    question = feature_question(network, np.full(6, 0.5), unit_box(6))
    (line,) = margin_lines(question, np.ones((1, 6), bool), steps=5, deadline=Deadline.after(60))
    for _ in range(20):
        free = rng.random(6) < 0.5
        lower, upper = question.ends(free)
        points = Box(lower, upper).sample(500, rng)
        assert (question.margins(points) >= line.room - line.cost[:, free].sum(1) - 1e-9).all()


def test_the_largest_set_of_a_knapsack_by_brute_force() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        cost, room = rng.random((3, 8)), rng.random(3) * 3
        chosen = largest_set(room, cost, np.ones(8, bool))
        best = max(
            len(some)
            for k in range(9)
            for some in combinations(range(8), k)
            if (cost[:, list(some)].sum(1) <= room).all()
        )
        assert (cost[:, chosen].sum(1) <= room).all() and chosen.sum() >= best - 1


def test_the_fewest_that_hit_all() -> None:
    sets = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], dtype=bool)
    found = fewest_hitting(sets, 10.0)
    assert (
        found.bound == 2
        and found.kept is not None
        and found.kept.tolist() == [False, True, False, True]
    )
    assert fewest_hitting(sets[:0], 10.0).bound == 0


def test_a_violator_is_made_small() -> None:
    network = at_least(4, 8)
    question = feature_question(network, np.ones(8), unit_box(8))
    (small,) = shrink(question, np.zeros((1, 8)))
    assert (small != 1).sum() == 5  # three ones are left, which are too few
    pool = Changes(question)
    assert pool.add(small[None]) == 1 and pool.refutes(small == 1)


@pytest.mark.parametrize("seed", range(3))
def test_counting_never_excludes_a_set_that_suffices(seed: int) -> None:
    network, x, reach = concave(6, seed)
    size = x.size
    question = feature_question(network, x, reach)
    inquiry = Inquiry(
        question=question, pool=Changes(question), deadline=Deadline.after(60), each=10.0
    )
    found = counting_bound(inquiry, np.zeros(size, dtype=np.bool_))
    most = max(
        size - k
        for k in range(size + 1)
        if any(suffices(network, x, reach, kept) for kept in combinations(range(size), k))
    )
    assert found.free.sum() <= most <= found.most
    assert found.cut is None or (found.cut.verdict.is_proved and found.cut.size == found.most + 1)


@pytest.mark.parametrize(("count", "size"), [(3, 40), (20, 40), (39, 40)])
def test_counting_is_exact_where_units_are_alike(count: int, size: int) -> None:
    """Some n of N ones must stay, whichever: no hitting set of a few violators says that."""
    question = feature_question(at_least(count, size), np.ones(size), unit_box(size))
    inquiry = Inquiry(
        question=question, pool=Changes(question), deadline=Deadline.after(60), each=10.0
    )
    assert counting_bound(inquiry, np.arange(size) >= count).most == size - count


def two_halves(size: int) -> Network:
    """Class 0 where each half of the inputs sums up to more than a third of its number, less a
    quarter: ahead of class 1 by the first half, of class 2 by the second."""
    half = size // 2
    first = np.repeat([[1.0, 0.0], [0.0, 1.0]], half, axis=1)
    return dense((first, [0.0, 0.0]), ([[0, 0], [-1, 0], [0, -1]], [0.25, half / 3, half / 3]))


def test_a_mix_of_ways_bounds_what_no_single_one_does() -> None:
    """Each half must keep four of its twelve ones: eight of 24; one rival alone says four."""
    question = feature_question(two_halves(24), np.ones(24), unit_box(24))
    inquiry = Inquiry(
        question=question, pool=Changes(question), deadline=Deadline.after(60), each=10.0
    )
    found = counting_bound(inquiry, np.tile(np.arange(12) >= 4, 2))
    assert found.most == 16 and found.cut is not None
    assert "1.flat" in found.cut.claim.network.node


def test_a_game_learns_the_rival_of_each_violator() -> None:
    """Several violators of one rival: each way is about that rival, whatever its place."""
    network = dense(([[1.0, 1.0, 1.0]], [0.0]), ([[1.0], [0.0]], [0.0, 0.5]))
    question = feature_question(network, np.ones(3), unit_box(3))
    violators = np.array([[0.0, 0.0, 0.25], [0.25, 0.0, 0.0], [0.0, 0.25, 0.0]])
    free = np.ones(3, dtype=np.bool_)
    game = Game(question)
    game.learn(through(question, free, violators, row=np.zeros(3, dtype=np.int64)), 3)
    assert {way.row for way in game.ways} == {0}
    assert [way.direction.tolist() for way in game.ways] == [[-1.0, -1.0, -1.0]]


def test_a_property_that_reads_inputs_has_no_claim_about_all_sets() -> None:
    """Of y ≥ x the claim would forget the x."""
    network, x, reach = concave(6, 0)
    question = feature_question(network, x, reach)
    above = Property(((Inequality(((0, 1.0),), 0.0, inputs=((0, -1.0),)),),))
    ways = [Way(reach.lower - x, 0)]
    assert cut_claim(question, ways, 4) is not None
    assert cut_claim(replace(question, property=above), ways, 4) is None


def test_a_claim_about_all_sets_is_as_its_formula_says() -> None:
    """For every set of the size, one of the ways gives a violator: by all sets."""
    network, x, reach = concave(6, 0)
    question = feature_question(network, x, reach)
    rng = np.random.default_rng(0)
    ways = [
        Way(np.where(rng.random(6) < 0.5, reach.lower, reach.upper) - x, 0, share)
        for share in (1.0, 0.5)
    ]
    claim = cut_claim(question, ways, 4)
    assert claim is not None
    for z in rng.random((20, 6)):
        moved = [-question.margins((x + z * way.direction)[None])[0, 0] for way in ways]
        given = claim.property.clauses[0][0].margin(outputs(claim.network, z[None]))[0]
        assert given == pytest.approx(moved[0] + 0.5 * moved[1])
    assert replay(claim, np.zeros(6)).counts is False  # fewer units than the claim is about


def test_bad_questions_get_one_clear_line() -> None:
    tie = dense(([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]))
    with pytest.raises(QueryError, match="one class ahead of all others, got a tie"):
        sufficient_features(tie, [0.5, 0.5], unit_box(2))
    with pytest.raises(QueryError, match=r"feature 0: expected a value of the domain, \[0, 1\]"):
        sufficient_features(tie, [1.5, 0.5], unit_box(2))
    with pytest.raises(QueryError, match="expected 2 finite numbers"):
        sufficient_features(tie, [0.5], unit_box(2))
    with pytest.raises(QueryError, match="within: expected a number above 0"):
        sufficient_features(tie, [0.6, 0.5], unit_box(2), settings=replace(SETTINGS, within=0.0))


def test_a_short_number_lies_between() -> None:
    assert short_number(1.0, 3.14159) == 3.0
    assert short_number(-1.0, -3.14159) == -3.0
    rng = np.random.default_rng(0)
    for near, far in rng.normal(size=(200, 2)):
        assert min(near, far) <= short_number(near, far) <= max(near, far)
