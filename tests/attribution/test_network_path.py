"""Exact and secant integrated gradients: against a fine midpoint rule, by hand, complete."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from attribution.distributions import LinearPath
from attribution.lines.backward import Backward
from attribution.lines.plan import plan
from attribution.lines.segments import Breakpoints
from attribution.methods.influence import influence
from attribution.methods.integrated import integrated_gradients
from attribution.quantities import class_score, comparative, margin, max_class, unit
from attribution.slices import Slice
from precond.errors import QueryError
from precond.formats.load import load
from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Add,
    Affine,
    Conv2d,
    LeakyReLU,
    MaxPool2d,
    Node,
    ReLU,
    Reshape,
)
from precond.network.module import network_module


def affine(m: int, n: int) -> Affine:
    rng = np.random.default_rng([m, n])
    return Affine(rng.normal(size=(m, n)) / np.sqrt(n), 0.3 * rng.normal(size=m))


def conv(out: int, per_group: int, **more) -> Conv2d:
    rng = np.random.default_rng([out, per_group, len(more)])
    weight = rng.normal(size=(out, per_group, 3, 3)) / np.sqrt(9 * per_group)
    return Conv2d(weight, 0.2 * rng.normal(size=out), **more)


def chain(shape, *layers) -> Network:
    names = [INPUT, *(f"n{i}" for i in range(len(layers)))]
    return Network(
        tuple(Node(names[i + 1], layer, (names[i],)) for i, layer in enumerate(layers)), shape
    )


PAD = (1, 1, 1, 1)


def dense() -> Network:
    return chain((5,), affine(12, 5), ReLU(), affine(10, 12), ReLU(), affine(3, 10))


def leaky() -> Network:
    return chain(
        (5,), affine(12, 5), LeakyReLU(0.2), affine(10, 12), LeakyReLU(0.05), affine(3, 10)
    )


def convolutional() -> Network:
    return chain(
        (1, 8, 8),
        conv(3, 1, padding=PAD),
        ReLU(),
        MaxPool2d((2, 2), (2, 2)),
        conv(4, 3, padding=PAD),
        ReLU(),
        MaxPool2d((3, 3), (1, 1), PAD),
        Reshape((64,)),
        affine(6, 64),
        ReLU(),
        affine(3, 6),
    )


def overlapping() -> Network:
    """Overlapping, padded windows of straight lines, leaky units, pool without ReLU."""
    return chain(
        (2, 7, 7),
        conv(3, 2, stride=(2, 1)),
        MaxPool2d((3, 2), (1, 2), (1, 0, 1, 1)),
        LeakyReLU(0.3),
        conv(2, 3, padding=PAD),
        MaxPool2d((2, 2), (2, 2), ceil_mode=True),
        Reshape((8,)),
        affine(3, 8),
    )


def residual() -> Network:
    """Skips around a block, from the first layer's straight output, and from the input."""
    return Network(
        (
            Node("c1", conv(2, 2, padding=PAD), (INPUT,)),
            Node("r1", ReLU(), ("c1",)),
            Node("c2", conv(2, 2, padding=PAD), ("r1",)),
            Node("a1", Add((1.0, 1.0)), ("c2", "r1")),
            Node("r2", ReLU(), ("a1",)),
            Node("c3", conv(2, 2, padding=PAD), ("r2",)),
            Node("a2", Add((1.0, -0.5, 0.25)), ("c3", "c1", INPUT)),
            Node("r3", ReLU(), ("a2",)),
            Node("f", Reshape((32,)), ("r3",)),
            Node("out", affine(3, 32), ("f",)),
        ),
        (2, 4, 4),
    )


NETWORKS = [dense, leaky, convolutional, overlapping, residual]


