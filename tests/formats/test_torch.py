"""The torch reader against torch itself: modules, exported programs, archives, state dicts."""

from __future__ import annotations

import dataclasses
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clocks import slow_but
from torch import Tensor, nn
from torch.nn import functional as F

from precond.errors import ModelError, UnsupportedOperator
from precond.formats.load import load
from precond.formats.lowering.stated import Activation
from precond.formats.onnx.writer import write_onnx
from precond.network.activation import OutputActivation
from precond.network.describe import describe
from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.network.layers import Affine, LeakyReLU
from precond.proof.claim import Claim
from precond.proof.prover.prove import prove
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

SAMPLES = 1000


class Apply(nn.Module):
    """A module around one function of its input."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("c", torch.randn(4, 6))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


class Residual(nn.Module):
    """Convolutions, in-place ReLUs, batch normalisation and a skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 3, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(3)
        self.second = nn.Conv2d(3, 3, 3, padding=1, groups=3)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(3 * 5 * 5, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.first(x)))
        y = self.second(x)
        y += x
        x = self.pool(self.relu(y))
        return self.last(self.drop(x.view(x.size(0), -1)))


def residual() -> Residual:
    torch.manual_seed(0)
    module = Residual()
    for _ in range(3):  # gives the batch normalisation statistics of its own
        module(torch.randn(16, 1, 8, 8))
    return module


