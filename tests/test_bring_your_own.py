"""``docs/bring-your-own.md``, as written, on a CNN for pictures and a network for a table;
and networks of the sorts people have through the commands: each works, or is refused with what
to do."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits
from torch import nn

from precond.cli import main
from tests.clocks import slow_but

PAGE = (Path(__file__).parents[1] / "docs" / "bring-your-own.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)[:2]


class Scaled(nn.Module):
    """A network with what its inputs are normalised by."""

    def __init__(self, net: nn.Module, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net((x - self.mean) / self.deviation)


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.second(torch.relu(self.first(x))))


def fitted(net: nn.Module, x: torch.Tensor, loss: Callable[[torch.Tensor], torch.Tensor]) -> None:
    adam = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(60):
        adam.zero_grad()
        loss(net(x)).backward()
        adam.step()
    net.eval()


def exported(net: nn.Module, shape: tuple[int, ...], path: Path) -> None:
    example = torch.zeros(1, *shape)
    torch.onnx.export(
        net, (example,), str(path), dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "n"}}
    )


def cnn() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.1), nn.Linear(36, 10)),
    )


def digits(rows: int = 150) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    values, labels = load_digits(return_X_y=True)
    return (values[:rows] / 16).astype(np.float32), labels[:rows].astype(np.int64)


def test_the_page_on_a_folder_of_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    values, labels = digits()
    raw = (values.reshape(-1, 8, 8) * 255).round().astype(np.uint8)
    for row, (picture, label) in enumerate(zip(raw, labels, strict=True)):
        folder = tmp_path / "pictures" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{row:04d}.png")
    x, net = torch.tensor(raw[:, None] / 255, dtype=torch.float32), cnn()
    cross = nn.CrossEntropyLoss()
    labels[:3] = (labels[:3] + 1) % 10  # three it cannot learn, so that it is wrong somewhere
    fitted(net, x[:100], lambda y: cross(y, torch.tensor(labels[:100])))
    exported(net, (1, 8, 8), tmp_path / "cnn.onnx")
    monkeypatch.chdir(tmp_path)
    for line in EXAMPLES[0].splitlines():
        assert main(shlex.split(line)[1:]) == 0, line
    shown = capsys.readouterr()
    assert "shape (1, 8, 8)" in shown.out and "wrong  " in shown.out
    assert "note" not in shown.err  # the data looks like what it was trained on
    assert Path("debugged/index.html").is_file() and Path("robust/index.html").is_file()
    words = ["robustness", "cnn.onnx", "--inputs", "pictures", "--most", "1", "--budget", "1"]
    assert main(words) == 0
    assert "--divide 255 is probably meant" in capsys.readouterr().err


def test_the_page_on_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    found = load_breast_cancer()
    values, labels = found.data[:200].round(4), found.target[:200]
    x = torch.tensor(values, dtype=torch.float32)
    net = Scaled(nn.Sequential(nn.Linear(30, 8), nn.ReLU(), nn.Linear(8, 2)), x.mean(0), x.std(0))
    cross = nn.CrossEntropyLoss()
    fitted(net, x, lambda y: cross(y, torch.tensor(labels)))
    exported(net, (30,), tmp_path / "table.onnx")
    head = ",".join(["", *found.feature_names, "diagnosis"])
    lines = [
        ",".join([str(row), *map(str, v), str(found.target_names[k])])
        for row, (v, k) in enumerate(zip(values, labels, strict=True))
    ]
    (tmp_path / "table.csv").write_text("\n".join([head, *lines]) + "\n")
    monkeypatch.chdir(tmp_path)
    for line in EXAMPLES[1].splitlines():
        assert main(shlex.split(line)[1:]) == 0, line
    shown = capsys.readouterr()
    assert "counts the rows" in shown.err and "0 malignant, 1 benign" in shown.out
    assert "as mean radius rises" in shown.out
    assert "mean radius" in Path("why.html").read_text()
    assert "mean radius" in Path("report/report.html").read_text()


def binary(last: nn.Module | None) -> nn.Module:
    layers = [nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 1)]
    return nn.Sequential(*layers, *([] if last is None else [last]))


def mlp(activation: nn.Module, *, last: int = 10) -> nn.Module:
    return nn.Sequential(nn.Linear(64, 8), activation, nn.Linear(8, last))


SORTS: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: mlp(nn.ReLU()),
    "binary sigmoid": lambda: binary(nn.Sigmoid()),
    "binary logit": lambda: binary(None),
    "two-class softmax": lambda: nn.Sequential(mlp(nn.ReLU(), last=2), nn.Softmax(1)),
    "regression": lambda: binary(nn.Flatten(0)),
    "cnn": lambda: nn.Sequential(nn.Unflatten(1, (1, 8, 8)), cnn()),
    "residual": lambda: nn.Sequential(nn.Linear(64, 8), Residual(8), nn.Linear(8, 10)),
    "bytes": lambda: Scaled(mlp(nn.ReLU()), torch.full((64,), 80.0), torch.full((64,), 90.0)),
    "leaky": lambda: mlp(nn.LeakyReLU(0.1)),
    "prelu": lambda: mlp(nn.PReLU()),
    "tanh": lambda: mlp(nn.Tanh()),
}
REFUSED = {"tanh"}


@pytest.mark.parametrize("sort", slow_but({"mlp", "binary sigmoid", "tanh"}, SORTS))
def test_networks_of_every_sort_work_or_are_refused_with_a_remedy(
    sort: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    net, (values, labels) = SORTS[sort]().eval(), digits(60)
    values = values * 255 if sort == "bytes" else values
    model, data = tmp_path / "m.onnx", tmp_path / "d.npz"
    exported(net, (64,), model)
    outputs = net(torch.zeros(2, 64)).reshape(2, -1).shape[1]
    np.savez(data, inputs=values, labels=labels % max(outputs, 2))
    given = [str(model), "--inputs", str(data)]
    commands = (
        ["info", str(model)],
        ["analyze", *given, "--budget", "2", "--per-class", "1", "--out", str(tmp_path / "a")],
        ["debug", *given, "--budget", "2", "--pages", "2", "--out", str(tmp_path / "d")],
        ["robustness", *given, "--budget", "2", "--most", "2", "--radius", "0.01"],
        ["explain", *given, "--index", "0", "--out", str(tmp_path / "e.html")],
    )
    for words in commands:
        assert main(words) == (2 if sort in REFUSED else 0), words[0]
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err and "Warning" not in shown.err
        if sort in REFUSED:
            assert "train with ReLU, or distil" in shown.err
        else:
            sentences = ("note ", "integrated-gradients", "attributions sum")
            tables = [line for line in shown.out.splitlines() if not line.startswith(sentences)]
            assert [line for line in tables if len(line) > 100 and str(tmp_path) not in line] == []
