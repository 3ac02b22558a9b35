"""Fast paths: answers equal to the network's where they must be, thresholds worked out by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from known import ABSOLUTE, phases

from precond.apply.distillation.automatic_places import automatic_readings
from precond.apply.distillation.learn import (
    augmented,
    distill,
    prove_only,
    sample_of,
)
from precond.apply.distillation.path import FastPath, checkpoints, load_fast_path, save_fast_path
from precond.apply.distillation.proved_rules import ProvedRules
from precond.apply.distillation.reading import Probe, Reading
from precond.apply.distillation.table import Plain, Samples, TradeOffRow, TradeOffTable, trade_off
from precond.apply.distillation.thresholds import NEVER, Answers, choose, exit_curve
from precond.apply.distillation.training import learned_exit, quantiles
from precond.apply.distillation.votes import Training, VoteExit
from precond.apply.distillation.write_onnx import write_stages
from precond.cli import main
from precond.errors import DataError, QueryError
from precond.formats.load import load
from precond.network.evaluate import values_at
from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Add,
    Affine,
    Concat,
    Conv2d,
    LeakyReLU,
    MaxPool2d,
    Node,
    ReLU,
    Reshape,
    Scale,
    Select,
    Sum,
)
from precond.network.module import NetworkSegment
from precond.network.parts import is_cut
from precond.proof.claim import Claim
from precond.proof.precondition import Kind, Precondition, Support
from precond.proof.prover.prove import prove
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.recording import record
from precond.report.distill import headline

MODEL = Path(__file__).parents[2] / "models" / "digits-mlp.onnx"
RNG = np.random.default_rng(0)


def random(*shape: int) -> np.ndarray:
    """Normal numbers that float32 holds."""
    return RNG.normal(size=shape).astype(np.float32)


def conv(name: str, source: str, out: int, into: int, **options: Any) -> Node:
    layer = Conv2d(random(out, into, 3, 3) / 2, random(out), **options)
    return Node(name, layer, (source,))


def dense(name: str, source: str, out: int, into: int) -> Node:
    return Node(name, Affine(random(out, into), random(out)), (source,))


# Every kind of layer, uneven padding among it.
EVERY = Network(
    (
        conv("c1", INPUT, 4, 1, padding=(1, 0, 2, 1)),
        Node("r1", ReLU(), ("c1",)),
        Node("p1", MaxPool2d((3, 3), (2, 2), (1, 1, 1, 1)), ("r1",)),
        Node("s1", Scale(np.full((4, 1, 1), 0.5), np.full((4, 1, 1), 0.25)), ("p1",)),
        conv("c2", "s1", 4, 2, padding=(1, 1, 1, 1), groups=2),
        Node("r2", LeakyReLU(0.125), ("c2",)),
        Node("sum", Add((1.0, -0.5)), ("s1", "r2")),
        Node("cat", Concat(0), ("sum", "r2")),
        Node("p2", MaxPool2d((2, 2), (2, 2)), ("cat",)),
        Node("mean", Sum((1, 2), False, 0.25), ("p2",)),
        Node("pick", Select(np.array([0, -1, 5, 2, 7]), (5,), 1.5), ("mean",)),
        Node("flat", Reshape((5,)), ("pick",)),
        dense("y", "flat", 3, 5),
    ),
    (1, 10, 9),
    origin="every kind",
)


def test_stages_compute_what_the_network_does() -> None:
    x = RNG.normal(size=(7, 1, 10, 9))
    names = [node.name for node in EVERY.nodes]
    found = NetworkSegment(EVERY, INPUT, names, torch.float64)(torch.as_tensor(x))
    for name, value in zip(names, found, strict=True):
        np.testing.assert_allclose(
            value.flatten(1).numpy(), values_at(EVERY, x, name), rtol=0, atol=1e-12
        )


def test_cuts() -> None:
    cuts = [node.name for node in EVERY.nodes if is_cut(EVERY, node.name)]
    assert cuts == ["c1", "r1", "p1", "s1", "cat", "p2", "mean", "pick", "flat", "y"]
    with pytest.raises(QueryError, match="values that pass it by"):
        NetworkSegment(EVERY, "c2", ["y"])


@pytest.mark.parametrize(("layer", "step"), [("r1", 2), ("r1", 3), ("r2", 2), ("r1", 1)])
def test_a_reading_is_part_of_the_layer(layer: str, step: int) -> None:
    reading = Reading(layer, step)
    x = RNG.normal(size=(5, 1, 10, 9)).astype(np.float32)
    (value,) = NetworkSegment(EVERY, INPUT, [reading.cut(EVERY)])(torch.as_tensor(x))
    found = Probe(EVERY, reading)(value)
    whole = values_at(EVERY, x, EVERY.pre_activation(layer))
    np.testing.assert_allclose(found.numpy(), whole[:, reading.neurons(EVERY)], atol=1e-5)


def test_readings_are_checked() -> None:
    with pytest.raises(QueryError, match="step 0"):
        Reading("r1", 0).check(EVERY)
    assert Reading.parse("a:b:2") == Reading("a:b", 2)
    assert Reading.parse("a:b") == Reading("a:b")
    assert automatic_readings(EVERY)[0] == Reading("r1", 2)


def answers(
    confidence: list[float], right: list[int], answered: list[int] | None = None
) -> Answers:
    before = [0] * len(right) if answered is None else answered
    return Answers(np.array(confidence, np.float32), np.array(right) > 0, np.array(before) > 0)


def test_thresholds_by_hand() -> None:
    """Five inputs, all right by the network; the exit is wrong on the least sure two, so without
    any loss it answers three; the exit costs 0.1 and the rest 1."""
    exit = answers([0.9, 0.8, 0.7, 0.6, 0.5], [1, 1, 1, 0, 0])
    own = np.ones(5, dtype=bool)
    found = choose([exit], own, [0.0, 1.0], [0.1], 0.0)
    assert found.thresholds == pytest.approx((0.7,))
    assert (found.coverage, found.lost, found.won) == (0.6, 0, 0)
    assert found.cost == pytest.approx(0.1 + 2 / 5)
    # One lost of five is 20 points, and two standard errors of √1/5 are 40 more.
    assert choose([exit], own, [0.0, 1.0], [0.1], 59.9).lost == 0
    assert choose([exit], own, [0.0, 1.0], [0.1], 60.1).lost == 1
    assert choose([exit], own, [0.0, 1.0], [2.0], 100.0).thresholds == (NEVER,)  # costs too much


def test_wins_make_up_for_losses() -> None:
    """The network is wrong on two inputs the exit has right: 1 lost − 2 won + 2√3 ≤ 2.47."""
    exit = answers([0.9, 0.9, 0.9, 0.9], [1, 1, 0, 1])
    own = np.array([False, False, True, True])
    found = choose([exit], own, [0.0, 1.0], [0.1], 100 * 2.47 / 4)
    assert (found.coverage, found.lost, found.won, found.loss) == (1.0, 1, 2, -25.0)
    assert choose([exit], own, [0.0, 1.0], [0.1], 100 * 2.46 / 4).thresholds == (NEVER,)


def test_two_exits_share_the_loss_and_proved_answers_are_left_alone() -> None:
    first = answers([0.9, 0.1, 0.1, 0.9], [1, 0, 0, 0], [0, 0, 0, 1])
    second = answers([0.9, 0.9, 0.1, 0.9], [1, 1, 0, 0], [0, 0, 0, 1])
    found = choose([first, second], np.ones(4, bool), [0.0, 0.3, 1.0], [0.01, 0.01], 0.0)
    assert found.thresholds == pytest.approx((0.9, 0.9))
    assert (found.lost, found.coverage) == (0, 0.5)
    assert found.cost == pytest.approx((3 * 0.01 + 2 * 0.31 + 1.0) / 4)
    with pytest.raises(QueryError, match="expected 1 to 3"):
        choose([first] * 4, np.ones(4, bool), [0.0] * 5, [0.0] * 4, 0.0)


def test_levels_are_quantiles_of_channels_by_hand() -> None:
    """Channel 0 has the values 0..7 over two inputs, channel 1 four times −1 and four times 3."""
    values = torch.tensor([[0.0, 2, 4, 6, -1, -1, -1, -1], [1, 3, 5, 7, 3, 3, 3, 3]])
    assert quantiles(values, (2, 2, 2), 1).tolist() == [[3.5] * 4 + [1.0] * 4]
    assert quantiles(values[:, :4], (4,), 1).tolist() == [[0.5, 2.5, 4.5, 6.5]]
    assert quantiles(values, (2, 2, 2), 3)[:, 0].tolist() == [1.75, 3.5, 5.25]


@pytest.mark.parametrize(("step", "levels"), [(1, 1), (2, 1), (2, 2)])
def test_decisions_and_votes_by_the_formula(step: int, levels: int) -> None:
    network = halves()
    given = sample_of(network, *pictures(50, 9))
    exit = learned_exit(
        network, Reading("r", step), given, Training(rules=4, rows=2000, levels=levels)
    )
    z = values_at(network, given.inputs.numpy(), "c")[:, exit.reading.neurons(network)]
    t = exit.levels.numpy()
    (value,) = NetworkSegment(network, INPUT, [exit.cut])(given.inputs)
    before = value.clone()
    d = exit.bits(value).numpy()
    assert torch.equal(value, before)  # the network goes on from it
    clear = np.abs(z[:, None] - t) > 1e-5
    assert (
        clear.mean() > 0.99 and (d == (z[:, None] > t).reshape(50, -1))[clear.reshape(50, -1)].all()
    )
    rules, votes = exit.vote.rules, exit.vote.votes
    fired = d @ rules.weight.numpy().T + rules.bias.numpy() > 0
    scores = fired @ votes.weight.numpy().T + votes.bias.numpy()
    label, confidence = exit.judge(value)
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    np.testing.assert_allclose(confidence.numpy(), shares.max(1), rtol=1e-4)
    assert (label.numpy() == scores.argmax(1)).all()


# A picture network whose class is which half of an 8×8 picture is brighter.
def halves() -> Network:
    left = np.where(np.arange(64).reshape(8, 8) % 8 < 4, 1.0, -1.0).reshape(-1)
    kernel = np.zeros((2, 1, 3, 3))
    kernel[0, 0, 1, 1], kernel[1, 0, 1, 1] = 1.0, -1.0
    score = np.concatenate([left, -left]) * 2
    return Network(
        (
            Node("c", Conv2d(kernel, np.array([-0.5, 0.5]), padding=(1, 1, 1, 1)), (INPUT,)),
            Node("r", ReLU(), ("c",)),
            conv("c2", "r", 32, 2, padding=(1, 1, 1, 1)),
            Node("r2", ReLU(), ("c2",)),
            Node("zero", Scale(np.zeros((32, 1, 1)), np.zeros((32, 1, 1))), ("r2",)),
            Node("part", Select(np.arange(128), (2, 8, 8)), ("zero",)),
            Node("both", Add((1.0, 1.0)), ("r", "part")),
            Node("flat", Reshape((128,)), ("both",)),
            Node("y", Affine(np.stack([score, -score]), np.zeros(2)), ("flat",)),
        ),
        (1, 8, 8),
        origin="halves",
    )


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    x = rng.uniform(0, 0.6, size=(count, 1, 8, 8))
    x[labels == 0, :, :, :4] += 0.3
    x[labels == 1, :, :, 4:] += 0.3
    return x.astype(np.float32), labels


QUICK = Training(rules=8, rows=20_000)


def made() -> tuple[Network, FastPath, np.ndarray, np.ndarray]:
    """A fast path of ``halves`` with one vote exit that answers when it is 75 % sure."""
    network = halves()
    fit = sample_of(network, *pictures(600, 1))
    exit = learned_exit(network, Reading("r", 2), fit, QUICK)
    exit.threshold = torch.tensor(0.75)
    x, labels = pictures(500, 2)
    return network, FastPath(network, [exit]), x, labels


def test_votes_learn_and_routing_agrees_for_every_batch_size() -> None:
    network, path, x, labels = made()
    whole = path.predict(x, batch=500)
    early = whole.exits == 0
    assert 0.3 < early.mean() < 1.0  # both ways are taken
    plain = sample_of(network, x, None).predicted.numpy()
    assert (whole.labels[~early] == plain[~early]).all()  # the rest is the network's answer
    assert (whole.labels[early] == labels[early]).mean() > 0.9
    for batch in (1, 7, 64):
        found = path.predict(x[:130], batch=batch)
        assert (found.labels == whole.labels[:130]).all()
        assert (found.exits == whole.exits[:130]).all()
    assert path.names() == ["votes at r:2", "the whole network"]
    assert path(torch.as_tensor(x[:3])).tolist() == whole.labels[:3].tolist()


def test_the_same_seed_learns_the_same_votes() -> None:
    _, first, _, _ = made()
    _, second, _, _ = made()
    for a, b in zip(first.exits.parameters(), second.exits.parameters(), strict=True):
        assert torch.equal(a, b)


def test_onnx_stages_answer_what_the_module_answers(tmp_path: Path) -> None:
    _, path, x, _ = made()
    files = write_stages(path, tmp_path)
    assert [file.name for file in files] == ["stage-1.onnx", "rest.onnx"]
    found = through_onnx(files, x)
    whole = path.predict(x)
    assert (found == whole.labels).all()


def through_onnx(files: list[Path], x: np.ndarray) -> np.ndarray:
    """Inputs through boxes, stages and rest as a user of the files would send them."""
    sessions = {f.stem: onnxruntime.InferenceSession(f) for f in files}
    labels = np.zeros(len(x), dtype=np.int64)
    rows, value, holding = np.arange(len(x)), x, None
    if "boxes" in sessions:
        (holding,) = sessions["boxes"].run(None, {"value": x})
    for name in sorted(s for s in sessions if s.startswith("stage")):
        given = {"value": value} | ({} if holding is None else {"holding": holding})
        label, early, value, *held = sessions[name].run(None, given)
        labels[rows[early]] = label[early]
        rows, value = rows[~early], value[~early]
        holding = held[0][~early] if held else None
    if len(rows):
        (scores,) = sessions["rest"].run(None, {"value": value})
        labels[rows] = scores.argmax(1)
    return labels


def test_saved_and_loaded(tmp_path: Path) -> None:
    network, path, x, _ = made()
    save_fast_path(path, tmp_path / "f.pt")
    again = load_fast_path(tmp_path / "f.pt", network)
    assert (again.predict(x).labels == path.predict(x).labels).all()
    assert (again.predict(x).exits == path.predict(x).exits).all()
    with pytest.raises(QueryError, match="expected the network with hash"):
        load_fast_path(tmp_path / "f.pt", ABSOLUTE)
    content = torch.load(tmp_path / "f.pt", weights_only=True)
    torch.save({**content, "format": 1}, tmp_path / "old.pt")
    with pytest.raises(DataError, match=r"expected format 2, got format 1.*Make it again"):
        load_fast_path(tmp_path / "old.pt", network)
    (tmp_path / "bad.pt").write_bytes(b"no")
    with pytest.raises(DataError, match="expected a file of 'precond distill'"):
        load_fast_path(tmp_path / "bad.pt", network)


@pytest.mark.slow
def test_distill_keeps_the_loss_and_the_table_says_so() -> None:
    network = halves()
    fit, validation = (sample_of(network, *pictures(400, seed)) for seed in (3, 4))
    test = sample_of(network, *pictures(300, 5))
    found = distill(network, fit, validation, [Reading("r", 2)], max_loss=2.0, training=QUICK)
    assert found.choice is not None and found.choice.coverage > 0.2
    lost, won = found.choice.lost, found.choice.won
    assert lost - won + 2 * (lost + won) ** 0.5 <= 0.02 * 400
    table = trade_off(
        network, found, Samples(fit, validation, test), max_loss=2.0, training=QUICK, compile=False
    )
    methods = [row.method for row in table.rows]
    assert methods == [
        "plain network",
        "fast path",
        "linear exit at r",
        "linear exit at r:2",
        "smaller network (conv8 conv16 dense)",
    ]
    plain, fast = table.row("plain network"), table.row("fast path")
    truth = test.labels.numpy()
    answers_ = found.path.predict(test.inputs.numpy())
    assert plain.loss == 0.0 and plain.coverage is None and plain.changed == 0
    assert fast.accuracy == pytest.approx((answers_.labels == truth).mean())
    assert fast.coverage == pytest.approx((answers_.exits == 0).mean())
    assert fast.changed == (answers_.labels != test.predicted.numpy()).sum()
    assert all(time is not None and time > 0 for row in table.rows for time in row.cpu)
    assert plain.gpu == (None, None) or torch.cuda.is_available()
    assert torch.cuda.is_available() or not any("GPU ms" in line for line in table.lines())
    assert torch.cuda.is_available() or "GPU not measured: this machine has none" in table.notes
    assert len(table.lines()) == 2 + len(table.rows)


def test_where_the_fast_path_is_slower() -> None:
    def row(name: str, *cpu: float | None) -> TradeOffRow:
        return TradeOffRow(
            method=name,
            coverage=None,
            accuracy=1.0,
            loss=0.0,
            changed=0,
            cpu=cpu,
            processor=cpu,
            gpu=(None, None),
        )

    rows = (row("plain network", 1.0, 9.0), row("fast path", 1.5, 4.5))
    table = TradeOffTable(rows, (1, 256), 300, 1, ())
    assert table.slower() == (1,) and table.worth_it and table.speedups() == (1 / 1.5, 2.0)
    assert headline(table) == (
        "The fast path is 0.67 times as fast at batch 1, 2.00 times as fast at batch 256; "
        "0.00 points of accuracy are lost"
    )
    rows = (row("plain network", 1.0, None), row("fast path", 0.5, None))
    assert TradeOffTable(rows, (1, 256), 9, 1, ()).slower() == ()
    rows = (row("plain network", 1.0, None), row("fast path", 2.0, None))
    slow = TradeOffTable(rows, (1, 256), 9, 1, ())
    assert not slow.worth_it
    assert headline(slow) == "Not worth it: slower than the plain network at batch 1"
    rows = (row("plain network", None, None), row("fast path", None, None))
    assert headline(TradeOffTable(rows, (1, 256), 9, 1, ())).startswith("Not measured")


def test_the_curve_of_an_exit_by_hand() -> None:
    """Four inputs, the surest first: right, wrong (the network is right), wrong too, both right;
    the third was answered before."""
    answers = Answers(
        np.array([0.9, 0.8, 0.7, 0.6], dtype=np.float32),
        np.array([True, False, False, True]),
        np.array([False, False, True, False]),
    )
    right = np.array([True, True, True, True])
    curve = exit_curve("e", answers, right, 0.75)
    assert curve.points == ((0.0, 0.0), (0.25, 0.0), (0.5, 25.0), (0.75, 25.0))
    assert curve.chosen == (0.5, 25.0)
    assert exit_curve("e", answers, right, NEVER).chosen is None


def test_not_worth_it_has_a_page_and_a_status_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exit that costs as much as the whole network saves nothing, whatever it answers."""

    def dear(*_: object) -> tuple[list[float], list[float]]:
        return [0.5, 0.5], [1.0]

    monkeypatch.setattr("precond.apply.distillation.votes.ROWS", 5_000)
    monkeypatch.setattr("precond.apply.distillation.learn.costs", dear)
    out = tmp_path / "out"
    command = ["distill", str(MODEL), "--inputs", "digits", "--max-loss", "5"]
    assert main([*command, "--layer", "relu1", "--out", str(out)]) == 3
    said = capsys.readouterr().out
    assert said.startswith("Not worth it: ")
    assert "earlier layers" not in said, "relu1 is the first"
    assert [f.name for f in out.iterdir()] == ["index.html"]
    page = (out / "index.html").read_text()
    assert "Not worth it: no exit saves more time than it costs" in page
    assert "votes at relu1" in page and "allowed: 5" in page


