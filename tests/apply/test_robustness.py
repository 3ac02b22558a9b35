"""Robustness, monotonicity and ranges: balls with answers known by hand, and brute force."""

from __future__ import annotations

import csv
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from known import ABSOLUTE, BUMP, LEAKY, POOLED

from precond import Box, Network, Status
from precond.apply.certification.answers import BallOutcome, Robustness
from precond.apply.certification.batch import margin_bounds, violates
from precond.apply.certification.certify import robustness
from precond.apply.certification.monotone import (
    Monotone,
    monotone_claim,
    prove_monotone,
    two_copies,
)
from precond.apply.certification.settings import RobustnessSettings
from precond.cli import main
from precond.errors import QueryError
from precond.formats.onnx.writer import write_onnx
from precond.network.evaluate import outputs
from precond.network.layers import Affine, Node, ReLU
from precond.proof.deadline import Deadline
from precond.proof.replay import replay
from precond.region.radius import Radius
from precond.region.value_ranges import ValueRanges
from precond.report.robustness import headline

DIGITS = str(Path(__file__).parents[2] / "models" / "digits-mlp.onnx")
LATER = Deadline(float("inf"))


def network_of(sizes: tuple[int, ...], seed: int) -> Network:
    """Random dense ReLU layers."""
    rng = np.random.default_rng(seed)
    nodes, source = [], "input"
    for k, (before, after) in enumerate(pairwise(sizes)):
        layer = Affine(
            rng.normal(size=(after, before)) / np.sqrt(before), rng.normal(size=after) / 4
        )
        nodes.append(Node(f"z{k}", layer, (source,)))
        source = f"z{k}"
        if k < len(sizes) - 2:
            nodes.append(Node(f"a{k}", ReLU(), (source,)))
            source = f"a{k}"
    return Network(tuple(nodes), (sizes[0],), f"random {sizes}")


# y = (x, 0.25): class 0 for x > 0.25, class 1 below.
STEP = Network(
    (
        Node("z", Affine(np.array([[1.0]]), np.zeros(1)), ("input",)),
        Node("a", ReLU(), ("z",)),
        Node("y", Affine(np.array([[1.0], [0.0]]), np.array([0.0, 0.25])), ("a",)),
    ),
    (1,),
)


def balls(*radii: float, natural: tuple[float, float] | None = None) -> RobustnessSettings:
    return RobustnessSettings(radii=radii, natural=natural, budget=600.0)


def test_balls_of_a_step_are_certified_up_to_the_border_and_attacked_beyond() -> None:
    inputs = np.array([[0.5], [0.125], [0.875]])  # 1/4, 1/8 and 5/8 away from the border
    found = robustness(STEP, inputs, balls(0.5, 0.0625, 0.1875))
    assert [radius.size for radius in found.radii] == [0.0625, 0.1875, 0.5]
    assert found.classes.tolist() == [0, 1, 0]
    words = [[ball.outcome for ball in line] for line in found.balls]
    ok, no = BallOutcome.CERTIFIED, BallOutcome.ATTACKED
    assert words == [[ok, ok, ok], [ok, no, ok], [no, no, ok]]
    witness = found.balls[2][0].witness
    assert witness is not None and 0.0 <= witness[0] < 0.25
    assert found.count(1, BallOutcome.CERTIFIED) == 2 and found.engines(0).total() == 3


def test_wrong_inputs_are_counted_apart_and_balls_are_cut_to_the_natural_range() -> None:
    labels = np.array([1, 1])
    found = robustness(
        STEP, np.array([[0.5], [0.125]]), balls(0.2, natural=(0.0, 0.25)), labels=labels
    )
    # Row 0 is a 0; row 1's ball would reach 0.325, but values above 0.5 (row 0's) are cut there
    # and those above 0.25 are not: the range is widened to hold the inputs themselves.
    assert [ball.outcome for ball in found.balls[0]] == [BallOutcome.WRONG, BallOutcome.ATTACKED]
    alone = robustness(STEP, np.array([[0.125]]), balls(0.2, natural=(0.0, 0.125)))
    assert alone.balls[0][0].outcome is BallOutcome.CERTIFIED