def assert_like_torch(network: Network, module: nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    inputs = torch.randn(SAMPLES, *shape)
    training = module.training
    module.eval()
    with torch.no_grad():
        want = module(inputs).flatten(1).numpy()
    module.train(training)
    got = outputs(network, inputs.numpy(), dtype=torch.float32)
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= 1e-5 * max(np.abs(want).max(), 1e-3)


IMAGE = (2, 7, 6)
FUNCTIONS = {
    "scalar arithmetic": ((4, 6), lambda m, x: (0.1 - x) * 0.3 / 0.7 + 1.3),
    "tensor arithmetic": ((4, 6), lambda m, x: m.c - torch.sub(x * m.c, m.c, alpha=0.5)),
    "branches": ((4, 6), lambda m, x: torch.add(F.relu(x), -x, alpha=0.25)),
    "matmul": ((4, 6), lambda m, x: x @ m.c.t()),
    "matmul left": ((6, 3), lambda m, x: m.c @ x),
    "linear flat": ((6,), lambda m, x: F.linear(x, m.c)),
    "addmm": ((6,), lambda m, x: torch.addmm(m.c[:, 0], x, m.c.t(), beta=0.5, alpha=2.0)),
    "mm": ((6,), lambda m, x: torch.mm(x, m.c.t())),
    "leaky": ((6,), lambda m, x: F.leaky_relu(x, 0.1)),
    "relu6": ((6,), lambda m, x: F.relu6(4 * x)),
    "clamp": ((6,), lambda m, x: x.clamp(0.0, 0.5)),
    "clamp min": ((6,), lambda m, x: x.clamp(min=0)),
    "average pool": (IMAGE, lambda m, x: F.avg_pool2d(x, 3, 2, 1)),
    "average pool ceil": (
        IMAGE,
        lambda m, x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
    ),
    "average pool ceil counted": (IMAGE, lambda m, x: F.avg_pool2d(x, (3, 2), 2, 1, True)),
    "average pool divisor": (IMAGE, lambda m, x: F.avg_pool2d(x, 2, divisor_override=3)),
    "adaptive 1": (IMAGE, lambda m, x: F.adaptive_avg_pool2d(x, 1)),
    "adaptive": (IMAGE, lambda m, x: F.adaptive_avg_pool2d(x, (7, 2))),
    "max pool": (IMAGE, lambda m, x: F.max_pool2d(x, 2)),
    "max pool dilated": (IMAGE, lambda m, x: F.max_pool2d(x, 2, 1, 1, dilation=2)),
    "max pool ceil": (IMAGE, lambda m, x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True)),
    "conv same": (IMAGE, lambda m, x: F.conv2d(x, m.c.reshape(2, 2, 2, 3), padding="same")),
    "flatten": (IMAGE, lambda m, x: F.relu(x.flatten(2))),
    "permute": (IMAGE, lambda m, x: x.permute(0, 3, 1, 2)),
    "transpose": (IMAGE, lambda m, x: x.transpose(1, -1)),
    "reshape": (IMAGE, lambda m, x: F.relu(x.reshape(x.shape[0], x.shape[2] * 3, -1))),
    "slice": (IMAGE, lambda m, x: x[:, 1:, ::2, -3:]),
    "select": (IMAGE, lambda m, x: x[:, 1] + x[:, 0]),
    "index": (IMAGE, lambda m, x: x.index_select(2, torch.tensor([4, 0]))),
    "cat": ((4, 6), lambda m, x: torch.cat([x, m.c[None].expand(x.shape[0], 4, 6), -x], 2)),
    "split": ((4, 6), lambda m, x: torch.sub(*x.split([3, 3], 2))),
    "split size": ((4, 6), lambda m, x: x.split(4, 2)[1]),
    "chunk": ((4, 6), lambda m, x: x.chunk(3, -1)[2]),
    "squeeze": ((1, 6), lambda m, x: F.relu(x.squeeze(1)).unsqueeze(-1)),
    "pad": ((4, 6), lambda m, x: F.pad(x, (1, 2, 0, 1), value=0.5)),
    "mean": (IMAGE, lambda m, x: x.mean((2, 3))),
    "sum": (IMAGE, lambda m, x: x.sum(1, keepdim=True)),
    "leaky steep": ((6,), lambda m, x: F.leaky_relu(x, -0.5) + F.leaky_relu(x, 2.0)),
    "prelu": ((4, 6), lambda m, x: F.prelu(x, m.c[:, 0])),
    "prelu one": ((6,), lambda m, x: F.prelu(x, m.c[0, :1])),
    "hardtanh": ((6,), lambda m, x: F.hardtanh(x) + F.hardtanh(x, -0.2, 0.7)),
    "hardsigmoid": ((6,), lambda m, x: F.hardsigmoid(4 * x)),
    "threshold": ((6,), lambda m, x: F.threshold(x, 0.25, 0.25)),
    "clamp general": ((6,), lambda m, x: x.clamp(-0.5, 0.25) + x.clamp(max=-0.1)),
    "clamp crossed": ((6,), lambda m, x: x.clamp(0.5, -0.5)),
    "abs": ((6,), lambda m, x: x.abs()),
    "maximum": ((4, 6), lambda m, x: torch.maximum(x, m.c) + torch.minimum(-x, x * 2)),
    "max of two": ((6,), lambda m, x: torch.max(x, -x) - torch.min(x, 0.5 * x)),
    "amax": (IMAGE, lambda m, x: x.amax((1, 3)) - x.amin((1, 3))),
    "amax kept": (IMAGE, lambda m, x: x.amax(2, keepdim=True)),
    "max over": (IMAGE, lambda m, x: x.max(1).values - x.min(1)[0]),
    "where": ((4, 6), lambda m, x: torch.where(m.c > 0, x, -2 * x)),
    "where number": ((4, 6), lambda m, x: torch.where(m.c > 0, x, 0.5)),
    "masked": ((4, 6), lambda m, x: x.masked_fill(m.c > 0, 1.5)),
    "like": ((4, 6), lambda m, x: x + torch.ones_like(x) - torch.full_like(x, 0.25)),
    "stack": ((6,), lambda m, x: torch.stack([x, -x], -1)),
    "unbind": ((4, 6), lambda m, x: x.unbind(1)[2]),
    "flip": ((4, 6), lambda m, x: x.flip(1, 2)),
    "roll": ((4, 6), lambda m, x: x.roll((1, -2), (1, 2))),
    "repeat": ((6,), lambda m, x: x.repeat(1, 3)),
    "conv line": ((4, 6), lambda m, x: F.conv1d(x, m.c.reshape(3, 4, 2), stride=2, padding=1)),
    "conv line up": (
        (4, 6),
        lambda m, x: F.conv_transpose1d(x, m.c.reshape(4, 3, 2), stride=2, output_padding=1),
    ),
    "pool line": ((4, 6), lambda m, x: F.max_pool1d(x, 2) - F.avg_pool1d(x, 2)),
    "pool line adaptive": (
        (4, 6),
        lambda m, x: F.adaptive_avg_pool1d(x, 3) + F.adaptive_max_pool1d(x, 1),
    ),
    "conv up": (
        IMAGE,
        lambda m, x: F.conv_transpose2d(
            x, m.c.reshape(2, 2, 2, 3), stride=(2, 1), padding=1, dilation=(1, 2)
        ),
    ),
    "conv up groups": (
        IMAGE,
        lambda m, x: F.conv_transpose2d(x, m.c.reshape(2, 3, 2, 2), m.c[0], stride=2, groups=2),
    ),
    "adaptive max": (IMAGE, lambda m, x: F.adaptive_max_pool2d(x, (7, 2))),
    "nearest": (IMAGE, lambda m, x: F.interpolate(x, scale_factor=2)),
    "nearest size": (IMAGE, lambda m, x: F.interpolate(x, (14, 18))),
    "nearest exact": (IMAGE, lambda m, x: F.interpolate(x, (14, 12), mode="nearest-exact")),
    "bilinear": (IMAGE, lambda m, x: F.interpolate(x, scale_factor=2, mode="bilinear")),
    "bilinear size": (IMAGE, lambda m, x: F.interpolate(x, (5, 9), mode="bilinear")),
    "bilinear corners": (
        IMAGE,
        lambda m, x: F.interpolate(x, (9, 11), mode="bilinear", align_corners=True),
    ),
    "linear": ((4, 6), lambda m, x: F.interpolate(x, 12, mode="linear")),
    "pixels": ((4, 6), lambda m, x: F.pixel_shuffle(x.reshape(-1, 4, 2, 3), 2)),
    "pixels back": ((4, 6), lambda m, x: F.pixel_unshuffle(x.reshape(-1, 1, 4, 6), 2)),
    "einsum": ((4, 6), lambda m, x: torch.einsum("bij,kj->bik", x, m.c)),
    "einsum both": ((4, 6), lambda m, x: torch.einsum("bij,ij->bi", x, m.c)),
    "conv volume": (
        (2, 4, 3, 5),
        lambda m, x: F.conv3d(x, m.c.reshape(2, 2, 3, 2, 1), m.c[0, :2], 2, 1, dilation=(1, 2, 1)),
    ),
    "conv volume same": (
        (2, 4, 3, 5),
        lambda m, x: F.conv3d(x, m.c.reshape(2, 1, 3, 2, 2), padding="same", groups=2),
    ),
    "conv volume up": (
        (2, 4, 3, 5),
        lambda m, x: F.conv_transpose3d(x, m.c.reshape(2, 3, 1, 2, 2), stride=2, padding=(0, 1, 0)),
    ),
    "pools volume": (
        (2, 4, 3, 5),
        lambda m, x: F.max_pool3d(x, 2, 1, 1, ceil_mode=True) - F.avg_pool3d(x, 2, 1, 1),
    ),
    "pools volume adaptive": (
        (2, 4, 3, 5),
        lambda m, x: F.adaptive_avg_pool3d(x, (2, 3, 1)) - F.adaptive_max_pool3d(x, 1),
    ),
    "average volume divisor": (
        (2, 4, 3, 5),
        lambda m, x: F.avg_pool3d(x, (2, 1, 3), divisor_override=4),
    ),
    "trilinear": (
        (2, 4, 3, 5),
        lambda m, x: F.interpolate(x, scale_factor=2, mode="trilinear"),
    ),
    "bicubic": (IMAGE, lambda m, x: F.interpolate(x, scale_factor=2, mode="bicubic")),
    "bicubic corners": (
        IMAGE,
        lambda m, x: F.interpolate(x, (9, 11), mode="bicubic", align_corners=True),
    ),
    "cumsum": ((4, 6), lambda m, x: x.cumsum(1) - x.cumsum(-1)),
    "gather": ((4, 6), lambda m, x: x.gather(2, torch.tensor([[[1, 0]]]).expand(x.shape[0], 4, 2))),
    "indexed": ((4, 6), lambda m, x: x[:, [2, 0]] + x[:, 1:2, :]),
    "masked index": ((4, 6), lambda m, x: x[:, :, torch.tensor([True, False] * 3)]),
    "triangle": ((4, 6), lambda m, x: x.tril(1) + x.triu()),
    "moved": ((4, 6), lambda m, x: x.movedim(1, 2).swapaxes(1, 2) + x.view_as(x)),
    "unflattened": ((4, 6), lambda m, x: x.unflatten(2, (2, 3)).narrow(3, 1, 2)),
    "tiled": ((4, 6), lambda m, x: x.tile(2, 1).type_as(x)),
    "bmm": ((4, 6), lambda m, x: torch.bmm(x, m.c.t()[None].expand(x.shape[0], 6, 4))),
    "powers": ((4, 6), lambda m, x: x**1 + x**0),
    "folded": ((4, 6), lambda m, x: x + torch.sqrt(m.c * m.c).t().t()),
}