def test_a_loss_that_cannot_be_met() -> None:
    """Labels are coin tosses and the network is always right by decree: any answer loses."""
    network = halves()
    x, _ = pictures(200, 6)
    given = sample_of(network, x, None)
    validation = replace(given, labels=given.predicted)
    fit = replace(given, labels=1 - given.predicted, scores=-given.scores)
    with pytest.raises(DataError, match=r"a loss of at most 0 percentage points.*got none on 200"):
        distill(network, fit, validation, [Reading("r", 2)], max_loss=0.0, training=QUICK)
    with pytest.raises(QueryError, match="layers for votes: expected 1 to 3"):
        distill(network, fit, validation, [])


def test_moved_copies() -> None:
    network = halves()
    one = sample_of(network, *pictures(2, 7))
    more = augmented(one, network, 1)
    assert len(more) == 18 and more.labels.tolist() == one.labels.tolist() * 9
    assert torch.equal(more.inputs[8:10], one.inputs)  # the middle copy is not moved
    assert torch.equal(more.inputs[0, 0, 1:, 1:], one.inputs[0, 0, :-1, :-1])


# Class 0 (y₀ = relu(x)) for x > 0, class 1 (y₁ = relu(−x)) for x < 0, through two layers.
SIGN = Network(
    (
        Node("z", Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), (INPUT,)),
        Node("a", ReLU(), ("z",)),
        Node("u", Affine(np.eye(2), np.array([-0.25, -0.25])), ("a",)),
        Node("b", ReLU(), ("u",)),
        Node("y", Affine(np.eye(2), np.zeros(2)), ("b",)),
    ),
    (1,),
    origin="sign",
)
DOMAIN = Box.uniform(1, -2.0, 2.0)