def grid(centre: np.ndarray, radius: float, steps: int = 41) -> np.ndarray:
    axis = np.linspace(-radius, radius, steps)
    return centre + np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


@pytest.fixture(scope="module")
def plane() -> tuple[Network, np.ndarray, Robustness]:
    network = network_of((2, 12, 8, 3), 4)
    inputs = np.random.default_rng(1).uniform(-1, 1, (25, 2))
    return network, inputs, robustness(network, inputs, balls(0.05, 0.2, 0.5))


def test_answers_agree_with_a_grid_over_every_ball(
    plane: tuple[Network, np.ndarray, Robustness],
) -> None:
    network, inputs, found = plane
    seen = {outcome: 0 for outcome in BallOutcome}
    for radius, line in zip(found.radii, found.balls, strict=True):
        for centre, own, ball in zip(inputs, found.classes, line, strict=True):
            others = outputs(network, grid(centre, radius.size)).argmax(axis=1) != own
            seen[ball.outcome] += 1
            if ball.outcome is BallOutcome.CERTIFIED:
                assert not others.any()
            else:
                assert ball.witness is not None
                assert np.abs(ball.witness - centre).max() <= radius.size + 1e-12
                assert outputs(network, ball.witness[None]).argmax() != own
    assert seen[BallOutcome.CERTIFIED] > 10 and seen[BallOutcome.ATTACKED] > 10
    assert seen[BallOutcome.UNKNOWN] == 0  # so small a network is always decided


def test_an_answer_holds_at_the_radii_it_implies(
    plane: tuple[Network, np.ndarray, Robustness],
) -> None:
    rank = {BallOutcome.CERTIFIED: 0, BallOutcome.UNKNOWN: 1, BallOutcome.ATTACKED: 2}
    for column in zip(*plane[2].balls, strict=True):
        ranks = [rank[ball.outcome] for ball in column]
        assert ranks == sorted(ranks)


@pytest.mark.parametrize("steps", [0, 10])
def test_margin_bounds_lie_below_every_sampled_margin(steps: int) -> None:
    network = network_of((6, 20, 20, 4), 0)
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (40, 6))
    own = outputs(network, points).argmax(axis=1)
    lower, upper = points - 0.1, points + 0.1
    bounds = margin_bounds(network, lower, upper, own, steps=steps, deadline=LATER)
    for k in range(len(points)):
        y = outputs(network, Box(lower[k], upper[k]).sample(300, rng))
        margin = y[:, own[k]] - np.delete(y, own[k], axis=1).max(axis=1)
        assert bounds[k] <= margin.min()
    plain = margin_bounds(network, lower, upper, own, deadline=LATER)
    assert (bounds >= plain - 1e-9).all() and (plain > 0).any()


def test_margin_of_an_affine_network_is_exact() -> None:
    affine = Network((Node("y", Affine(np.array([[2.0], [1.0]]), np.zeros(2)), ("input",)),), (1,))
    low, high = np.array([[1.0]]), np.array([[3.0]])
    (bound,) = margin_bounds(affine, low, high, np.array([0]), deadline=LATER)  # 2x − x on [1, 3]
    assert 1.0 - 1e-9 < bound <= 1.0


def test_a_tie_is_no_violation() -> None:
    surely, small = violates(STEP, np.array([[0.25], [0.25 - 2**-10]]), np.array([0, 0]))
    assert surely.tolist() == [False, True] and small.tolist() == [False, True]


