"""Lines of max-pools, and bounds over receptive fields, against values and slow passes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from precond.checker import pools as checker_pools
from precond.network.evaluate import forward
from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Add,
    Affine,
    Concat,
    Conv2d,
    MaxPool2d,
    Node,
    ReLU,
    Reshape,
    Scale,
)
from precond.network.operators import operators
from precond.proof.bounds import field_maps
from precond.proof.bounds.backward import lower_bound
from precond.proof.bounds.field_pass import field_bounds
from precond.proof.bounds.objective import Objective
from precond.proof.bounds.pools import contenders, pool_lines
from precond.proof.bounds.region import refine
from precond.proof.bounds.wanted import wanted
from precond.proof.deadline import FOREVER

POOLS = [
    MaxPool2d((2, 2), (2, 2)),
    MaxPool2d((3, 3), (1, 1), (1, 1, 1, 1)),
    MaxPool2d((2, 3), (2, 1), (0, 1, 1, 1)),
    MaxPool2d((2, 2), (1, 1), dilation=(2, 2)),
]


def bounds_of(rng: np.random.Generator, kind: int) -> tuple[np.ndarray, np.ndarray]:
    """Intervals (1, 2·6·6) with ties, points, zeros below, or few overlaps."""
    middle = rng.normal(size=(1, 72)) if kind % 2 else np.round(rng.normal(size=(1, 72)))
    reach = np.round(rng.exponential(size=(1, 72)), 1) * (0.1 if kind % 3 else 1.0)
    low, high = middle - reach, middle + reach
    return (np.maximum(low, 0), np.maximum(high, 0)) if kind % 5 == 0 else (low, high)


@pytest.mark.parametrize("pool", POOLS, ids=str)
@pytest.mark.parametrize("kind", range(12))
def test_lines_enclose_the_maximum_at_every_corner_and_between(pool: MaxPool2d, kind: int) -> None:
    rng = np.random.default_rng(kind)
    low, high = bounds_of(rng, kind)
    windows = pool.windows((2, 6, 6))
    lines = pool_lines(torch.tensor(windows), torch.tensor(low), torch.tensor(high))
    ends = rng.choice([0.0, 1.0, 0.5], p=[0.45, 0.45, 0.1], size=(4000, 72))
    x = np.clip(low + ends * (high - low), low, high)
    values = np.where(windows >= 0, x[:, windows], -np.inf).max(-1)
    below = (x[:, lines.members.reshape(windows.shape)] * lines.below[0, 0].numpy()).sum(-1)
    above = x[:, lines.peak[0, 0]] * lines.slope[0, 0].numpy() + lines.shift[0, 0].numpy()
    assert (below <= values + 1e-12).all()
    assert (values <= above + 1e-12).all()
    assert (lines.below.sum(-1) == 1).all()
    exact = lines.exact[0, 0].numpy()
    assert np.array_equal(values[:, exact], above[:, exact])
    may, _ = contenders(torch.tensor(windows), torch.tensor(low), torch.tensor(high))
    wins = np.zeros(72, bool)
    for k in range(windows.shape[1]):  # a member above all others somewhere
        others = np.where(np.arange(windows.shape[1]) == k, -np.inf, x[:, windows])
        others = np.where(windows >= 0, others, -np.inf).max(-1)
        strictly = (windows[:, k] >= 0) & (x[:, windows[:, k]] > others).any(0)
        wins[windows[strictly, k]] = True
    assert not (wins & ~may[0].numpy()).any()


@pytest.mark.parametrize("pool", POOLS, ids=str)
@pytest.mark.parametrize("kind", range(12))
@pytest.mark.parametrize("words", [True, False])
def test_the_checkers_lines_enclose_it_exactly(pool: MaxPool2d, kind: int, words: bool) -> None:
    rng = np.random.default_rng(kind)
    low, high = (np.round(end[0] * 32) for end in bounds_of(rng, kind))
    windows = pool.windows((2, 6, 6))
    one: float | int = 2.0**10 if words else 1 << 10
    whole = [e if words else e.astype(np.int64).astype(object) for e in (low, high)]
    lines = checker_pools.pool_lines(windows, *whole, one=one)
    x = np.where(rng.random((2000, 72)) < 0.5, low, high)
    values = np.where(windows >= 0, x[:, windows], -np.inf).max(-1) * 1024
    below = (x[:, windows] * lines.below.astype(float)).sum(-1)
    above = x[:, lines.peak] * lines.slope.astype(float) + lines.shift.astype(float)
    assert (lines.below.sum(-1) == 1024).all()
    assert (lines.below[windows < 0] == 0).all()
    assert (below <= values).all()
    assert (values <= above).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bounds_that_are_no_numbers_give_no_line_that_proves(bad: float) -> None:
    windows = torch.tensor(POOLS[0].windows((2, 6, 6)))
    low, high = (torch.tensor(end) for end in bounds_of(np.random.default_rng(0), 1))
    high[0, 0] = bad
    lines = pool_lines(windows, low, high)
    assert not bool(lines.exact[0, 0, 0])
    assert not bool(torch.isfinite(lines.shift[0, 0, 0]))


def network(rng: np.random.Generator, pool: MaxPool2d) -> Network:
    """Convolutions with strides, groups and dilation, a residual sum, a join, and pools."""

    def conv(inputs: int, out: int, **options: object) -> Conv2d:
        groups = int(str(options.get("groups", 1)))
        weight = rng.normal(size=(out, inputs // groups, 3, 3)) / 3
        return Conv2d(weight, rng.normal(size=out) / 3, **options)  # type: ignore[arg-type]

    same = (1, 1, 1, 1)
    nodes = [
        Node("scale", Scale(np.array(0.5), np.array(-0.1)), (INPUT,)),
        Node("c1", conv(1, 4, padding=same), ("scale",)),
        Node("r1", ReLU(), ("c1",)),
        Node("p1", pool, ("r1",)),
        Node("c2", conv(4, 4, padding=same, groups=2), ("p1",)),
        Node("r2", ReLU(), ("c2",)),
        Node("c3", conv(4, 4, padding=(2, 2, 2, 2), dilation=(2, 2)), ("r2",)),
        Node("sum", Add((1.0, -0.5)), ("c3", "p1")),
        Node("r3", ReLU(), ("sum",)),
        Node("both", Concat(0), ("r3", "r2")),
        Node("c4", conv(8, 3, padding=(1, 0, 0, 1), stride=(2, 2)), ("both",)),
        Node("r4", ReLU(), ("c4",)),
    ]
    shape = Network(tuple(nodes), (1, 12, 12)).shapes["r4"]
    size = int(np.prod(shape))
    nodes += [
        Node("flat", Reshape((size,)), ("r4",)),
        Node("z", Affine(rng.normal(size=(5, size)) / 4, rng.normal(size=5)), ("flat",)),
        Node("r5", ReLU(), ("z",)),
        Node("out", Affine(rng.normal(size=(3, 5)), rng.normal(size=3)), ("r5",)),
    ]
    return Network(tuple(nodes), (1, 12, 12))


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_bounds_over_receptive_fields_are_those_of_whole_forms(
    pool: MaxPool2d, double: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if double:
        monkeypatch.setattr(field_maps, "number_type", lambda _: torch.float64)
    rng = np.random.default_rng(1)
    net = network(rng, pool)
    x = torch.tensor(rng.random((1, 144)))
    ops = operators(net, "cpu", torch.float64)
    with torch.no_grad():
        region = refine(ops, x - 0.05, x + 0.05).region
        for name in ("c1", "c2", "c3", "sum", "c4", "z"):
            width = net.width(name)
            entries = torch.tensor(rng.integers(0, width, 40))
            signs = torch.tensor(rng.choice([-1, 1], 40))
            form = torch.zeros(1, 40, width, dtype=torch.float64)
            form[0, torch.arange(40), entries] = signs.double()
            objective = Objective(name, form, form.new_zeros(1, 40))
            whole = lower_bound(region, objective).value[0]
            found = torch.full_like(whole, torch.nan)
            for rows, value in field_bounds(region, name, entries, signs=signs, deadline=FOREVER):
                found[rows] = value
            assert torch.allclose(found, whole, rtol=0, atol=1e-7 if double else 1e-2)
            if not double:
                assert (found < whole).all()  # more rounding is counted in float32


@pytest.mark.parametrize("pool", POOLS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_layer_bounds_contain_values(pool: MaxPool2d, seed: int) -> None:
    rng = np.random.default_rng(seed)
    net = network(rng, pool)
    x = torch.tensor(rng.random((1, 144)))
    ops = operators(net, "cpu", torch.float64)
    with torch.no_grad():
        refined = refine(ops, x - 0.1, x + 0.1)
        corners = torch.where(torch.rand(500, 144, dtype=torch.float64) < 0.5, x - 0.1, x + 0.1)
        sources = {name: net.node[name].inputs[0] for name in refined.bounds}
        values = forward(ops, {INPUT: corners.reshape(-1, 1, 12, 12)}, list(sources.values()))
    for name, (low, high) in refined.bounds.items():
        z = values[sources[name]].flatten(1)
        assert bool(((z >= low - 1e-9) & (z <= high + 1e-9)).all())


def test_a_layer_behind_two_maps_is_refined_before_the_first_relu() -> None:
    """y = (a + b) − (a − b) = 2b over |a|, |b| ≤ 1: intervals give ±4, a backward pass ±2."""
    nodes = (
        Node("both", Affine(np.array([[1.0, 1.0], [1.0, -1.0]]), np.zeros(2)), (INPUT,)),
        Node("y", Affine(np.array([[1.0, -1.0]]), np.zeros(1)), ("both",)),
        Node("relu", ReLU(), ("y",)),
    )
    ops = operators(Network(nodes, (2,)), "cpu", torch.float64)
    ones = torch.ones(1, 2, dtype=torch.float64)
    low, high = refine(ops, -ones, ones).bounds["relu"]
    assert [float(low), float(high)] == pytest.approx([-2, 2])


@pytest.mark.parametrize("alone", [True, False])
def test_the_checkers_refine_what_the_bounds_refine(alone: bool) -> None:
    """Also where a pool is not the only reader of a ReLU."""
    rng = np.random.default_rng(7)
    nodes = [
        Node(
            "c", Conv2d(rng.normal(size=(2, 1, 3, 3)), np.zeros(2), padding=(1, 1, 1, 1)), (INPUT,)
        ),
        Node("r", ReLU(), ("c",)),
        Node("p", MaxPool2d((3, 3), (1, 1), (1, 1, 1, 1), (1, 1)), ("r",)),
        Node("end", Add((1.0, 1.0)), ("p", "p" if alone else "r")),
    ]
    both = Network(tuple(nodes), (1, 6, 6))
    low = rng.normal(size=72)
    high = low + rng.uniform(0, 1, 72)
    ends = torch.tensor(low)[None], torch.tensor(high)[None]
    ops = operators(both, "cpu", torch.float64)
    ours = [one[0].numpy() for one in wanted(ops, both.node["r"], ends, constrained=False)]
    values = np.maximum(low, 0.0), np.maximum(high, 0.0)
    theirs = list(checker_pools.counting(both, "r", lambda: (low, high), lambda: values))
    assert len(ours) == len(theirs) == 2
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert ours[0].any() and ours[1].any()


def test_a_transpose_that_changes_weights_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever output channel it changes them of: forms are then held in float64."""
    layer = Conv2d(np.random.default_rng(3).normal(size=(40, 1, 3, 3)), np.zeros(40))
    plain = torch.nn.functional.conv_transpose2d

    def changed(form: torch.Tensor, weight: torch.Tensor, *rest: object) -> torch.Tensor:
        if form.dtype is torch.float32:
            weight = weight.clone()
            weight[39] *= 1 + 2.0**-20
        return plain(form, weight, *rest)  # type: ignore[arg-type]

    assert field_maps.copies_weights(layer)
    field_maps.copies_weights.cache_clear()
    monkeypatch.setattr(torch.nn.functional, "conv_transpose2d", changed)
    assert not field_maps.copies_weights(layer)
    field_maps.copies_weights.cache_clear()
