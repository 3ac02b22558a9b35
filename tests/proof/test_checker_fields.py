"""The checker bounds over parts of pictures as over whole ones; its convolutions are exact."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.sparse import csr_array
from test_pools import POOLS, network

from precond.checker import kernels, windows
from precond.checker.certificate import (
    FRAME,
    LEAF,
    Certificate,
    Linear,
    Statement,
    Tree,
    region,
)
from precond.checker.fast import check_fast
from precond.checker.fast_bounds import FastBounds
from precond.checker.kernels import WindowKernel
from precond.checker.windows import PictureWindow, whole
from precond.checker.words import read
from precond.network.evaluate import values_at
from precond.network.exact import exact_values
from precond.network.graph import INPUT, Network
from precond.network.layers import Conv2d, MaxPool2d, Node
from precond.network.sparse import affine_matrices

ROOM = 1e-9
LAYERS = [
    ((2, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((4, 3, 2), (2, 1), (0, 1, 2, 0), (1, 2), 2),
    ((3, 2, 3), (1, 3), (3, 3, 3, 3), (2, 1), 1),
]


def layer(rng: np.random.Generator, kind: int) -> Conv2d:
    (out, height, width), stride, padding, dilation, groups = LAYERS[kind]
    weight = rng.normal(size=(out, 4 // groups, height, width))
    weight *= 10.0 ** rng.integers(-4, 1, weight.shape)
    return Conv2d(weight, np.zeros(out), stride, padding, dilation=dilation, groups=groups)


def fractions(n: np.ndarray, e: int) -> list[Fraction]:
    return [Fraction(int(v)) * Fraction(2) ** e for v in n.reshape(-1)]


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("kind", range(len(LAYERS)))
def test_a_kernel_gives_the_matrix_products(
    kind: int, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In fractions: a form times the layer's matrix, less than two units low, and no further off
    than the weights' digits that were left out; nothing outside of the window that is seen."""
    monkeypatch.setattr(kernels, "FULL", 10_000 if full else 0)
    rng = np.random.default_rng(kind)
    shape = (4, 7, 6)
    found = layer(rng, kind)
    built = WindowKernel(found, shape, 27)
    assert bool(built.rest.any()) is not full
    both = Network((Node("c", found, (INPUT,)),), shape)
    (matrix,), _ = affine_matrices(both, "c")
    dense = matrix.toarray()
    missing = Network((Node("c", built.missing, (INPUT,)),), shape) if built.missing else None
    left_out = affine_matrices(missing, "c")[0][0].toarray() if missing else 0 * dense
    channels, height, width = both.shapes["c"]
    for _ in range(3):
        top, left = int(rng.integers(height)), int(rng.integers(width))
        part = PictureWindow(
            (channels, height, width),
            (top, int(rng.integers(top + 1, height + 1))),
            (left, int(rng.integers(left + 1, width + 1))),
        )
        x = read(rng.normal(size=(1, 2, part.size)), 27)
        y, seen = built.product(x, part)
        rows = dense[part.index]
        outside = np.setdiff1d(np.arange(dense.shape[1]), np.arange(dense.shape[1])[seen.index])
        assert not rows[:, outside].any()
        unit = Fraction(2) ** y.e
        for r in range(2):
            form = fractions(x.n[0, r], x.e)
            for j, got in zip(
                np.arange(dense.shape[1])[seen.index], fractions(y.n[0, r], y.e), strict=True
            ):
                true = sum(a * Fraction(w) for a, w in zip(form, rows[:, j], strict=True))
                off = sum(
                    abs(a) * Fraction(w)
                    for a, w in zip(form, left_out[part.index][:, j], strict=True)
                )
                assert -off <= true - got < WindowKernel.ERROR * unit + off


@pytest.mark.parametrize("kind", range(len(LAYERS)))
def test_a_kernels_image_encloses_and_is_tight(kind: int) -> None:
    rng = np.random.default_rng(kind)
    shape = (4, 7, 6)
    found = layer(rng, kind)
    (matrix,), _ = affine_matrices(Network((Node("c", found, (INPUT,)),), shape), "c")
    dense = matrix.toarray()
    low = rng.normal(size=dense.shape[1])
    high = low + rng.uniform(size=len(low))
    ends = read(np.stack([low, -high])[:, None], 27)
    image = WindowKernel(found, shape, 27).image(ends)
    least = np.maximum(dense, 0) @ low + np.minimum(dense, 0) @ high
    most = np.maximum(dense, 0) @ high + np.minimum(dense, 0) @ low
    got = np.ldexp(image.n[:, 0], image.e)
    room = 1e-6 * np.abs(dense).sum(1)
    assert (got[0] <= least + ROOM).all() and (got[0] >= least - room).all()
    assert (got[1] <= -most + ROOM).all() and (got[1] >= -most - room).all()


