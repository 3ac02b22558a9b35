"""Files that hold no network by themselves: each refusal has the lines that make one of them, and
these lines work as they stand.  Weights beside an architecture: in a module, or a plain chain."""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from precond.cli import main
from precond.errors import ModelError
from precond.formats.load import load
from precond.formats.torch.safetensors import read_safetensors
from precond.network.evaluate import outputs


class Net(nn.Module):
    """What a user's code has at hand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 2, 3), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.conv(x)).flatten(1))


SHAPE = (1, 4, 4)


def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


def save_safetensors(state: Mapping[str, torch.Tensor], path: Path) -> None:
    """As the package ``safetensors`` writes: a length, a header in JSON, raw numbers."""
    entries, data = {"__metadata__": {"format": "pt"}}, b""
    names = {torch.float32: "F32", torch.float64: "F64", torch.bfloat16: "BF16", torch.int64: "I64"}
    for name, tensor in state.items():
        raw = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        entries[name] = {
            "dtype": names[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    header = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


def script(module: Net, path: Path) -> None:
    torch.jit.save(torch.jit.trace(module, torch.zeros(1, *SHAPE)), str(path))


FILES = {
    "whole.pt": lambda m, p: torch.save(m, p),
    "checkpoint.pt": lambda m, p: torch.save({"state_dict": m.state_dict(), "epoch": 3}, p),
    "state.pth": lambda m, p: torch.save(m.state_dict(), p),
    "script.pt": script,
    "weights.safetensors": lambda m, p: save_safetensors(m.state_dict(), p),
}


@pytest.mark.parametrize("name", FILES)
def test_the_lines_of_a_refusal_make_a_model_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, path = net(), tmp_path / name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about TorchScript
        FILES[name](module, path)
        with pytest.raises(ModelError) as caught:
            load(path)
        text = str(caught.value)
        assert "\n" not in text
        lines = text[text.index("In Python") :].partition(": ")[2]
        lines = lines[: lines.index("dynamo=False)")] + "dynamo=False)"
        monkeypatch.chdir(tmp_path)
        package = SimpleNamespace(
            torch=SimpleNamespace(load_file=lambda n: read_safetensors(Path(n)))
        )
        exec(lines, {"torch": torch, "Net": Net, "INPUT_SHAPE": SHAPE, "safetensors": package})
    inputs = torch.randn(100, *SHAPE)
    with torch.no_grad():
        want = module(inputs).numpy()
    got = outputs(load("model.onnx"), inputs.numpy(), dtype=torch.float32)
    np.testing.assert_allclose(got, want, 1e-5, 1e-5)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ""])
def test_weights_beside_an_architecture(suffix: str, tmp_path: Path) -> None:
    """A module takes the weights of a file, or of a dict; its own stay as they are."""
    module, other, path = net(), Net(), tmp_path / f"w{suffix}"
    before = other.conv.weight.clone()
    save = save_safetensors if suffix == ".safetensors" else torch.save
    save(module.state_dict(), path)
    network = load(other, SHAPE, weights=path if suffix else module.state_dict())
    assert network.hash == load(module, SHAPE).hash
    assert torch.equal(other.conv.weight, before) and other.training
    assert network.origin == (f"Net with weights of {path}" if suffix else "Net with weights")
    with pytest.raises(
        ModelError, match=r"weights of Linear: expected a tensor of its shape.*conv"
    ):
        load(nn.Linear(8, 3), (8,), weights=module.state_dict())
    with pytest.raises(ModelError, match="weights: expected a module to put them into"):
        load(path, weights=module.state_dict())


def test_safetensors_of_a_plain_chain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain, path = (
        nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)),
        tmp_path / "m.safetensors",
    )
    save_safetensors(chain.state_dict(), path)
    assert main(["info", str(path)]) == 2
    assert "--activation relu" in capsys.readouterr().err
    assert main(["info", str(path), "--activation", "relu"]) == 0
    assert "activation as stated by the user: ReLU" in capsys.readouterr().out
    inputs = torch.randn(50, 4)
    got = outputs(load(path, activation="relu"), inputs.numpy(), dtype=torch.float32)
    np.testing.assert_allclose(got, chain(inputs).detach().numpy(), 1e-5, 1e-6)


def test_tensors_of_every_kind_are_read(tmp_path: Path) -> None:
    state = {
        "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "whole": torch.tensor([[1, -2]]),
        "none": torch.zeros(0, 3),
        "double": torch.tensor(0.1, dtype=torch.float64),
    }
    save_safetensors(state, tmp_path / "m.safetensors")
    found = read_safetensors(tmp_path / "m.safetensors")
    assert all(torch.equal(found[name], state[name]) for name in state) and len(found) == 4


def head(entry: object, data: bytes = b"\0" * 8) -> bytes:
    text = json.dumps({"0.weight": entry}).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"abc",
        struct.pack("<Q", 1 << 40) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 4) + b'{"a"',
        head(3),
        head({"dtype": "F8", "shape": [2], "data_offsets": [0, 8]}),
        head({"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}),
        head({"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}),
        head({"dtype": "F32", "shape": [-1, -2], "data_offsets": [0, 8]}),
        head({"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 8]}),
    ],
)
def test_broken_safetensors_are_one_error(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(raw)
    with pytest.raises(ModelError, match="expected a whole SafeTensors file"):
        load(tmp_path / "m.safetensors", activation="relu")


class Smooth(nn.Module):
    def __init__(self, function: nn.Module) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 5), function, nn.Linear(5, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


@pytest.mark.parametrize(
    "function",
    [
        *(nn.Sigmoid(), nn.Tanh(), nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.ELU(), nn.Softplus()),
        *(nn.Mish(), nn.Hardswish(), nn.LayerNorm(5), nn.Softmax(1), nn.SELU(), nn.Softsign()),
    ],
    ids=str,
)
def test_smooth_functions_inside_are_refused_with_what_works(
    function: nn.Module, tmp_path: Path
) -> None:
    module = Smooth(function).eval()
    path = tmp_path / "m.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about its older exporter
        torch.onnx.export(module, (torch.zeros(1, 4),), str(path), dynamo=False, opset_version=17)
    program = torch.export.export(module, (torch.zeros(2, 4),))
    torch.export.save(program, tmp_path / "m.pt2")
    for source in (path, tmp_path / "m.pt2", program):
        with pytest.raises(ModelError) as caught:
            load(source)
        text = str(caught.value)
        assert "\n" not in text
        assert "Attributions work on the torch module as it is; for proofs train with ReLU" in text