def proved_entry(pattern: DecisionPattern, label: int, box: Box | None = None) -> Precondition:
    claim = Claim(SIGN, box or DOMAIN, pattern, Property.argmax(label, 2))
    verdict = prove(claim, budget=600.0)
    return Precondition(
        f"layer-{label}",
        Kind.LAYER,
        str(label),
        claim.property,
        pattern,
        Support(1, 1, None, None),
        verdict,
        domain=box,
    )


def above(layer: str, index: int, value: float) -> DecisionPattern:
    return DecisionPattern(above=frozenset({(layer, index, value)}))


def proved_sign() -> ProvedRules:
    """z₀ > 0.5 ⇒ 0 within [−1, 1]; over all, z₁ > 0.5 and u₀ off ⇒ 1 (two layers)."""
    first = proved_entry(above("a", 0, 0.5), 0, Box.uniform(1, -1.0, 1.0))
    second = proved_entry(above("a", 1, 0.5) & phases(off=[0], layer="b"), 1)
    empirical = replace(first, verdict=Verdict(Status.EMPIRICAL))
    assert first.verdict.status is second.verdict.status is Status.PROVED
    return ProvedRules.select(SIGN, [first, second, empirical], DOMAIN)


def test_proved_rules_answer_where_their_claim_does() -> None:
    proved = proved_sign()
    assert len(proved.entries) == 2 and proved.left_out == {"empirical, not proved": 1}
    path = prove_only(SIGN, proved).path
    assert path.names() == ["proved rules at a", "proved rules at b", "the whole network"]
    x = np.array([[0.75], [1.5], [0.4], [-0.75], [-1.5], [-0.4], [-3.0]], dtype=np.float32)
    for batch in (1, 7):
        found = path.predict(x, batch)
        # 1.5 is outside the first rule's box; −3 outside the domain; ±0.4 in no rule.
        assert found.exits.tolist() == [0, 2, 2, 1, 1, 2, 2]
        assert found.labels.tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_proved_rules_change_no_prediction(tmp_path: Path) -> None:
    x = np.random.default_rng(8).uniform(-3, 3, size=(5000, 1)).astype(np.float32)
    path = prove_only(SIGN, proved_sign()).path
    plain = Plain(SIGN)(torch.as_tensor(x)).numpy()
    found = path.predict(x)
    assert (found.labels == plain).all()
    assert 0.2 < (found.exits < 2).mean() < 0.6
    files = write_stages(path, tmp_path)
    assert [f.name for f in files] == ["boxes.onnx", "stage-1.onnx", "stage-2.onnx", "rest.onnx"]
    assert (through_onnx(files, x) == plain).all()


