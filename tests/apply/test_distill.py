"""Fast paths: answers equal to the network's where they must be, thresholds worked out by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
import pytest
import torch
from known import ABSOLUTE, phases

from precond.apply.distillation.automatic_places import automatic_readings
from precond.apply.distillation.learn import distill, prove_only
from precond.apply.distillation.linear_exit import LinearExit
from precond.apply.distillation.measure import Plain, trade_off
from precond.apply.distillation.path import (
    Exit,
    FastPath,
    checkpoints,
    load_fast_path,
    save_fast_path,
)
from precond.apply.distillation.proved_rules import ProvedRules
from precond.apply.distillation.reading import Probe, Reading
from precond.apply.distillation.runtime import OnnxRun
from precond.apply.distillation.samples import Samples, augmented, sample_of
from precond.apply.distillation.settings import Promise, Training
from precond.apply.distillation.table import Runtime, TradeOffRow, TradeOffTable
from precond.apply.distillation.thresholds import NEVER, Answers, Prices, exit_curve
from precond.apply.distillation.training import learned_exit, quantiles
from precond.apply.distillation.votes import Vote, VoteExit, VoteLearner
from precond.apply.distillation.write_onnx import (
    fast_path_model,
    plain_model,
    write_fast_path_onnx,
)
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
WRITTEN = {"distill.json", "fastpath.onnx", "fastpath.pt", "index.html", "tradeoff.md"}


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
    vote = exit.vote
    weight, limit, votes, start = (
        part.double().numpy() for part in (vote.weight, vote.limit, vote.votes, vote.start)
    )
    assert (weight == weight.round()).all() and np.abs(weight).max() == 127  # whole bytes
    assert (votes * 256 == (votes * 256).round()).all()
    scores = (d @ weight.T > limit) @ votes.T + start
    label, confidence = exit.judge(value)
    two = np.sort(scores, axis=1)[:, -2:]
    assert (confidence.numpy() == two[:, 1] - two[:, 0]).all()  # exactly: sums of whole numbers
    assert (label.numpy() == scores.argmax(1)).all()


def test_rounded_weights_are_nearly_the_learned_rule() -> None:
    """One rule by hand: 2 d₀ − d₁ > 0.5, so weights 127 and −64 (63.5 to the even), and the limit
    ⌊0.5 · 63.5⌋; votes are rounded to 1/256."""
    learned = VoteLearner(2, 1, 2)
    with torch.no_grad():
        learned.rules.weight.copy_(torch.tensor([[2.0, -1.0]]))
        learned.rules.bias.fill_(-0.5)
        learned.votes.weight.copy_(torch.tensor([[1.0], [0.0029]]))
        learned.votes.bias.zero_()
    vote = Vote(2, 1, 2)
    vote.settle(learned)
    assert vote.weight.tolist() == [[127.0, -64.0]] and vote.limit.tolist() == [31.0]
    assert vote.votes.tolist() == [[1.0], [1 / 256]]
    bits = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert vote.fired(bits).flatten().tolist() == [0.0, 1.0, 0.0, 1.0]


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
    """A fast path of ``halves`` with one vote exit that answers with a lead of 1.5."""
    network = halves()
    fit = sample_of(network, *pictures(600, 1))
    exit = learned_exit(network, Reading("r", 2), fit, QUICK)
    exit.threshold = torch.tensor(1.5)
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


def through_onnx(path: FastPath, x: np.ndarray, batch: int) -> tuple[np.ndarray, np.ndarray]:
    session = OnnxRun(fast_path_model(path)).session
    starts = range(0, len(x), batch)
    parts = [session.run(["label", "exit"], {INPUT: x[k : k + batch]}) for k in starts]
    labels, exits = (np.concatenate([part[k] for part in parts]) for k in range(2))
    return labels, exits


def test_one_onnx_file_answers_what_the_module_answers(tmp_path: Path) -> None:
    """Whatever the batch, and where all inputs, some or none of a batch leave early."""
    _, path, x, _ = made()
    whole = path.predict(x)
    for batch in (1, 7, 500):
        labels, exits = through_onnx(path, x[:130] if batch == 1 else x, batch)
        assert (labels == whole.labels[: len(labels)]).all()
        assert (exits == whole.exits[: len(labels)]).all()
    write_fast_path_onnx(path, tmp_path / "f.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "f.onnx")
    labels, exits = session.run(["label", "exit"], {"input": x})
    assert (labels == whole.labels).all() and (exits == whole.exits).all()
    for threshold, exit in ((0.0, 0), (NEVER, 1)):
        cast(VoteExit, path.exits[0]).threshold = torch.tensor(threshold)
        labels, exits = through_onnx(path, x[:9], 9)
        assert (exits == exit).all() and (labels == path.predict(x[:9]).labels).all()


def test_several_exits_and_linear_ones_in_one_file() -> None:
    network = halves()
    fit = sample_of(network, *pictures(300, 1))
    exits: list[Exit] = [learned_exit(network, Reading("r", 2), fit, QUICK)]
    exits.append(learned_exit(network, Reading("r2", 2), fit, replace(QUICK, levels=2)))
    for thin in (False, True):
        linear = LinearExit(network, Reading("r", 2), thin=thin)
        linear.requires_grad_(False)
        exits.append(linear)
    x, _ = pictures(200, 2)
    for exit, threshold in zip(exits, (4.0, 4.0, 0.25, 0.25), strict=True):
        assert isinstance(exit, VoteExit | LinearExit)
        exit.threshold = torch.tensor(threshold)
    for some in ((0, 1), (1,), (2,), (3, 1)):
        path = FastPath(network, [exits[k] for k in some])
        whole = path.predict(x)
        for batch in (1, 200):
            labels, numbers = through_onnx(path, x, batch)
            assert (numbers == whole.exits).all() and (labels == whole.labels).all()
    plain = OnnxRun(plain_model(network))(torch.as_tensor(x)).numpy()
    assert (plain == sample_of(network, x, None).predicted.numpy()).all()


def test_one_logit_in_onnx() -> None:
    """Class 1 where |x| is above 0."""
    x = np.array([[0.0], [1.0], [-2.0], [0.0]], dtype=np.float32)
    found = OnnxRun(plain_model(ABSOLUTE))(torch.as_tensor(x)).numpy()
    assert (found == Plain(ABSOLUTE)(torch.as_tensor(x)).numpy()).all()
    assert found.tolist() == [0, 1, 1, 0]


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
    with pytest.raises(DataError, match=r"expected format 3, got format 1.*Make it again"):
        load_fast_path(tmp_path / "old.pt", network)
    (tmp_path / "bad.pt").write_bytes(b"no")
    with pytest.raises(DataError, match="expected a file of 'precond distill'"):
        load_fast_path(tmp_path / "bad.pt", network)


def cheap(*_: object) -> Prices:
    return Prices((0.1, 0.9), (0.01,))


@pytest.mark.slow
def test_distill_keeps_the_loss_and_the_table_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    network = halves()
    fit, calibration = (sample_of(network, *pictures(400, seed)) for seed in (3, 4))
    test = sample_of(network, *pictures(300, 5))
    promise = Promise(max_loss=2.0)
    monkeypatch.setattr("precond.apply.distillation.learn.measured_prices", cheap)
    found = distill(network, fit, calibration, [Reading("r", 2)], promise=promise, training=QUICK)
    assert found.choice is not None and found.choice.coverage > 0.2
    assert found.choice.p_value <= 0.1 and found.choice.inputs == 400 and found.tuning == 40
    samples = Samples(fit, calibration, test)
    table = trade_off(network, found, samples, promise=promise, training=QUICK, compile=False)
    assert {row.runtime for row in table.rows} >= {Runtime.ONNX, Runtime.TORCH}
    methods = [row.method for row in table.rows if row.runtime is Runtime.ONNX]
    assert methods == [
        "plain network",
        "fast path",
        "linear exit at r",
        "linear exit at r:2",
        "smaller network (conv8 conv16 dense)",
    ]
    plain, fast = table.row("plain network", Runtime.ONNX), table.fast
    truth = test.labels.numpy()
    answers_ = found.path.predict(test.inputs.numpy())
    assert plain.loss == 0.0 and plain.coverage is None and plain.changed == 0
    assert fast.accuracy == pytest.approx((answers_.labels == truth).mean())
    assert fast.coverage == pytest.approx((answers_.exits == 0).mean())
    assert fast.changed == (answers_.labels != test.predicted.numpy()).sum()
    assert all(time is not None and time > 0 for row in table.rows for time in row.wall)
    assert torch.cuda.is_available() or "GPU not measured: this machine has none" in table.notes
    assert len(table.lines()) == 2 + len(table.rows)


def measured(
    plain: dict[Runtime, tuple[float | None, ...]], fast: dict[Runtime, tuple[float | None, ...]]
) -> TradeOffTable:
    rows = tuple(
        TradeOffRow(
            method=name,
            runtime=runtime,
            coverage=None if name == "plain network" else 0.61,
            accuracy=1.0,
            loss=0.02,
            changed=0,
            wall=times,
            processor=times,
        )
        for name, every in (("plain network", plain), ("fast path", fast))
        for runtime, times in every.items()
    )
    return TradeOffTable(rows, (1, 256), 300, 1, ())


def test_speed_is_compared_where_the_plain_network_is_fastest() -> None:
    """By torch the fast path seems faster at batch 1, but the plain network runs faster by
    onnxruntime there, where it gains nothing."""
    torch_, onnx = Runtime.TORCH, Runtime.ONNX
    table = measured(
        {torch_: (3.0, 9.0), onnx: (1.0, 10.0)}, {torch_: (1.0, 4.5), onnx: (1.25, 5.0)}
    )
    assert [(g.batch, g.runtime, g.times) for g in table.gains()] == [
        (1, onnx, 0.8),
        (256, torch_, 2.0),
    ]
    assert table.slower() == (1,) and table.worth_it
    assert headline(table) == (
        "As fast as the plain network 0.80 times at batch 1, 2.00 times at batch 256; "
        "0.02 points of accuracy lost, 61.0 % answered early"
    )
    few = measured({onnx: (1.0, None)}, {onnx: (0.5, None)})
    assert few.slower() == () and few.worth_it
    slow = measured({onnx: (1.0, None)}, {onnx: (2.0, None)})
    assert not slow.worth_it
    assert headline(slow) == "Not worth it: as fast as the plain network 0.50 times at batch 1"
    none = measured({onnx: (None, None)}, {onnx: (None, None)})
    assert headline(none).startswith("Not measured") and none.worth_it


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

    def dear(*_: object) -> Prices:
        return Prices((0.5, 0.5), (1.0,))

    monkeypatch.setattr("precond.apply.distillation.settings.ROWS", 5_000)
    monkeypatch.setattr("precond.apply.distillation.learn.measured_prices", dear)
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
    forced = [*command, "--layer", "relu1", "--force", "--no-compile", "--radius", "0.01"]
    assert main([*forced, "--out", str(out)]) in (0, 3)  # as fast as it is
    said = capsys.readouterr().out
    assert "certified      within 0.01, of" in said
    assert {f.name for f in out.iterdir()} == WRITTEN
    page = (out / "index.html").read_text()
    assert "Answered early and wrongly" in page and "Proved to stay" in page
    report = json.loads((out / "distill.json").read_text())
    assert report["certified"]["radius"] == 0.01
    assert report["calibration"]["inputs"] == 287 and report["promise"]["delta"] == 0.1


def test_a_loss_that_cannot_be_met(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit is always wrong where the network is right: any answer loses."""
    network = halves()
    x, _ = pictures(200, 6)
    given = sample_of(network, x, None)
    fit = replace(given, labels=1 - given.predicted, scores=-given.scores)
    monkeypatch.setattr("precond.apply.distillation.learn.measured_prices", cheap)
    where = [Reading("r", 2)]
    with pytest.raises(DataError, match=r"a loss of at most 5 percentage points.*got none"):
        distill(network, fit, given, where, promise=Promise(max_loss=5.0), training=QUICK)
    with pytest.raises(DataError, match=r"0.1 points.*2302 calibration rows or more, got 200"):
        distill(network, fit, given, where, promise=Promise(), training=QUICK)
    with pytest.raises(DataError, match=r"--max-loss 1\.15 or more"):
        distill(network, fit, given, where, promise=Promise(), training=QUICK)
    with pytest.raises(DataError, match="expected a loss above 0"):
        distill(network, fit, given, where, promise=Promise(max_loss=0.0), training=QUICK)
    with pytest.raises(QueryError, match="layers for votes: expected 1 to 3"):
        distill(network, fit, given, [])


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


