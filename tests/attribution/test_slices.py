"""Slices: any module, any call; the model stays as it was; errors say what to do."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attribution.attribution import Attribution
from attribution.distributions import ClassConditional, Empirical, LinearPath, Point
from attribution.methods.influence import influence
from attribution.methods.integrated import integrated_gradients
from attribution.quantities import class_score, unit
from attribution.slices import Slice
from precond.errors import DataError, ModelError, OutputError, QueryError
from precond.network.evaluate import outputs
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Conv2d, MaxPool2d, Node, ReLU, Reshape
from precond.network.module import network_module

F64 = torch.float64


class Shared(nn.Module):
    """One ReLU and one linear layer used twice, everything in place where it can be."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3, dtype=F64)
        self.act = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(3, dtype=F64)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.drop(self.act(self.fc(self.act(self.fc(x))))))


def shared() -> Shared:
    torch.manual_seed(0)
    return Shared()


def test_model_is_left_as_it_was() -> None:
    model = shared()
    model.train()
    model.norm.eval()
    for parameter in model.fc.parameters():
        parameter.grad = torch.ones_like(parameter)
    model.fc.bias.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    x = torch.rand(5, 3, dtype=F64)
    kept = x.clone()
    integrated_gradients(model, x, 0.0, class_score(0), steps=4)
    influence(Slice(model, "act", call=1), [0, 1], LinearPath(at="fc"), x)
    with pytest.raises(QueryError):
        influence(Slice(model, "act", call=2), 0, Point(), x)
    assert model.training and model.act.training and not model.norm.training
    assert [p.requires_grad for p in model.fc.parameters()] == [True, False]
    assert all((p.grad == 1).all() for p in model.fc.parameters())
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
        assert "forward" not in module.__dict__
    assert torch.equal(x, kept) and not x.requires_grad


@pytest.mark.parametrize("call", [0, 1])
@pytest.mark.parametrize("pre", [False, True])
def test_calls_and_sides_of_a_reused_module_in_place(call, pre) -> None:
    """Influence at each call of ``act`` and each side of it, against a hand-written model."""
    model = shared().eval()
    x = torch.randn(4, 3, dtype=F64)
    with torch.no_grad():
        z0 = model.fc(x)
        values = {(0, True): z0, (0, False): z0.clamp(min=0)}
        z1 = model.fc(values[0, False])
        values |= {(1, True): z1, (1, False): z1.clamp(min=0)}
    leaf = values[call, pre].clone().requires_grad_()
    y = leaf.clamp(min=0) if pre else leaf
    if call == 0:
        y = model.fc(y).clamp(min=0)
    model.norm(y)[:, 2].sum().backward()
    found = influence(Slice(model, "act", pre=pre, call=call), class_score(2), Point(), x)
    np.testing.assert_allclose(found.values, leaf.grad.numpy(), atol=1e-14)


