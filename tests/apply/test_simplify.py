"""A smaller network with the same outputs: by hand, and against fractions."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from precond import load
from precond.apply.simplification.fixed import fixed_neurons
from precond.apply.simplification.measured import Difference, Latency
from precond.apply.simplification.merged import merged
from precond.apply.simplification.moved_outputs import ConstantErrors, Merged, deviation
from precond.apply.simplification.settings import SimplifySettings
from precond.apply.simplification.simplify import Simplified, certificates, simplify
from precond.checker.exact import check
from precond.checker.files import read_certificate
from precond.cli import main
from precond.data.datasets import load_dataset
from precond.errors import ModelError
from precond.formats.onnx.session import onnx_session
from precond.formats.onnx.writer import onnx_model, write_onnx
from precond.network.activation import OutputActivation
from precond.network.constants import Real, reals
from precond.network.evaluate import outputs
from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Add,
    Affine,
    Conv2d,
    MaxPool2d,
    Node,
    ReLU,
    Reshape,
    Scale,
    Sum,
)
from precond.network.parts import head
from precond.network.rational import rational_values
from precond.region.box import Box
from precond.report.simplify import Measured, remarks

UNIT = SimplifySettings(budget=240.0, each=60.0)  # a tie is left to z3, in a process of its own


def dense(*layers: tuple[list[list[float]], list[float]]) -> Network:
    """Dense layers with ReLUs between them."""
    nodes, source = [], INPUT
    for k, (weight, bias) in enumerate(layers, start=1):
        nodes.append(Node(f"z{k}", Affine(np.array(weight), np.array(bias)), (source,)))
        source = f"z{k}"
        if k < len(layers):
            nodes.append(Node(f"a{k}", ReLU(), (source,)))
            source = f"a{k}"
    return Network(tuple(nodes), (len(layers[0][0][0]),))


def exact(network: Network, point: list[Fraction]) -> list[Fraction]:
    return rational_values(network, point, [network.output])[network.output]


def same(found: Simplified, points: int = 5) -> bool:
    """Whether both networks have the very same outputs at points of the box."""
    rng = np.random.default_rng(1)
    box = found.box
    for _ in range(points):
        x = [Fraction(v) for v in rng.uniform(box.lower, box.upper)]
        if exact(found.original, x) != exact(found.network, x):
            return False
    return True


# z1 = (x, −x − 1, x + 2, x − ½): on [0, 1] on, off, on, free.
FOUR = dense(
    ([[1.0], [-1.0], [1.0], [1.0]], [0.0, -1.0, 2.0, -0.5]), ([[1.0, 5.0, -1.0, 2.0]], [0.25])
)


def test_neurons_of_a_layer_by_hand() -> None:
    box = Box.uniform(1, 0.0, 1.0)
    found = fixed_neurons(FOUR, box, points=np.zeros((0, 1)), effort=UNIT)
    assert found["a1"].on.tolist() == [True, False, True, False]
    assert found["a1"].off.tolist() == [False, True, False, False]


def test_a_neuron_that_is_off_is_taken_out() -> None:
    found = simplify(FOUR, Box.uniform(1, 0.0, 1.0), UNIT)
    assert found.network.width("a1") == 3
    assert found.deviation == 0 and same(found)
    assert (found.before.neurons, found.after.neurons) == (4, 3)
    assert (found.before.connections, found.after.connections) == (8, 6)


def test_over_a_larger_box_it_stays() -> None:
    """At x = −3 the second neuron is 2."""
    found = simplify(FOUR, Box.uniform(1, -3.0, 1.0), UNIT)
    assert found.network.width("a1") == 4 and not found.removed


def test_a_neuron_that_touches_0_is_off() -> None:
    """x − 1 ≤ 0 on [0, 1], with equality at 1."""
    network = dense(([[1.0], [1.0]], [-1.0, 0.0]), ([[7.0, 1.0]], [0.0]))
    found = simplify(network, Box.uniform(1, 0.0, 1.0), UNIT)
    assert found.network.neurons == 0  # and the other neuron, which is always on, needs no ReLU
    assert same(found)


def test_an_open_neuron_is_put_to_the_prover() -> None:
    """ReLU(x) + ReLU(−x) − 1.1 ≤ −0.1 on [−1, 1], which one propagation does not see."""
    network = dense(
        ([[1.0], [-1.0]], [0.0, 0.0]),
        ([[1.0, 1.0], [1.0, 0.0]], [-1.1, 0.0]),
        ([[3.0, 1.0]], [0.0]),
    )
    found = simplify(network, Box.uniform(1, -1.0, 1.0), UNIT)
    assert found.fixed["a2"].off.tolist() == [True, False]
    assert same(found)


def test_inputs_that_are_0_need_no_weights() -> None:
    """Of four inputs two are 0 all over the box: a choice of the other two comes first."""
    network = dense(
        ([[1.0, 2.0, 3.0, 4.0], [1.0, -1.0, 1.0, -1.0]], [0.0, 0.5]), ([[1.0, 1.0]], [0])
    )
    box = Box(np.array([0.0, -1.0, 0.0, -1.0]), np.array([0.0, 1.0, 0.0, 1.0]))
    found = simplify(network, box, UNIT)
    assert found.after.connections == 6 and same(found)


def test_a_weight_of_0_does_not_hide_a_constant_that_no_float_holds() -> None:
    """A weight of which only the nearest float is 0 is no weight of 0."""
    tiny = reals(np.array([[Fraction(1, 10**400)]], dtype=np.object_))
    nodes = (
        Node("z1", Affine(np.array([[1.0]]), np.array([-0.5])), (INPUT,)),
        Node("a1", ReLU(), ("z1",)),
        Node("z2", Affine(tiny, np.array([0.0])), ("a1",)),
    )
    network = Network(nodes, (1,))
    assert exact(network, [Fraction(1)]) == [Fraction(1, 2 * 10**400)]
    found = simplify(network, Box.uniform(1, 0.0, 1.0), UNIT)
    assert found.network.width("a1") == 1
    assert 0 < found.deviation < 1e-299  # no file holds the weight


def convolutional(bias: float) -> Network:
    """Two channels, the first with that bias and inputs of −1: pool, convolution, mean, dense."""
    first = np.zeros((2, 1, 1, 1))
    first[:, 0, 0, 0] = [-1.0, 1.0]
    second = np.arange(8.0).reshape(2, 2, 2, 1) - 3.0
    nodes = (
        Node("c1", Conv2d(first, np.array([bias, 0.25])), (INPUT,)),
        Node("r1", ReLU(), ("c1",)),
        Node("s1", Scale(np.array([2.0, 3.0]).reshape(2, 1, 1), np.zeros((1, 1, 1))), ("r1",)),
        Node("p1", MaxPool2d((2, 2), (2, 2)), ("s1",)),
        Node("c2", Conv2d(second, np.array([0.0, 1.0])), ("p1",)),
        Node("r2", ReLU(), ("c2",)),
        Node("m", Sum((1, 2), keepdims=False, scale=0.5), ("r2",)),
        Node("y", Affine(np.array([[1.0, -1.0]]), np.array([0.0])), ("m",)),
    )
    return Network(nodes, (1, 4, 4))


def test_a_channel_that_is_off_everywhere_is_taken_out() -> None:
    found = simplify(convolutional(0.0), Box.uniform(16, 0.0, 1.0), UNIT)
    shapes = found.network.shapes
    assert shapes["p1"] == (1, 2, 2) and same(found)
    assert found.after.multiplications < found.before.multiplications


def test_a_channel_that_is_on_somewhere_stays() -> None:
    found = simplify(convolutional(0.5), Box.uniform(16, 0.0, 1.0), UNIT)
    assert found.network.shapes["p1"] == (2, 2, 2)


def test_a_neuron_that_a_sum_reads_stays() -> None:
    """A residual connection: the neuron that is off is read by a sum of branches."""
    nodes = (
        Node("z1", Affine(np.eye(2), np.array([-2.0, 0.0])), (INPUT,)),
        Node("a1", ReLU(), ("z1",)),
        Node("s", Add((1.0, 1.0)), ("a1", INPUT)),
        Node("y", Affine(np.array([[1.0, 2.0]]), np.array([0.0])), ("s",)),
    )
    found = simplify(Network(nodes, (2,)), Box.uniform(2, 0.0, 1.0), UNIT)
    assert found.network.width("a1") == 2 and same(found)


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_have_the_same_outputs(seed: int) -> None:
    """Sparse random networks whose biases switch many neurons off or on."""
    rng = np.random.default_rng(seed)
    sizes = [int(n) for n in rng.integers(2, 9, size=4)]
    layers = []
    for before, after in pairwise(sizes):
        weight = rng.normal(size=(after, before)) * (rng.random((after, before)) < 0.6)
        layers.append((weight.tolist(), (2.0 * rng.normal(size=after)).tolist()))
    found = simplify(dense(*layers), Box.uniform(sizes[0], -1.0, 1.0), UNIT)
    assert same(found)
    assert found.after.multiplications <= found.before.multiplications


@pytest.mark.parametrize("seed", range(8))
def test_merged_networks_stay_within_the_bound(seed: int) -> None:
    """Scales, twins and layers that became affine: outputs differ by no more than is said, in
    fractions, and by something."""
    rng = np.random.default_rng(seed)
    f32 = lambda *shape: rng.normal(size=shape).astype(np.float32).astype(np.float64)  # noqa: E731
    first = f32(5, 3)
    first[1] = first[0]
    bias = f32(5)
    bias[1] = bias[0]
    roots = reals(np.array([Fraction(1, int(n)) for n in rng.integers(3, 9, size=5)], np.object_))
    nodes = (
        Node("z1", Affine(first, bias), (INPUT,)),
        Node("a1", ReLU(), ("z1",)),
        Node("z2", Affine(f32(5, 5), f32(5)), ("a1",)),
        Node("s2", Scale(roots, np.zeros(1)), ("z2",)),
        Node("up", Scale(np.ones(1), np.full(1, 100.0)), ("s2",)),
        Node("a2", ReLU(), ("up",)),
        Node("y", Affine(f32(2, 5), f32(2)), ("a2",)),
    )
    network = Network(nodes, (3,))
    box = Box.uniform(3, -1.0, 1.0)
    found = simplify(network, box, replace(UNIT, merge=True))
    assert len(found.network.nodes) == 3  # a2 is always on: z2 … y become one layer
    assert found.network.width("a1") <= 4  # and of two equal neurons one stays
    assert 0 < found.deviation < 1e-4
    worst = Fraction(0)
    for _ in range(20):
        x = [Fraction(v) for v in rng.choice([-1.0, 1.0], size=3)]
        pairs = zip(exact(network, x), exact(found.network, x), strict=True)
        worst = max(worst, *(abs(a - b) for a, b in pairs))
    assert 0 < worst <= Fraction(found.deviation)


def test_a_batch_normalisation_with_roots() -> None:
    """Its factor 1/√2 is no rational number: the file has the nearest float32, off by ≤ 2⁻²⁵."""
    root = Real(Fraction(1, 2)).sqrt()
    nodes = (
        Node("z1", Affine(np.array([[1.0], [-1.0]]), np.array([0.5, -1.5])), (INPUT,)),
        Node("s1", Scale(np.array([root, root], np.object_), np.zeros(1)), ("z1",)),
        Node("a1", ReLU(), ("s1",)),
        Node("y", Affine(np.array([[1.0, 1.0]]), np.array([0.0])), ("a1",)),
    )
    network = Network(nodes, (1,))
    for merge in (False, True):
        found = simplify(network, Box.uniform(1, 0.0, 1.0), replace(UNIT, merge=merge))
        assert found.network.width("s1" if not merge else "y") == 1 and found.network.neurons == 0
        assert 0 < found.deviation <= 1.5 * 2**-24
        near = outputs(found.network, np.array([[0.75]]))[0, 0]
        assert abs(near - 1.25 / np.sqrt(2)) <= found.deviation


def test_the_bound_of_a_moved_weight_by_hand() -> None:
    """y = 2 ReLU(3x) with 3 known up to 0.1 and x ≤ 2: y is off by at most 2 · 0.1 · 2."""
    network = dense(([[3.0]], [0.0]), ([[2.0]], [0.0]))
    state = Merged(network, {"z1": ConstantErrors(np.array([[0.1]]), np.array([0.0]))})
    assert deviation(state, Box.uniform(1, -1.0, 2.0)) == pytest.approx(0.4)
    assert deviation(Merged(network), Box.uniform(1, -1.0, 2.0)) == 0.0


def test_a_last_activation_may_double_what_moves() -> None:
    """Logits (−10, 0) that are off by 0.01 each: log-softmax is off by nearly 0.02."""
    network = replace(
        dense(([[0.0], [0.0]], [-10.0, 0.0])), output_activation=OutputActivation.LOG_SOFTMAX
    )
    state = Merged(network, {"z1": ConstantErrors(np.zeros((2, 1)), np.full(2, 0.01))})
    here, meant = (z - np.log(np.exp(z).sum()) for z in np.array([[-10.0, 0.0], [-10.01, 0.01]]))
    off = float(np.abs(here - meant).max())
    assert 0.019 < off <= deviation(state, Box.uniform(1, 0.0, 1.0)) < 0.021


def test_merging_where_there_is_nothing_changes_nothing() -> None:
    network = dense(([[1.0], [2.0]], [0.0, 0.5]), ([[1.0, -1.0]], [0.25]))
    assert merged(network).network.hash == network.hash


def test_each_layer_has_its_certificate(tmp_path: Path) -> None:
    network = dense(
        ([[1.0], [-1.0]], [0.0, 0.0]),
        ([[1.0, 1.0], [1.0, 0.0]], [-1.1, -0.5]),
        ([[3.0, 1.0]], [0.0]),
    )
    found = simplify(network, Box.uniform(1, -1.0, 1.0), UNIT)
    places = certificates(found, tmp_path, seconds=20.0)
    assert set(places) == {"a2"}
    path = places["a2"]
    assert path is not None
    assert check(read_certificate(path), head(network, "z2")).valid
    assert not check(read_certificate(path), network).valid


def write_case(folder: Path) -> tuple[Path, Path]:
    model, data = folder / "four.onnx", folder / "x.npy"
    write_onnx(FOUR, model)
    np.save(data, np.linspace(0.0, 1.0, 40, dtype=np.float32)[:, None])
    return model, data


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = write_case(tmp_path)
    out, proofs = tmp_path / "out", tmp_path / "proofs"
    words = ["simplify", str(model), "--inputs", str(data), "--domain", "unit", "--budget", "20"]
    assert main([*words, "--out", str(out), "--certificate", str(proofs)]) == 0
    said = capsys.readouterr().out
    assert "25.0 % of connections" in said and "identical on the domain, proved" in said
    small = load(out / "simple.onnx")
    x = np.linspace(0.0, 1.0, 7)[:, None]
    assert np.array_equal(outputs(small, x), outputs(load(model), x))
    document = json.loads((out / "simplify.json").read_text())
    assert document["after"]["neurons"] == 3 and document["deviation"] == 0
    known = document["certificates"]["a1"]
    assert main(["check", known["file"], str(model), "--up-to", known["up_to"]]) == 0
    assert capsys.readouterr().out.endswith("valid\n")
    assert "outputs identical" in (out / "index.html").read_text()


def test_the_box_of_the_training_data_is_that(tmp_path: Path) -> None:
    """x − 2 is off for all training rows, x ≤ 1, and on for one that is held out."""
    model, data = tmp_path / "two.onnx", tmp_path / "x.npy"
    write_onnx(dense(([[1.0], [1.0]], [0.0, -2.0]), ([[1.0, 1.0]], [0.0])), model)
    rows = np.linspace(0.0, 1.0, 40, dtype=np.float32)[:, None]
    rows[load_dataset(str(_saved(data, rows))).held_out[0]] = 5.0
    words = ["simplify", str(model), "--inputs", str(_saved(data, rows)), "--domain", "data"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    document = json.loads((tmp_path / "out" / "simplify.json").read_text())
    assert document["domain"] == "the box of the training data"
    assert document["after"]["connections"] < document["before"]["connections"]


def _saved(path: Path, rows: np.ndarray) -> Path:
    np.save(path, rows)
    return path


def test_command_with_nothing_to_remove(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = write_case(tmp_path)
    out = tmp_path / "out"
    words = ["simplify", str(model), "--inputs", str(data), "--domain", "-3:1", "--out", str(out)]
    assert main(words) == 3
    assert "Nothing to remove" in capsys.readouterr().out
    assert not (out / "simple.onnx").exists() and (out / "index.html").exists()


def test_command_refuses_balls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = write_case(tmp_path)
    words = ["simplify", str(model), "--inputs", str(data), "--domain", "ball:0.1"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    assert "expected data, unit or LO:HI" in capsys.readouterr().err


def test_flattened_pictures_keep_their_order() -> None:
    """A channel goes from a convolution whose values a dense layer reads one by one."""
    weight = np.zeros((3, 1, 1, 1))
    weight[:, 0, 0, 0] = [1.0, -1.0, 2.0]
    nodes = (
        Node("c", Conv2d(weight, np.array([0.0, -0.5, 0.0])), (INPUT,)),
        Node("r", ReLU(), ("c",)),
        Node("f", Reshape((12,)), ("r",)),
        Node("y", Affine(np.arange(24.0).reshape(2, 12), np.zeros(2)), ("f",)),
    )
    found = simplify(Network(nodes, (1, 2, 2)), Box.uniform(4, 0.0, 1.0), UNIT)
    assert found.network.shapes["f"] == (8,) and same(found)


def test_onnxruntime_lacks_convolutions_in_float64() -> None:
    """One line that says so, and what to do."""
    weight = np.full((1, 1, 1, 1), 0.1)  # no float32
    network = Network((Node("c", Conv2d(weight, np.zeros(1)), (INPUT,)),), (1, 2, 2))
    with pytest.raises(ModelError, match="export the model in float32"):
        onnx_session(onnx_model(network).SerializeToString())


def test_what_saves_no_time_is_said_to_save_none() -> None:
    away = Difference(10, 0.0, 0)
    slow, fast = Latency(1, before=1.0, after=2.0), Latency(64, before=2.0, after=1.0)
    (words,) = remarks(Measured([slow, fast], away))
    assert words.startswith("not faster than the original at batch 1:")
    assert remarks(Measured([fast], away)) == () == remarks(None)