def stated(
    network: Network, point: np.ndarray, radius: float, *ways: tuple[Linear, ...]
) -> Statement:
    return Statement(
        network=network.hash,
        origin="",
        lower=point - radius,
        upper=point + radius,
        literals=(),
        clauses=ways,
        matrix=np.zeros((0, len(point))),
        bound=np.zeros(0),
        vacuous=not ways,
    )


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_bounds_over_windows_are_those_over_whole_pictures(
    pool: MaxPool2d, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With strides, groups, dilation, a residual sum, a join and pools; and what inputs of the
    box give lies within."""
    monkeypatch.setattr(kernels, "FULL", 10_000 if full else 0)
    rng = np.random.default_rng(11)
    net = network(rng, pool)
    point = rng.uniform(size=net.input_size)
    none = csr_array((0, 3 * net.neurons))
    checker = FastBounds(
        net, Certificate(statement=stated(net, point, 0.02), bits=27, trees=(), records=none)
    )
    state = region(checker.given.statement, net)[:, None]
    cells = checker.derive(state, refine=[{}])
    intervals = checker.derive(state)
    with monkeypatch.context() as all_of_it:
        all_of_it.setattr(PictureWindow, "read_by", lambda self, layer, shape: whole(shape))
        all_of_it.setattr("precond.checker.fast_bounds.around", lambda shape, _: whole(shape))
        everywhere = checker.derive(state, refine=[{}])
    inputs = point + rng.uniform(-0.02, 0.02, (40, net.input_size))
    tighter = 0
    for name, ends in cells.values.items():
        low, high = np.ldexp(ends.n[0, 0], ends.e), -np.ldexp(ends.n[1, 0], ends.e)
        value = (values_at(net, inputs, name) if name != INPUT else inputs).reshape(40, -1)
        assert (value >= low - ROOM).all() and (value <= high + ROOM).all()
        other = everywhere.values[name]
        room = 1e-5 * (1 + np.abs(low) + np.abs(high))
        assert (np.abs(np.ldexp(other.n[0, 0], other.e) - low) <= room).all()
        assert (np.abs(-np.ldexp(other.n[1, 0], other.e) - high) <= room).all()
        first = intervals.values[name]
        tighter += int((low > np.ldexp(first.n[0, 0], first.e) + 1e-3).sum())
    assert tighter > 20


def test_what_a_part_of_a_layer_reads() -> None:
    """By hand: rows 1 and 2 of a 3 × 3 kernel with stride 2 and one row of padding start at row
    1 · 2 − 1 = 1 and end with row 2 · 2 − 1 + 2 = 5."""
    conv = Conv2d(np.ones((1, 1, 3, 3)), np.zeros(1), (2, 2), (1, 1, 1, 1))
    part = PictureWindow((1, 4, 4), (1, 3), (0, 1))
    assert part.read_by(conv, (1, 8, 8)) == PictureWindow((1, 8, 8), (1, 6), (0, 2))
    assert whole((1, 4, 4)).union(part) == whole((1, 4, 4))
    assert part.spread(np.array([5.0, 7.0]), whole((1, 4, 4))).reshape(4, 4)[1:3, 0].tolist() == [
        5.0,
        7.0,
    ]


def test_neighbours_stand_together() -> None:
    """The first four pixels of a 4 × 4 picture are its upper left quarter, both channels each."""
    first = windows.neighbours_first((2, 4, 4))[:8]
    assert first.tolist() == [0, 16, 1, 17, 4, 20, 5, 21]


@pytest.mark.parametrize("pool", POOLS[:2], ids=str)
def test_a_false_statement_about_a_convolutional_network_is_never_valid(pool: MaxPool2d) -> None:
    """The limit lies between two values that the network takes."""
    rng = np.random.default_rng(5)
    net = network(rng, pool)
    point = rng.uniform(size=net.input_size)
    value = float(exact_values(net, point)[net.output].fractions()[0])
    none = csr_array((0, 3 * net.neurons))
    for off, holds in ((1e-7, False), (-1e4, True)):
        way = (Linear(((0, 1.0),), (), value + off, False),)
        tree = Tree(
            (0,),
            np.array([FRAME + LEAF], np.uint8),
            np.array([-1]),
            np.zeros(0),
            np.ones((1, 1)),
            np.array([[-1]]),
        )
        given = Certificate(
            statement=stated(net, point, 0.01, way), bits=27, trees=(tree,), records=none
        )
        assert check_fast(given, net).valid is holds