def test_what_proves_nothing_is_refused() -> None:
    given = proved_sign().entries[0]
    other = replace(given, property=Property.between(0, 0.0, 1.0))
    words = replace(given, label="holds")
    chosen = ProvedRules.select(SIGN, [other, words], DOMAIN)
    assert not chosen.entries
    with pytest.raises(QueryError, match="1 a property other than that the class wins"):
        prove_only(SIGN, chosen)
    assert checkpoints(SIGN, chosen) == []


def test_votes_and_proved_rules_together() -> None:
    """Proved answers come first, at the layers they are complete at; votes see the rest."""
    network, path, x, _ = made()
    vote = next(e for e in path.exits if isinstance(e, VoteExit))
    pattern = above("r", 0, -10.0)  # of every input: answers all of class 0 by decree
    claim = Precondition(
        "layer-0-1",
        Kind.LAYER,
        "0",
        Property.argmax(0, 2),
        pattern,
        Support(1, 1, None, None),
        Verdict(Status.PROVED),
    )
    proved = ProvedRules.select(network, [claim], Box.uniform(64, -5.0, 5.0))
    both = FastPath(network, [*checkpoints(network, proved), vote], proved)
    assert both.names() == ["votes at r:2", "proved rules at r", "the whole network"]
    found = both.predict(x)
    alone = path.predict(x)
    assert (found.exits == np.where(alone.exits == 0, 0, 1)).all()
    assert (found.labels[found.exits == 1] == 0).all()


