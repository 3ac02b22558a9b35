"""The .nnet reader against the formula of the format, written naively."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from precond.errors import ModelError
from precond.formats.load import load
from precond.formats.onnx.writer import write_onnx
from precond.network.evaluate import outputs
from precond.network.layers import ReLU

SMALL = """// two inputs, one hidden layer of two, one output
2,2,1,2,
2,2,1,
0,
-10,-10,
10,10,
1,2,5,
2,4,3,
1,0,
0,-1,
0.5,
0,
1,1,
0,
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "net.nnet"
    path.write_text(text)
    return path


def test_value_by_hand(tmp_path: Path) -> None:
    network = load(write(tmp_path, SMALL))
    # x = (5, 10): normalised (2, 2); hidden relu(2.5, -2) = (2.5, 0); out 2.5·3 + 5.
    assert outputs(network, np.array([[5.0, 10.0]])).tolist() == [[12.5]]
    assert network.decision_layers == ("relu1",)
    # Inputs outside [minimum, maximum] are not clipped: x = (101, 2) → 50.5·3 + 5.
    assert outputs(network, np.array([[101.0, 2.0]])).tolist() == [[156.5]]


def naive(x: np.ndarray, layers: list, means: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    value = [(x[i] - means[i]) / ranges[i] for i in range(len(x))]
    for depth, (weight, bias) in enumerate(layers):
        sums = [
            sum(w * v for w, v in zip(row, value, strict=True)) + b
            for row, b in zip(weight, bias, strict=True)
        ]
        value = [max(s, 0.0) for s in sums] if depth + 1 < len(layers) else sums
    return np.array([v * ranges[-1] + means[-1] for v in value])


def test_random_network(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = [5, 7, 6, 3]
    layers = [(rng.normal(size=(n, m)), rng.normal(size=n)) for m, n in itertools.pairwise(sizes)]
    means, ranges = rng.normal(size=6), rng.uniform(1.0, 9.0, size=6)

    def row(values: np.ndarray | list[int]) -> str:
        return ",".join(repr(float(v)) for v in values) + ",\n"

    text = "//comment\n//more\n3,5,3,7,\n5,7,6,3,\n0,\n"
    text += row([-1] * 5) + row([1] * 5) + row(means) + row(ranges)
    for weight, bias in layers:
        text += "".join(row(line) for line in weight) + "".join(row([b]) for b in bias)
    network = load(write(tmp_path, text))
    inputs = rng.normal(scale=5.0, size=(1000, 5))
    want = np.stack([naive(x, layers, means, ranges) for x in inputs])
    np.testing.assert_allclose(outputs(network, inputs), want, 1e-11, 1e-11)
    assert [n.name for n in network.nodes if isinstance(n.layer, ReLU)] == ["relu1", "relu2"]
    write_onnx(network, tmp_path / "net.onnx")
    np.testing.assert_allclose(outputs(load(tmp_path / "net.onnx"), inputs), want, 1e-11, 1e-11)


def test_no_normalisation_leaves_no_scale(tmp_path: Path) -> None:
    text = SMALL.replace("1,2,5,\n2,4,3,", "0,0,0,\n1,1,1,")
    assert [n.name for n in load(write(tmp_path, text)).nodes] == ["affine1", "relu1", "affine2"]


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("1,1,\n0,\n", "1,1,\n", "biases of layer 2, got the end of the file"),
        ("0,-1,\n", "0,-1,3,\n", "line 10: the weights of layer 1: expected 2 numbers, got 3"),
        ("0.5,", "half,", "line 11: expected numbers between commas, got half"),
        ("0.5,", "nan,", "line 11: expected finite numbers"),
        ("2,4,3,", "2,0,3,", "ranges: expected numbers other than 0"),
        ("2,2,1,\n0,", "2,3,2,1,\n0,", "expected 3 sizes from 2 to 1"),
        ("2,2,1,2,", "2,", "header"),
        ("2,2,1,2,", "inf,2,1,2,", "line 2: expected finite"),
    ],
)
def test_broken_files(old: str, new: str, match: str, tmp_path: Path) -> None:
    assert old in SMALL
    with pytest.raises(ModelError, match=match) as caught:
        load(write(tmp_path, SMALL.replace(old, new, 1)))
    assert "\n" not in str(caught.value)


def test_binary_file(tmp_path: Path) -> None:
    path = tmp_path / "net.nnet"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ModelError, match="expected a text file"):
        load(path)
    path.write_text("")
    with pytest.raises(ModelError, match="expected the header, got the end"):
        load(path)