@pytest.mark.parametrize(
    ("network", "property", "box", "status"),
    [
        (ABSOLUTE, Monotone(0), (0.25, 2.0), Status.PROVED),
        (ABSOLUTE, Monotone(0), (-1.0, 2.0), Status.REFUTED),
        (ABSOLUTE, Monotone(0, rising=False), (-2.0, -0.5), Status.PROVED),
        (LEAKY, Monotone(0), (-4.0, 4.0), Status.PROVED),  # slope 1/4 below 0
        (LEAKY, Monotone(0, rising=False), (-4.0, 4.0), Status.REFUTED),
        (BUMP, Monotone(0), (-1.0, 0.875), Status.PROVED),  # flat, then rising
        (BUMP, Monotone(0, rising=False), (-1.0, -0.125), Status.PROVED),
        (BUMP, Monotone(0), (-1.0, 1.25), Status.REFUTED),
    ],
)
def test_monotonicity_known_by_hand(
    network: Network, property: Monotone, box: tuple[float, float], status: Status
) -> None:
    region = Box.uniform(1, *box)
    verdict = prove_monotone(network, property, region, budget=600.0)
    assert verdict.status is status
    if status is Status.REFUTED:
        assert verdict.witness is not None
        x, d = verdict.witness
        assert d > 0 and box[0] <= x and x + d <= box[1]
        first, second = outputs(network, np.array([[x], [x + d]]))[:, 0]
        assert (second < first) if property.rising else (second > first)
        assert replay(monotone_claim(network, property, region), verdict.witness).counts


def test_a_max_pool_rises_with_each_of_its_inputs() -> None:
    for i in range(4):
        verdict = prove_monotone(POOLED, Monotone(i), Box.uniform(4, 0.0, 1.0), budget=600.0)
        assert verdict.status is Status.PROVED and verdict.bound == 0.0


@pytest.mark.parametrize("seed", range(6))
def test_monotonicity_agrees_with_differences_on_a_grid(seed: int) -> None:
    network = network_of((2, 6, 5, 1), seed)
    box = Box.uniform(2, -0.5, 0.5)
    verdict = prove_monotone(network, Monotone(0), box, budget=600.0)
    points = grid(np.zeros(2), 0.5, 61).reshape(61, 61, 2)  # the first axis varies along columns
    y = outputs(network, points.reshape(-1, 2)).reshape(61, 61)
    falls = bool((np.diff(y, axis=1) < -1e-12).any())
    assert verdict.status is (Status.REFUTED if falls else Status.PROVED)


def test_two_copies_is_the_difference() -> None:
    network = network_of((3, 8, 2), 2)
    rng = np.random.default_rng(0)
    x, d = rng.normal(size=(20, 3)), rng.uniform(size=20)
    moved = x.copy()
    moved[:, 1] += d
    expected = outputs(network, moved) - outputs(network, x)
    found = outputs(two_copies(network, 1), np.hstack([x, d[:, None]]))
    assert np.allclose(found, expected, atol=1e-12)
    pooled = outputs(two_copies(POOLED, 2), np.array([[0.5, 0.0, 0.25, 0.75, 0.75]]))
    assert pooled.tolist() == [[0.5]]  # 2·max(0.5, 0, 1, 0.75) − 1 less 2·0.75 − 1