def test_data_of_another_width() -> None:
    _, path, _, _ = made()
    with pytest.raises(DataError, match="expected rows of 64 values"):
        path(torch.zeros(2, 63))


def test_one_logit_gives_a_score_for_each_of_two_classes() -> None:
    sample = sample_of(ABSOLUTE, np.array([[-3.0], [0.0]]), None)
    assert sample.scores.tolist() == [[-1.5, 1.5], [0.0, 0.0]]  # of the logits 3 and 0
    assert sample.predicted.tolist() == [1, 0]


def preconditions(folder: Path, network_hash: str, entries: list[Precondition]) -> Path:
    content = {
        "format": 1,
        "network": {"path": "m.onnx", "hash": network_hash},
        "domain": {"lower": [0.0] * 64, "upper": [1.0] * 64},
        "preconditions": [e.to_json() for e in entries],
    }
    path = folder / "preconditions.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def digits_rule() -> tuple[Network, Precondition]:
    """A closed pattern of one digit, proved over a small ball around it."""
    from precond.data.datasets import load_dataset

    network = load(MODEL)
    x = load_dataset("digits").inputs[:1]
    seen = record(network, x)
    box = Box.ball(x[0], 0.02, within=Box.uniform(64, 0.0, 1.0))
    claim = Claim(
        network, box, DecisionPattern.of_row(seen, 0), Property.argmax(int(seen.predicted[0]), 10)
    )
    verdict = prove(claim, budget=600.0)
    assert verdict.status is Status.PROVED
    return network, Precondition(
        "input-0-1",
        Kind.INPUT,
        str(int(seen.predicted[0])),
        claim.property,
        claim.pattern,
        Support(1, 0, None, None),
        verdict,
        domain=box,
    )