class Together(Apply):
    """Several functions of one input, side by side (one export is quicker than many)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([function(self, x).flatten(1) for function in self.function], 1)


@pytest.mark.parametrize("shape", sorted({shape for shape, _ in FUNCTIONS.values()}))
def test_functions(shape: tuple[int, ...]) -> None:
    functions = {name: f for name, (own, f) in FUNCTIONS.items() if own == shape}
    torch.manual_seed(0)
    module = Together(list(functions.values()))
    inputs = torch.randn(SAMPLES, *shape)
    got = outputs(load(module, shape), inputs.numpy(), dtype=torch.float32)
    start = 0
    for name, function in functions.items():
        want = function(module, inputs).flatten(1).numpy()
        part = got[:, start : start + want.shape[1]]
        assert np.abs(part - want).max() <= 1e-5 * np.abs(want).max(), name
        start += want.shape[1]
    assert start == got.shape[1]


def test_residual_module_in_evaluation_mode_without_touching_it() -> None:
    module = residual().train()
    module.drop.eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    network = load(module, (1, 8, 8))
    assert module.training and module.norm.training and not module.drop.training
    after = module.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert network.decision_layers == ("relu1", "relu2")
    assert network.origin == "Residual"
    assert_like_torch(network, module, (1, 8, 8))


@pytest.mark.parametrize("open_batch", [True, False])
@pytest.mark.parametrize("suffix", slow_but((".pt2",), (".pt2", ".pt", ".pth")))
def test_archive(open_batch: bool, suffix: str, tmp_path: Path) -> None:
    module = residual().eval()
    sizes = ({0: torch.export.Dim("batch", min=2, max=64)},) if open_batch else None
    sample = torch.zeros(2 if open_batch else 1, 1, 8, 8)
    exported = torch.export.export(module, (sample,), dynamic_shapes=sizes)
    path = tmp_path / f"model{suffix}"
    with path.open("wb") as stream:
        # As a user saves it; in-place operators still stand in this program.
        torch.export.save(exported.run_decompositions({}), stream)
    network = load(path)
    assert network.input_shape == (1, 8, 8)
    assert_like_torch(network, module, (1, 8, 8))
    assert load(exported).hash == network.hash


def test_archive_with_inplace_operators(tmp_path: Path) -> None:
    plain = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.ReLU(inplace=True),
        nn.Linear(8, 2),
    ).eval()
    torch.export.save(
        torch.export.export(plain, (torch.zeros(1, 1, 4, 4),)), tmp_path / "plain.pt2"
    )
    assert_like_torch(load(tmp_path / "plain.pt2"), plain, (1, 4, 4))

    class Shared(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = 2 * x
            F.relu(y.view(-1, 3), inplace=True)  # changes y as well
            return y + x

    shared = Shared()
    torch.export.save(torch.export.export(shared, (torch.zeros(1, 3),)), tmp_path / "shared.pt2")
    with pytest.raises(ModelError, match=r"relu_ overwrites.*run_decompositions"):
        load(tmp_path / "shared.pt2")
    assert_like_torch(load(shared, (3,)), shared, (3,))


def test_softmax_is_kept_aside() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), nn.LogSoftmax(1))
    network = load(module, (3,))
    assert network.output_activation is OutputActivation.LOG_SOFTMAX
    assert_like_torch(network, module[:3], (3,))


def test_numbers_are_those_torch_computes_with() -> None:
    layer = load(nn.Sequential(nn.LeakyReLU(0.01)), (3,)).nodes[0].layer
    assert isinstance(layer, LeakyReLU) and layer.slope == float(np.float32(0.01))
    layer = load(nn.Sequential(nn.LeakyReLU(0.01), nn.Linear(3, 1).double()), (3,)).nodes[0].layer
    assert isinstance(layer, LeakyReLU) and layer.slope == 0.01


def perceptron() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(6, 5),
        nn.ReLU(),
        nn.Linear(5, 4, bias=False),
        nn.ReLU(),
        nn.Linear(4, 3),
    )


def test_state_dict(tmp_path: Path) -> None:
    module = perceptron()
    torch.save(module.state_dict(), tmp_path / "model.pt")
    network = load(tmp_path / "model.pt", activation="relu")
    assert network.decision_layers == ("relu1", "relu2")
    assert_like_torch(network, module, (6,))
    shaped = load(tmp_path / "model.pt", (2, 3), activation=Activation.RELU)
    assert shaped.input_shape == (2, 3)
    with pytest.raises(ModelError, match="expected 6 values"):
        load(tmp_path / "model.pt", (7,), activation="relu")


@pytest.mark.parametrize("between", [nn.ReLU(), nn.Tanh(), nn.LeakyReLU(0.3), nn.GELU()])
def test_activations_of_a_state_dict_are_stated_not_guessed(
    between: nn.Module, tmp_path: Path
) -> None:
    module = nn.Sequential(nn.Linear(4, 8), between, nn.Linear(8, 3), nn.Sigmoid())
    path = tmp_path / "m.pt"
    torch.save(module.state_dict(), path)
    with pytest.raises(ModelError, match=r"does not name its activations.*--activation relu"):
        load(path)
    network = load(path, activation="relu")
    stated = "m.pt (activation as stated by the user: ReLU)"
    assert network.origin == f"{tmp_path}/{stated}"
    assert stated in describe(network)
    claim = Claim(network, Box.uniform(4, 0, 1), DecisionPattern(), Property.argmax(0, 3))
    weak = dataclasses.replace(
        claim, property=Property(((Inequality({0: 1.0}, -1e6),),), "far from what it can be")
    )
    certificate = prove(weak, exact=True).certificate
    assert certificate is not None and stated in str(certificate.statement)


def test_an_activation_is_stated_for_nothing_else(tmp_path: Path) -> None:
    torch.save(perceptron().state_dict(), tmp_path / "m.pt")
    with pytest.raises(ModelError, match="expected relu, got 'tanh'"):
        load(tmp_path / "m.pt", activation="tanh")
    with pytest.raises(ModelError, match="says its activations itself"):
        load(nn.Linear(3, 2), (3,), activation="relu")
    exported = torch.export.export(perceptron().eval(), (torch.zeros(1, 6),))
    torch.export.save(exported, tmp_path / "m.pt2")
    with pytest.raises(ModelError, match="says its activations itself"):
        load(tmp_path / "m.pt2", activation="relu")
    write_onnx(load(exported), tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="says its activations itself"):
        load(tmp_path / "m.onnx", activation="relu")


STATES = {
    "two in a row": {"0.weight": torch.ones(2, 2), "1.weight": torch.ones(2, 2)},
    "something between": {"0.weight": torch.ones(2, 2), "3.weight": torch.ones(2, 2)},
    "named layers": {"fc1.weight": torch.ones(2, 2)},
    "convolution": {"0.weight": torch.ones(2, 2, 3, 3)},
    "two modules": {"a.0.weight": torch.ones(2, 2), "b.2.weight": torch.ones(2, 2)},
    "batch norm": {"0.weight": torch.ones(2, 2), "1.running_mean": torch.ones(2)},
    "bias alone": {"0.bias": torch.ones(2)},
    "wrong bias": {"0.weight": torch.ones(2, 2), "0.bias": torch.ones(3)},
    "a list": [torch.ones(2, 2)],
    "nothing": {},
}


@pytest.mark.parametrize("name", sorted(STATES))
def test_ambiguous_state_dicts_are_refused(name: str, tmp_path: Path) -> None:
    torch.save(STATES[name], tmp_path / "model.pt")
    with pytest.raises(ModelError, match=r"model\.pt.*torch\.export\.save.*ONNX") as caught:
        load(tmp_path / "model.pt", activation="relu")
    assert "\n" not in str(caught.value)


class Trap:
    """A pickle that would leave a file behind if it were opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.mark,))