def test_command_counts_and_writes_every_ball(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["robustness", DIGITS, "--inputs", "digits", "--radius", "0.01", "0.2", "--most"]
    assert main([*arguments, "40", "--budget", "600", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    with (tmp_path / "robustness.csv").open(newline="", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == 80
    for radius in ("0.01", "0.2"):
        own = [line["outcome"] for line in lines if line["radius"] == radius]
        line = next(text for text in said.splitlines() if text.startswith(f"radius {radius} "))
        for word, number in re.findall(r"(\d+) (\w+)", line.partition(radius)[2]):
            assert own.count(number) == int(word)
    assert own.count("attacked") > 30
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<script" not in page and 'class="certified"' in page


def test_command_answers_properties_of_the_outputs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data = tmp_path / "abs.onnx", tmp_path / "x.npy"
    write_onnx(ABSOLUTE, model)
    np.save(data, np.array([[-1.0], [2.0]], np.float32))
    arguments = ["robustness", str(model), "--inputs", str(data), "--range", "0:0:2"]
    arguments += ["--range", "0:0:1.5", "--monotone", "0:up", "--budget", "600"]
    out = tmp_path / "out"
    assert main([*arguments, "--out", str(out)]) == 0
    first, second, witness, third, rise, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("0 ≤ y0 ≤ 2 ") and " proved " in first
    assert " refuted " in second and witness.startswith("  x = ") and "gives y = (" in witness
    assert " refuted " in third and "takes y0 from" in rise
    assert "never falls" in (out / "properties.csv").read_text(encoding="utf-8")
    with pytest.raises(QueryError, match="monotone input: expected 0 to 0, got 3"):
        monotone_claim(ABSOLUTE, Monotone(3), Box.uniform(1, 0.0, 1.0))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--monotone", "0:sideways"], "--monotone: expected I:up or I:down"),
        (["--monotone", "64:up"], "monotone input: expected 0 to 63, got 64"),
        (["--range", "0:2:1"], "--range: expected K:LO:HI"),
        (["--range", "0:0:1", "--domain", "ball:0.1"], "--domain: expected data, unit or LO:HI"),
        (["--labels", "missing.npy"], "missing.npy"),
    ],
)
def test_bad_input_is_said_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    out = tmp_path / "out"
    arguments = ["robustness", DIGITS, "--inputs", "digits", "--out", str(out), *options]
    assert main(arguments) == 2
    assert says in capsys.readouterr().err
    assert not out.exists()


def test_errors_of_the_library() -> None:
    with pytest.raises(QueryError, match="radius: expected a number above 0, or a share"):
        robustness(STEP, np.zeros((1, 1)), balls(0.0))
    share = RobustnessSettings(radii=(Radius(0.05, of_range=True),))
    with pytest.raises(QueryError, match="expected numbers where no ranges are given"):
        robustness(STEP, np.zeros((1, 1)), share)
    mixed = RobustnessSettings(radii=(Radius(0.05, of_range=True), 0.1), natural=(0.0, 1.0))
    with pytest.raises(QueryError, match=r"all numbers or all shares, got 5 %, 0\.1"):
        robustness(STEP, np.zeros((1, 1)), mixed)


def test_a_share_of_each_column_is_certified_where_no_one_number_would_be() -> None:
    # y = x_0 + x_1 / 1000 > 1: columns of metres and of millimetres, 0 … 1 and 0 … 1000.
    network = Network(
        (
            Node("z", Affine(np.array([[1.0, 0.001]]), np.zeros(1)), ("input",)),
            Node("a", ReLU(), ("z",)),
            Node("y", Affine(np.array([[-1.0], [1.0]]), np.array([1.0, -1.0])), ("a",)),
        ),
        (2,),
    )
    table = np.array([[0.0, 0.0], [1.0, 1000.0], [0.6, 800.0]])
    ranges = ValueRanges(Box.around(table), np.array([1.0, 1000.0]), columns=True)
    # At (0.6, 800) the sum is 1.4, which 15 % of each column lowers to 1.1, and 25 % to 0.9.
    shares = tuple(Radius(share, of_range=True) for share in (0.15, 0.25))
    settings = RobustnessSettings(radii=shares, natural=ranges, budget=600.0)
    found = robustness(network, table, settings, rows=np.array([2]))
    assert found.radii == shares
    outcomes = [line[0].outcome for line in found.balls]
    assert outcomes == [BallOutcome.CERTIFIED, BallOutcome.ATTACKED]
    witness = found.balls[1][0].witness
    assert witness is not None and (np.abs(witness - table[2]) <= [0.25, 250.0]).all()
    assert headline(found) == (
        "For 1 of 1 inputs it is proved that no change of each column by at most 15 % of its range "
        "changes the class."
    )