def test_the_command_with_proved_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("precond.apply.distillation.votes.ROWS", 5_000)  # of the rivals' training
    network, rule = digits_rule()
    file = preconditions(tmp_path, network.hash, [rule])
    out = tmp_path / "out"
    command = ["distill", str(MODEL), "--inputs", "digits", "--rules", str(file), "--proved-only"]
    assert main([*command, "--no-compile", "--out", str(out)]) in (0, 3)  # as fast as it is
    said = capsys.readouterr().out
    assert "proved rules at relu2: 1 inputs (0.1 %), 0 predictions changed" in said
    report = json.loads((out / "distill.json").read_text())
    assert sum(exit["inputs"] for exit in report["exits"]) == 1797
    assert all(exit["changed"] == 0 for exit in report["exits"])
    assert (out / "tradeoff.md").read_text().startswith("| method | coverage |")
    assert {f.name for f in out.iterdir()} == {
        "boxes.onnx",
        "distill.json",
        "fastpath.pt",
        "index.html",
        "rest.onnx",
        "stage-1.onnx",
        "stage-2.onnx",
        "tradeoff.md",
    }
    again = load_fast_path(
        out / "fastpath.pt", network, ProvedRules.select(network, [rule], DOMAIN)
    )
    assert again.names()[:2] == ["proved rules at relu1", "proved rules at relu2"]