def test_proved_rules_change_no_prediction() -> None:
    x = np.random.default_rng(8).uniform(-3, 3, size=(5000, 1)).astype(np.float32)
    path = prove_only(SIGN, proved_sign()).path
    plain = Plain(SIGN)(torch.as_tensor(x)).numpy()
    found = path.predict(x)
    assert (found.labels == plain).all()
    assert 0.2 < (found.exits < 2).mean() < 0.6
    labels, exits = through_onnx(path, x, 5000)
    assert (labels == plain).all() and (exits == found.exits).all()
    labels, exits = through_onnx(path, x[:60], 1)
    assert (labels == plain[:60]).all() and (exits == found.exits[:60]).all()


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
    monkeypatch.setattr(
        "precond.apply.distillation.settings.ROWS", 5_000
    )  # of the rivals' training
    network, rule = digits_rule()
    file = preconditions(tmp_path, network.hash, [rule])
    out = tmp_path / "out"
    command = ["distill", str(MODEL), "--inputs", "digits", "--rules", str(file), "--proved-only"]
    command += ["--force", "--no-compile"]
    assert main([*command, "--out", str(out)]) in (0, 3)  # as fast as it is
    said = capsys.readouterr().out
    assert "proved rules at relu2: 1 inputs (0.1 %), 0 predictions changed" in said
    report = json.loads((out / "distill.json").read_text())
    assert sum(exit["inputs"] for exit in report["exits"]) == 1797
    assert all(exit["changed"] == 0 for exit in report["exits"])
    assert (out / "tradeoff.md").read_text().startswith("| method | run by | coverage |")
    assert {f.name for f in out.iterdir()} == WRITTEN
    again = load_fast_path(
        out / "fastpath.pt", network, ProvedRules.select(network, [rule], DOMAIN)
    )
    assert again.names()[:2] == ["proved rules at relu1", "proved rules at relu2"]