def test_several_layers_and_several_inputs() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(2, 2, dtype=F64), nn.Linear(3, 2, dtype=F64)

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return torch.tanh(self.left(a)) * self.right(b)

    torch.manual_seed(0)
    model, a, b = Two(), torch.rand(4, 2, dtype=F64), torch.rand(4, 3, dtype=F64)
    found = influence(Slice(model, ("left", "right")), class_score(1), Point(), (a, b))
    left, right = model.left(a).detach(), model.right(b).detach()
    np.testing.assert_allclose(
        found.parts[0][:, 1], ((1 - left.tanh() ** 2) * right)[:, 1].numpy(), atol=1e-14
    )
    np.testing.assert_allclose(found.parts[1][:, 1], left.tanh()[:, 1].numpy(), atol=1e-14)
    by_tuple = integrated_gradients(model, (a, b), 0.0, class_score(0), steps=40)
    by_name = integrated_gradients(model, {"a": a, "b": b}, 0.0, class_score(0), steps=40)
    assert by_tuple.names == ("input[0]", "input[1]") and by_name.names == ("a", "b")
    for one, other in zip(by_tuple.parts, by_name.parts, strict=True):
        np.testing.assert_array_equal(one, other)
    assert by_tuple.completeness.max() < 1e-10
    # A baseline for each input: by place, by name, and per row or not.
    start = (torch.rand(2, dtype=F64), torch.rand(4, 3, dtype=F64))
    placed = integrated_gradients(model, (a, b), start, class_score(0), steps=40)
    named = {"a": start[0], "b": start[1]}
    by_name = integrated_gradients(model, {"a": a, "b": b}, named, class_score(0), steps=40)
    low = model(start[0].expand(4, 2), start[1]).detach().numpy()[:, 0]
    high = model(a, b).detach().numpy()[:, 0]
    np.testing.assert_allclose(placed.change, high - low, atol=1e-14)
    assert placed.completeness.max() < 1e-10
    for one, other in zip(placed.parts, by_name.parts, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(DataError, match="2 parts: "):
        integrated_gradients(model, (a, b), (start[0],), class_score(0))
    with pytest.raises(DataError, match="also c"):
        integrated_gradients(model, (a, b), {"c": 0.0}, class_score(0))
    with pytest.raises(QueryError, match="2: input"):
        _ = by_tuple.values


def test_tokens_are_cut_at_their_embedding() -> None:
    class Text(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(10, 4, dtype=F64)
            self.head = nn.Linear(4, 2, dtype=F64)

        def forward(self, tokens: Tensor) -> Tensor:
            return self.head(torch.relu(self.embedding(tokens)).mean(1))

    torch.manual_seed(0)
    model, tokens = Text(), torch.tensor([[1, 2, 3], [4, 4, 0]])
    found = integrated_gradients(
        Slice(model, "embedding"), tokens, 0.0, class_score(1), steps=3, method="trapezoid"
    )
    assert found.values.shape == (2, 3, 4)
    # ReLU from 0 is straight: z · relu'(z) · w / 3.
    z = model.embedding(tokens).detach()
    expected = z.clamp(min=0) * model.head.weight[1].detach() / 3
    # At the baseline ReLU's derivative is 0, and the end node of three has a quarter.
    np.testing.assert_allclose(found.values, 0.75 * expected.numpy(), atol=1e-14)
    assert found.top(1)[0][0].startswith("embedding[")
    with pytest.raises(QueryError, match="embedding layer"):
        influence(Slice(model), class_score(0), Point(), tokens)
    streamed = influence(Slice(model, "embedding"), class_score(0), Empirical(tokens)).values
    each = influence(Slice(model, "embedding"), class_score(0), Point(), tokens).values
    np.testing.assert_allclose(streamed[0], each.mean(0), atol=1e-15)


def network() -> Network:
    rng = np.random.default_rng(0)
    return Network(
        (
            Node(
                "conv.1",
                Conv2d(rng.normal(size=(2, 1, 3, 3)), np.ones(2), (1, 1), (1, 0, 0, 1)),
                (INPUT,),
            ),
            Node("relu.1", ReLU(), ("conv.1",)),
            Node("pool", MaxPool2d((2, 2), (2, 1), (1, 0, 1, 1)), ("relu.1",)),
            Node("flat", Reshape((24,)), ("pool",)),
            Node("out", Affine(rng.normal(size=(3, 24)), np.zeros(3)), ("flat",)),
        ),
        (1, 5, 5),
    )


def test_a_network_is_a_module_named_by_node() -> None:
    net = network()
    x = np.random.default_rng(1).normal(size=(4, 1, 5, 5))
    with torch.no_grad():
        y = network_module(net)(torch.tensor(x)).numpy()
    np.testing.assert_allclose(y, outputs(net, x), atol=1e-12)
    found = influence(Slice(net, "relu.1"), class_score(1), Point(), x)
    assert found.values.shape == (4, 2, 4, 4)
    assert found.unit_name(17) == "relu.1[1, 0, 1]"


@pytest.mark.parametrize(
    "layer, pre", [(None, False), ("relu.1", False), ("flat", False), ("out", True), ("out", False)]
)
def test_one_class_for_all_rows_or_the_same_for_each(layer, pre) -> None:
    """Two ways: one form through the last layer for all rows, and a form per row."""
    net, x = network(), np.random.default_rng(1).normal(size=(4, 1, 5, 5))
    cut = Slice(net, layer, pre=pre)
    every = influence(cut, [0, 1, 2], Point(), x).values
    over = influence(cut, [0, 1, 2], Empirical(x)).values
    for c in range(3):
        own = influence(cut, np.full(4, c), Point(), x).values
        np.testing.assert_allclose(every[c], own, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(over[c, 0], own.mean(0), rtol=1e-12, atol=1e-14)
        assert np.abs(own).max() > 0.01


@pytest.mark.parametrize(
    "call, error, match",
    [
        (lambda m, x: Slice(m, "nowhere"), QueryError, "expected one of fc, act"),
        (lambda m, x: influence(Slice(m, "fc", call=5), 0, Point(), x), QueryError, "fewer calls"),
        (lambda m, x: influence(Slice(m), 7, Point(), x), QueryError, "expected 0 to 2"),
        (lambda m, x: influence(Slice(m), [], Point(), x), QueryError, "at least one"),
        (
            lambda m, x: influence(Slice(m), 0, Point()),
            DataError,
            "expected a tensor or array",
        ),
        (lambda m, x: influence(Slice(m), lambda y: y, Point(), x), QueryError, "one number"),
        (
            lambda m, x: influence(Slice(m, "act"), unit("fc", 0), Point(), x),
            QueryError,
            "depends on the slice",
        ),
        (lambda m, x: integrated_gradients(m, x, np.zeros(4), 0), DataError, "baseline"),
        (lambda m, x: integrated_gradients(m, x, method="simpson"), QueryError, "gauss"),
        (lambda m, x: integrated_gradients(m, x, steps=1, method="trapezoid"), QueryError, "≥ 2"),
        (lambda m, x: integrated_gradients(m, [1, 2], 0.0, 0), DataError, "expected a tensor"),
        (lambda m, x: integrated_gradients("m.onnx", x), ModelError, "torch.nn.Module"),
        (lambda m, x: influence(Slice(m), class_score([0]), Point(), x), QueryError, "per input"),
        (lambda m, x: influence(Slice(m), 0, Empirical(x, weights=[1.0])), DataError, "weights"),
        (lambda m, x: influence(Slice(m), 0, Empirical(x, at="fc")), DataError, "one row"),
        (lambda m, x: influence(Slice(m), 0, ClassConditional(x, [0], 0)), DataError, "labels"),
        (lambda m, x: integrated_gradients(m, x, 0.0, 0, steps=2.5), QueryError, "whole number"),
        (lambda m, x: integrated_gradients(m, x, None, 0), DataError, "expected numbers"),
        (lambda m, x: integrated_gradients(m, x.long(), 0.0, 0), QueryError, "embedding layer"),
        (lambda m, x: integrated_gradients(m, x, 0.0, 0, device="tpu"), QueryError, "device"),
        (lambda m, x: influence(m, x, Point(), x), QueryError, "whole numbers"),
        (lambda m, x: influence(m, [0], Point(), x).top(1, quantity=1), DataError, "quantity"),
        (
            lambda m, x: influence(Slice(m, "fc"), 0, LinearPath(rule="exact"), x),
            QueryError,
            "Slice\\(load",
        ),
    ],
)
def test_errors_say_what_to_do(call, error, match) -> None:
    model = shared().eval()
    with pytest.raises(error, match=match):
        call(model, torch.rand(2, 3, dtype=F64))


def test_a_module_that_returns_a_tuple_is_refused_by_name() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.memory = nn.LSTM(2, 2, dtype=F64)

        def forward(self, x: Tensor) -> Tensor:
            return self.memory(x[None])[0][0]

    with pytest.raises(ModelError, match="output of memory"):
        influence(Slice(Model(), "memory"), 0, Point(), torch.rand(2, 2, dtype=F64))


def test_attribution_top_clip_save(tmp_path) -> None:
    net = network()
    x = np.random.default_rng(1).normal(size=(3, 1, 5, 5))
    found = integrated_gradients(net, x, 0.0, [0, 2], steps=8)
    best = found.top(3, row=1, quantity=1)
    order = np.argsort(-np.abs(found.values[1, 1].ravel()))
    assert [v for _, v in best] == list(found.values[1, 1].ravel()[order[:3]])
    clipped = found.clip(90.0)
    limit = np.percentile(np.abs(found.values[0, 2]), 90)
    assert np.abs(clipped.values[0, 2]).max() == pytest.approx(limit)
    assert "90th percentile" in clipped.notes[-1]
    again = Attribution.load(found.save(tmp_path / "a.npz"))
    np.testing.assert_array_equal(again.values, found.values)
    np.testing.assert_array_equal(again.completeness, found.completeness)
    assert (again.rule, again.quantities, again.several) == (found.rule, found.quantities, True)
    with pytest.raises(OutputError, match="npz"):
        found.save(tmp_path / "a.txt")
    with pytest.raises(DataError, match="written by"):
        Attribution.load(tmp_path / "none.npz")


def test_memory_bounds_the_chunk() -> None:
    """A hundred times the steps on a hundred times the rows makes no larger block."""
    net = network()
    module = network_module(net)
    seen: list[int] = []
    handle = module.get_submodule("relu/1").register_forward_hook(
        lambda m, a, v: seen.append(len(v))
    )
    x = np.random.default_rng(1).normal(size=(40, 1, 5, 5))
    integrated_gradients(module, x, 0.0, 0, steps=200, memory=100_000)
    handle.remove()
    assert 1 < max(seen) <= 100
    assert sum(seen) >= 8000