def test_pickles_are_refused_and_not_opened(tmp_path: Path) -> None:
    mark = tmp_path / "opened"
    torch.save(perceptron(), tmp_path / "module.pt")
    torch.save(Trap(mark), tmp_path / "trap.pt")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Trap(mark)))
    for name in ("module.pt", "trap.pt", "raw.pth"):
        with pytest.raises(ModelError, match=r"could run code.*torch\.export\.save"):
            load(tmp_path / name)
    assert not mark.exists()


def rewritten(source: Path, target: Path, old: bytes, new: bytes) -> Path:
    """A copy of an archive with other bytes in its text entries."""
    with zipfile.ZipFile(source) as read, zipfile.ZipFile(target, "w") as write:
        for name in read.namelist():
            content = read.read(name)
            write.writestr(name, content.replace(old, new) if name.endswith(".json") else content)
    return target


def test_hostile_and_broken_archives(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.ReLU()).eval()
    good = tmp_path / "good.pt2"
    torch.export.save(torch.export.export(module, (torch.zeros(1, 3),)), good)
    load(good)
    bad = tmp_path / "bad.pt2"
    rewritten(good, bad, b'"use_pickle": false', b'"use_pickle": true')
    with pytest.raises(ModelError, match="pickle, which could run code"):
        load(bad)
    rewritten(good, bad, b"aten.relu.default", b"aten.tanh.default")
    with pytest.raises(UnsupportedOperator, match=r"bad\.pt2: node relu.*tanh of a computed value"):
        load(bad)
    rewritten(good, bad, b'"as_int": 3', b'"as_int": 3000')
    with pytest.raises(ModelError, match=r"bad\.pt2"):
        load(bad)
    content = good.read_bytes()
    for length in range(0, len(content), 211):
        bad.write_bytes(content[:length])
        with pytest.raises(ModelError, match=r"bad\.pt2") as caught:
            load(bad)
        assert "\n" not in str(caught.value)