def test_the_command_refuses_a_loss_that_cannot_be_met(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Votes that are surely wrong, whatever they are shown: no threshold keeps the loss."""

    def wrong(self: VoteExit, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.full((len(value),), -1), torch.full((len(value),), 50.0)

    monkeypatch.setattr("precond.apply.distillation.settings.ROWS", 5_000)
    monkeypatch.setattr(VoteExit, "judge", wrong)
    deep = tmp_path / "deep" / "out"
    command = ["distill", str(MODEL), "--inputs", "digits", "--max-loss", "5"]
    assert main([*command, "--out", str(deep)]) == 2
    said = capsys.readouterr().err
    assert "a loss of at most 5 percentage points: expected early answers" in said
    assert "that 287 rows vouch for, got none" in said and "larger --max-loss" in said
    assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--max-loss", "-1"], "expected percentage points from 0 to 100"),
        (["--delta", "0"], "expected a chance between 0 and 1"),
        (["--radius", "0"], "expected a number above 0"),
    ],
)
def test_numbers_out_of_range(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str], message: str
) -> None:
    with pytest.raises(SystemExit):
        main(["distill", str(MODEL), "--inputs", "digits", "--out", str(tmp_path / "o"), *option])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--labels", "TENS"], "label of row 0 (counted from 0): expected a class in 0..9"),
        (["--rules", "OTHER"], "expected the network with hash"),
        (["--rules", "EMPTY"], "got an empty rule set"),
        (["--proved-only"], "--proved-only: expected proved rules, got no --rules"),
        (["--rules", "UNPROVED", "--proved-only"], "got 1 empirical, not proved"),
        (["--inputs", "WIDE"], "expected rows of 64 values"),
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
