"""Relaxation by units: on small convolutional networks against every pattern there is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from known import affine

from precond.data.datasets import Dataset
from precond.mine.input_preconditions.by_units import UnitSearch
from precond.mine.input_preconditions.relax import InputPrecondition, Method, input_precondition
from precond.mine.input_preconditions.units import Size, units
from precond.network.evaluate import outputs
from precond.network.graph import INPUT, Network
from precond.network.layers import Add, Conv2d, MaxPool2d, Node, ReLU, Reshape
from precond.proof.bounds.pattern_pass import pattern_pass
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.box import Box
from precond.region.literals import Literals
from precond.region.pattern import DecisionPattern
from precond.region.radius import Radius
from precond.region.recording import record
from precond.study.goals import class_goal
from precond.study.radius import RadiusSearch

SHAPE = (2, 4, 4)


def tiny(seed: int) -> Network:
    """A picture of 4×4, two channels of 3×3 filters, max-pool, two classes."""
    rng = np.random.default_rng(seed)
    conv = Conv2d(rng.normal(size=(2, 1, 3, 3)), 0.2 * rng.normal(size=2), padding=(1, 1, 1, 1))
    return Network(
        (
            Node("c", conv, (INPUT,)),
            Node("r", ReLU(), ("c",)),
            Node("p", MaxPool2d((2, 2), (2, 2)), ("r",)),
            Node("f", Reshape((8,)), ("p",)),
            affine("y", rng.normal(size=(2, 8)), 0.1 * rng.normal(size=2), "f"),
        ),
        (1, 4, 4),
    )


def of_units(seed: int, radius: float) -> tuple[Claim, Literals, np.ndarray, InputPrecondition]:
    network = tiny(seed)
    x = np.random.default_rng(seed + 1).uniform(size=16)
    label = int(outputs(network, x[None]).argmax())
    box = Box.ball(x, radius, within=Box.uniform(16, 0.0, 1.0))
    full = DecisionPattern.of_row(record(network, x[None]), 0, network.decision_layers)
    claim = Claim(network, box, full, Property.argmax(label, 2))
    found = input_precondition(network, x, claim.property, box, method=Method.UNITS)
    return claim, Literals.of(network, full), x, found


def bounded(claim: Claim, literals: Literals, kept: np.ndarray) -> bool:
    """Whether linear bounds from scratch prove the pattern."""
    with_pattern = Claim(claim.network, claim.box, literals.pattern(kept), claim.property)
    return pattern_pass(with_pattern.problem).value > 0


@pytest.mark.parametrize(("seed", "radius"), [(20, 0.16), (40, 0.08), (40, 0.2), (147, 0.08)])
def test_it_ends_at_a_minimal_pattern(seed: int, radius: float) -> None:
    """Of all patterns over the literals that the ball leaves open, at most 9, those that prove
    and of which no part does are listed one by one; what the search kept is one of them."""
    claim, literals, x, found = of_units(seed, radius)
    assert found.pattern is not None and len(found.pattern) > 0
    assert found.verdict.status is Status.PROVED and found.minimal and found.size is Size.NEURON
    z = pattern_pass(Claim(claim.network, claim.box, DecisionPattern(), claim.property).problem)
    low, high = (bound[0].numpy() for bound in z.bounds["r"])
    open_ = np.flatnonzero((low < 0) & (high > 0))
    assert len(open_) <= 9
    proving = set()
    for count in range(len(open_) + 1):
        for chosen in itertools.combinations(open_.tolist(), count):
            if not any(set(fewer) <= set(chosen) for fewer in proving):
                kept = np.isin(np.arange(32), chosen)
                if bounded(claim, literals, kept):
                    proving.add(chosen)
    assert tuple(sorted(i for _, i in found.pattern.on | found.pattern.off)) in proving
    assert found.pattern.holds(record(claim.network, x[None]))[0]


@pytest.mark.parametrize(("seed", "radius"), [(20, 0.16), (26, 0.12), (40, 0.2), (127, 0.16)])
def test_no_input_of_the_region_lacks_the_property(seed: int, radius: float) -> None:
    """Of 20,000 inputs of the ball, those with the pattern have the class, corners among them."""
    claim, _, _, found = of_units(seed, radius)
    assert found.pattern is not None
    rng = np.random.default_rng(0)
    points = claim.box.sample(20_000, rng)
    corner = rng.random((10_000, 16)) < 0.5
    points[:10_000] = np.where(corner, claim.box.lower, claim.box.upper)
    inside = points[found.pattern.holds(record(claim.network, points))]
    assert claim.property.holds(outputs(claim.network, inside), inside).all()


def test_a_signature_that_bounds_do_not_prove() -> None:
    """A relu of the sum of four inputs against 0.02: both phases come near it in a large ball."""
    network = Network(
        (
            affine("z", np.ones((1, 4)), [-2.0], INPUT),
            Node("a", ReLU(), ("z",)),
            affine("y", [[1.0], [0.0]], [0.0, 0.02], "a"),
        ),
        (4,),
    )
    inputs = (network, np.full(4, 0.6), Property.argmax(0, 2), Box.uniform(4, 0.0, 1.0))
    found = input_precondition(*inputs, method=Method.UNITS)
    assert found.pattern is None and found.verdict.status is Status.UNKNOWN
    assert found.verdict.reason == "linear bounds of the full signature end at -2.02"


def test_units_by_hand() -> None:
    """Two channels of 4×5 in patches of 4×4: each has a square of 16 and a strip of 4; what is
    not kept is in no unit; a dense layer has one channel and one patch."""
    network = Network(
        (
            Node("c", Conv2d(np.ones((2, 1, 1, 1)), np.zeros(2)), (INPUT,)),
            Node("r", ReLU(), ("c",)),
            Node("f", Reshape((40,)), ("r",)),
            affine("z", np.ones((3, 40)), np.zeros(3), "f"),
            Node("s", ReLU(), ("z",)),
            affine("y", np.ones((2, 3)), np.zeros(2), "s"),
        ),
        (1, 4, 5),
    )
    full = DecisionPattern.of_row(record(network, np.ones((1, 20))), 0, network.decision_layers)
    literals = Literals.of(network, full)
    kept = np.ones(43, dtype=np.bool_)
    kept[[0, 41]] = False

    def sizes(size: Size) -> list[int]:
        return [len(unit) for unit in units(network, literals, kept, size)]

    assert sizes(Size.LAYER) == [39, 2]
    assert sizes(Size.CHANNEL) == [19, 20, 2]
    assert sizes(Size.PATCH) == [15, 4, 16, 4, 2]
    assert sizes(Size.NEURON) == [1] * 41
    strip = units(network, literals, kept, Size.PATCH)[1]
    assert strip.tolist() == [4, 9, 14, 19]


def test_what_was_not_tried_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time runs out when channels are tried for the second time: no layer can be dropped, of
    the channels nothing is claimed."""
    rounds: list[Size] = []
    drop = UnitSearch._drop

    def until(search: UnitSearch, size: Size, *, thorough: bool) -> bool:
        if thorough:
            rounds.append(size)
            if size is Size.CHANNEL:
                return False
        return drop(search, size, thorough=thorough)

    monkeypatch.setattr(UnitSearch, "_drop", until)
    found = of_units(127, 0.16)[3]
    assert found.pattern is not None and found.size is Size.LAYER and not found.minimal
    assert rounds == [Size.LAYER, Size.CHANNEL]
    assert found.unfinished == "no layer can be dropped; time ran out among its channels"