def test_torchscript_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        archive.writestr("script/constants.pkl", b"")
    with pytest.raises(ModelError, match="got a TorchScript archive"):
        load(tmp_path / "script.pt")


def test_module_errors() -> None:
    with pytest.raises(ModelError, match="expected input_shape"):
        load(nn.Linear(3, 2))
    with pytest.raises(ModelError, match="module Linear: expected one that"):
        load(nn.Linear(3, 2), (4,))
    with pytest.raises(ModelError, match="expected a path, a torch module"):
        load(3)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(
        UnsupportedOperator,
        match=r"node tanh.*tanh of a computed value is not piecewise linear.*Attributions",
    ):
        load(nn.Sequential(nn.Linear(3, 2), nn.Tanh()), (3,))
    with pytest.raises(ModelError, match="mixes the batch axis"):
        load(Apply(lambda m, x: x - x.mean(0)), (3,))
    broken = nn.Linear(3, 2)
    nn.init.constant_(broken.weight, float("nan"))
    with pytest.raises(ModelError, match="weight of the affine layer: expected finite"):
        load(broken, (3,))
    trained = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).train()
    exported = torch.export.export(trained, (torch.zeros(4, 3),))
    with pytest.raises(ModelError, match="evaluation mode"):
        load(exported)


def test_affine_keeps_float32_weights_exactly() -> None:
    module = nn.Linear(3, 2)
    layer = load(module, (3,)).nodes[0].layer
    assert isinstance(layer, Affine)
    assert np.array_equal(layer.weight, module.weight.detach().double().numpy())
    assert np.array_equal(layer.bias, module.bias.detach().double().numpy())