def points(network: Network, count: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    shape = (count, *network.input_shape)
    return rng.uniform(-1, 1.5, shape), rng.uniform(-1, 1, shape)


def midpoint(network: Network, x, start, target: int, steps: int = 30_000) -> np.ndarray:
    """The definition: gradients at the middles of 30,000 cells.  The plain rule is off by up
    to half a cell at every breakpoint, so cells next to a change of gradient are cut in 500."""
    module = network_module(network)

    def gradients(row: int, t: np.ndarray) -> np.ndarray:
        place = torch.tensor(t).reshape(-1, *[1] * (x.ndim - 1))
        begin, end = torch.tensor(start[row]), torch.tensor(x[row])
        line = (begin + place * (end - begin)).requires_grad_()
        (found,) = torch.autograd.grad(module(line)[:, target].sum(), line)
        return found.numpy()

    total = np.zeros_like(x)
    for row in range(len(x)):
        middles = (np.arange(steps) + 0.5) / steps
        found = np.concatenate([gradients(row, part) for part in np.split(middles, 30)])
        flat = found.reshape(steps, -1)
        jumps = np.flatnonzero(np.abs(flat[1:] - flat[:-1]).max(1) > 1e-9)
        for cell in np.unique(np.concatenate([jumps, jumps + 1])):
            fine = (cell + (np.arange(500) + 0.5) / 500) / steps
            found[cell] = gradients(row, fine).mean(0)
        total[row] = found.mean(0)
    return total * (x - start)


@pytest.mark.slow
@pytest.mark.parametrize("build", NETWORKS)
def test_equals_a_30000_step_midpoint_rule(build) -> None:
    network = build()
    x, start = points(network, 1)
    found = integrated_gradients(network, x, start, class_score(1), method="exact")
    slow = midpoint(network, x, start, 1)
    assert np.abs(found.values - slow).sum() < 5e-6 * np.abs(slow).sum()


@pytest.mark.parametrize("build", NETWORKS)
@pytest.mark.parametrize("dtype, bound", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_completeness(build, dtype, bound) -> None:
    network = build()
    x, start = points(network, 20)
    found = integrated_gradients(
        network, x, start, [class_score(0), comparative(1, 2)], method="exact", dtype=dtype
    )
    assert found.completeness.max() < bound


@pytest.mark.parametrize("build", NETWORKS)
@pytest.mark.parametrize("steps", [1, 7])
def test_secants_add_up_with_any_number_of_cells(build, steps) -> None:
    network = build()
    x, start = points(network, 9)
    quantities = [class_score(0), margin(1), max_class()]
    found = integrated_gradients(network, x, start, quantities, method="secant", steps=steps)
    assert found.completeness.max() < 1e-12
    module = network_module(network)
    ends = [module(torch.tensor(v)).numpy() for v in (x, start)]
    np.testing.assert_allclose(found.change[0], ends[0][:, 0] - ends[1][:, 0], atol=1e-12)


@pytest.mark.parametrize("build", NETWORKS)
def test_secants_tend_to_the_exact_value_faster_than_a_rule(build) -> None:
    network = build()
    x, start = points(network, 6)
    quantities = [class_score(0), margin(1)]
    exact = integrated_gradients(network, x, start, quantities, method="exact").values

    def off(method: str, steps: int) -> float:
        found = integrated_gradients(network, x, start, quantities, method=method, steps=steps)
        return np.abs(found.values - exact).sum() / np.abs(exact).sum()

    assert off("secant", 32) < off("midpoint", 32)
    assert off("secant", 400) < 0.1 * off("secant", 32)
    assert off("secant", 400) < 2e-4


def test_one_layer_of_secants_is_exact() -> None:
    """No two changes lie on one path: one cell gives the integral."""
    network = chain((5,), affine(20, 5), ReLU(), affine(3, 20))
    x, start = points(network, 6)
    both = [
        integrated_gradients(network, x, start, class_score(1), method=m, steps=1).values
        for m in ("secant", "exact")
    ]
    np.testing.assert_allclose(*both, atol=1e-14)


@pytest.mark.parametrize("build", [leaky, overlapping, residual])
def test_secants_in_small_memory(build) -> None:
    network = build()
    x, start = points(network, 3)
    every = [
        integrated_gradients(
            network, x, start, margin(2), method="secant", steps=12, memory=memory
        ).values
        for memory in (None, 1, 10_000)
    ]
    for other in every[1:]:
        np.testing.assert_allclose(every[0], other, atol=1e-13)


def test_secants_doubled_until_little_changes() -> None:
    network = convolutional()
    x, start = points(network, 8)
    found = integrated_gradients(
        network, x, start, class_score(0), method="secant", steps="auto", tolerance=1e-3
    )
    exact = integrated_gradients(network, x, start, class_score(0), method="exact").values
    off = np.abs(found.values - exact).reshape(8, -1).sum(1)
    assert (off < 2e-3 * np.abs(exact).reshape(8, -1).sum(1)).all()
    assert "to" in found.rule and found.evaluated < 8 * 2000


@pytest.mark.parametrize("build", NETWORKS)
def test_memory_changes_nothing(build) -> None:
    network = build()
    x, start = points(network, 2)
    whole = integrated_gradients(network, x, start, class_score(2), method="exact")
    for memory in (1, 20_000):
        part = integrated_gradients(
            network, x, start, class_score(2), method="exact", memory=memory
        )
        np.testing.assert_allclose(part.values, whole.values, rtol=1e-9, atol=1e-12)


def test_a_chunk_with_more_than_fits_is_given_up(monkeypatch) -> None:
    """No chunk that is followed back has over 1.5 times the breakpoints that fit, though some
    of the first layer's become many."""
    network, memory = convolutional(), 60_000
    x, start = points(network, 3)
    widths = sum(network.width(step.name) for step in plan(network, "n9", INPUT).steps) + 192
    chunks: list[int] = []
    whole = Backward.run

    def watched(self: Backward) -> None:
        chunks.append(len(self.forward.points.t))
        whole(self)

    monkeypatch.setattr(Backward, "run", watched)
    found = integrated_gradients(network, x, start, 0, method="exact", memory=memory)
    assert found.completeness.max() < 1e-12
    assert len(chunks) > 3 and max(chunks) <= 1.5 * (memory // (8 * widths))


def test_halving_a_segment() -> None:
    t = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    two = Breakpoints(torch.tensor([0, 0, 1]), t)
    finer = two.halved(0)
    assert finer is not None
    assert finer.line.tolist() == [0, 0, 0, 1] and finer.t.tolist() == [0.0, 0.5, 1.0, 0.0]
    # The step from one line to the next has no middle.
    assert two.halved(1) is None


@pytest.mark.parametrize("quantity", [max_class(), margin(0), unit("n3", 4), comparative(0, 2)])
def test_other_quantities(quantity) -> None:
    network = dense()
    x, start = points(network, 8)
    found = integrated_gradients(network, x, start, quantity, method="exact")
    fine = integrated_gradients(network, x, start, quantity, method="midpoint", steps=8000)
    assert found.completeness.max() < 1e-12
    np.testing.assert_allclose(found.values, fine.values, atol=2e-3)


def test_maximum_of_two_exactly() -> None:
    """max(x₁, x₂) = x₂ + ReLU(x₁ − x₂) from (0, 1) to (2, 0): (4/3, −1/3)."""
    network = Network(
        (
            Node("d", Affine([[1.0, -1.0], [0.0, 1.0], [0.0, -1.0]], np.zeros(3)), (INPUT,)),
            Node("r", ReLU(), ("d",)),
            Node("y", Affine([[1.0, 1.0, -1.0]], [0.0]), ("r",)),
        ),
        (2,),
    )
    found = integrated_gradients(
        network, np.array([[2.0, 0.0]]), np.array([[0.0, 1.0]]), 0, method="exact"
    )
    np.testing.assert_allclose(found.values, [[4 / 3, -1 / 3]], atol=1e-15)


@pytest.mark.parametrize(
    "build, layer",
    [(dense, "n1"), (dense, "n2"), (convolutional, "n3"), (convolutional, "n0"), (residual, "r1")],
)
def test_linear_path_influence_of_a_slice(build, layer) -> None:
    network = build()
    x, start = points(network, 3)
    cut = Slice(network, layer)
    exact = influence(cut, class_score(0), LinearPath(start, rule="exact"), x)
    fine = influence(cut, class_score(0), LinearPath(start, rule="midpoint", steps=3000), x)
    np.testing.assert_allclose(exact.values, fine.values, atol=3e-3)
    assert np.abs(exact.values).max() > 0.01
    secant = influence(cut, class_score(0), LinearPath(start, rule="secant", steps=500), x)
    np.testing.assert_allclose(secant.values, exact.values, atol=1e-3)


def test_a_row_of_weights_is_called_so() -> None:
    network = dense()
    x, start = points(network, 2)
    path = LinearPath(start, rule="exact")
    last = influence(Slice(network, "n3"), class_score(0), path, x)
    np.testing.assert_allclose(last.values, [network.node["n4"].layer.weight[0]] * 2, rtol=1e-14)
    assert "row of weights" in last.notes[0]
    for layer, quantity in (("n2", class_score(0)), ("n1", class_score(0)), ("n3", max_class())):
        assert not influence(Slice(network, layer), quantity, path, x).notes


def test_a_torch_module_goes_through_the_loader() -> None:
    pytest.importorskip("precond.formats.torch.reader")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.randn(5, 4)
    found = integrated_gradients(model, x, 0.0, class_score(1), method="exact")
    assert found.completeness.max() < 1e-5
    fine = integrated_gradients(model, x, 0.0, class_score(1), method="midpoint", steps=4000)
    np.testing.assert_allclose(found.values, fine.values, atol=1e-3)


def test_what_has_no_exact_form_is_refused() -> None:
    network = dense()
    x, _ = points(network, 1)
    with pytest.raises(QueryError, match="quadrature"):
        integrated_gradients(network, x, 0.0, lambda y: y[:, 0] ** 2, method="exact")
    with pytest.raises(QueryError, match="expected the model's input"):
        integrated_gradients(Slice(network, "n1"), x, 0.0, 0, method="exact")


def test_a_trained_model() -> None:
    """A network from the models folder, on its own data: rule, completeness, and its loader."""
    path = Path(__file__).parents[2] / "models" / "digits-mlp.onnx"
    if not path.is_file():
        pytest.skip("models/digits-mlp.onnx is not there")
    network = load(path)
    x = load_digits().data[[3, 500]].reshape(2, *network.input_shape) / 16
    found = integrated_gradients(network, x, 0.0, class_score(5), method="exact")
    assert found.completeness.max() < 1e-12
    slow = midpoint(network, x, np.zeros_like(x), 5)
    assert np.abs(found.values - slow).sum() < 5e-6 * np.abs(slow).sum()