def test_the_radius_is_the_largest_rung_that_proves() -> None:
    """relu(x − 1/2) against 0.02: the ball of 0.55 proves where 0.05 − r > 0.02, so r < 0.03."""
    network = Network(
        (
            affine("z", [[1.0]], [-0.5], INPUT),
            Node("a", ReLU(), ("z",)),
            affine("y", [[1.0], [0.0]], [0.0, 0.02], "a"),
        ),
        (1,),
    )
    inputs = np.full((40, 1), 0.55)
    signatures = record(network, inputs)
    search = RadiusSearch(
        network=network,
        data=Dataset("points", inputs, image_shape=(1, 1)),
        signatures=signatures,
        goal=class_goal(network, signatures),
        deadline=Deadline.after(600.0),
    )
    domain, note = search.run()
    assert domain.radius == Radius(0.02)
    assert note.startswith("radius 0.02: the largest of a ladder")


def test_what_a_dropped_literal_said_of_a_value_is_forgotten_by_all_that_read_it() -> None:
    """z = x on [−1, 1] is read by a ReLU and, past it, by w = −z − 0.05.  With that ReLU on, w is
    negative, and that its own ReLU is off says nothing new; else 0.1 − relu(w) may be −0.85."""
    network = Network(
        (
            affine("z", [[1.0]], [0.0], INPUT),
            Node("a", ReLU(), ("z",)),
            affine("w", [[-1.0]], [-0.05], "z"),
            Node("b", ReLU(), ("w",)),
            Node("sum", Add((0.0, -1.0)), ("a", "b")),
            affine("y", [[1.0], [0.0]], [0.1, 0.02], "sum"),
        ),
        (1,),
    )
    inputs = (network, np.array([0.5]), Property.argmax(0, 2), Box.uniform(1, -1.0, 1.0))
    found = input_precondition(*inputs, method=Method.UNITS)
    assert found.verdict.status is Status.PROVED
    assert found.pattern == DecisionPattern(on=frozenset({("a", 0)}))


def test_the_radius_of_a_table_is_a_share_of_each_columns_range() -> None:
    # Class 0 where x_0 + x_1 / 1000 > 1/4: metres from 0 to 1, millimetres from 0 to 1000.
    # From (0.2, 200) a share r of both ranges takes 2 r of 0.4: r may be 0.05, and not 0.1.
    network = Network(
        (
            affine("z", [[1.0, 0.001]], [0.0], INPUT),
            Node("a", ReLU(), ("z",)),
            affine("y", [[1.0], [0.0]], [0.0, 0.25], "a"),
        ),
        (2,),
    )
    inputs = np.array([[0.2, 200.0]] * 40 + [[0.0, 0.0], [1.0, 1000.0]] * 4)
    signatures = record(network, inputs)
    domain, note = RadiusSearch(
        network=network,
        data=Dataset("table", inputs, natural=(0.0, 1000.0), parts=(np.arange(48), np.arange(1))),
        signatures=signatures,
        goal=class_goal(network, signatures),
        deadline=Deadline.after(600.0),
    ).run()
    assert domain.radius == Radius(0.05, of_range=True)
    assert note.startswith("radius 5 % of each column's range: the largest of a ladder")
    ball = domain.around(inputs[0])
    assert np.allclose([ball.lower, ball.upper], [[0.15, 150.0], [0.25, 250.0]])
    assert domain.box.upper.tolist() == [1.0, 1000.0]
    assert str(domain) == "box of each column within ±5 % of its range around each input"