def test_the_command_refuses_a_loss_that_cannot_be_met(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Votes that are surely wrong, whatever they are shown: no threshold keeps the loss."""

    def wrong(self: VoteExit, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.full((len(value),), -1), torch.ones(len(value))

    monkeypatch.setattr("precond.apply.distillation.votes.ROWS", 5_000)
    monkeypatch.setattr(VoteExit, "judge", wrong)
    deep = tmp_path / "deep" / "out"
    command = ["distill", str(MODEL), "--inputs", "digits", "--max-loss", "0.5"]
    assert main([*command, "--out", str(deep)]) == 2
    said = capsys.readouterr().err
    assert "a loss of at most 0.5 percentage points: expected early answers" in said
    assert "got none on 287 validation inputs" in said and "larger --max-loss" in said
    assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--labels", "TENS"], "label of row 0 (counted from 0): expected a class in 0..9"),
        (["--rules", "OTHER"], "expected the network with hash"),
        (["--rules", "EMPTY"], "got an empty rule set"),
        (["--proved-only"], "--proved-only: expected proved rules, got no --rules"),
        (["--rules", "UNPROVED", "--proved-only"], "got 1 empirical, not proved"),
        (["--inputs", "WIDE"], "expected rows of 64 values"),
        (["--max-loss", "-1"], "expected percentage points from 0 to 100"),
        (["--layer", "relu9"], "layer 'relu9'"),
        (["--shift", "1"], "a few pixels for a network of pictures"),
    ],
)
def test_bad_input_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    network = load(MODEL)
    rule = replace(
        proved_sign().entries[0],
        pattern=phases([0], layer=network.decision_layers[0]),
        verdict=Verdict(Status.EMPIRICAL),
        domain=None,
    )
    kinds = {
        "OTHER": (ABSOLUTE.hash, [rule]),
        "EMPTY": (network.hash, []),
        "UNPROVED": (network.hash, [rule]),
    }
    given = ["distill", str(MODEL), "--inputs", "digits", "--out", str(tmp_path / "out")]
    for argument in arguments:
        if argument in kinds:
            given.append(str(preconditions(tmp_path, *kinds[argument])))
        elif argument == "TENS":
            np.save(tmp_path / "tens.npy", np.full(1797, 10))
            given.append(str(tmp_path / "tens.npy"))
        elif argument == "WIDE":
            np.save(tmp_path / "wide.npy", np.zeros((9, 65), dtype=np.float32))
            given.append(str(tmp_path / "wide.npy"))
        else:
            given.append(argument)
    assert main(given) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
