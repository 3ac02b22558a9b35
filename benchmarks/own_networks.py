"""Networks of every sort, trained here on real data, as both torch exporters write them: read, and
put through the commands.

Each sort is trained for a few hundred steps on scikit-learn's tables and digits.  Its module is
written by ``torch.onnx.export`` with ``dynamo=False`` at opsets 11 to 21, with ``dynamo=True``
(where onnxscript is installed) at 11, 18 and 21, and by ``torch.export.save`` as ``.pt2``.  Of
every file that an exporter writes, the outputs are compared with torch's on 1,000 inputs; one file
of each of the three ways goes through info, analyze, debug, robustness and explain.  A sort works,
or is refused in one line that says what to do; anything else raises.

    python -m benchmarks.own_networks --out docs/networks.md
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from torch import Tensor, nn

from precond import load
from precond.cli import main as precond
from precond.network import outputs

STEPS = 200
SAMPLES = 1000
SCRIPT = tuple(range(11, 22))  # opsets of the older exporter
DYNAMO = (11, 18, 21)  # of the newer one, which writes 18 and later itself
REMEDY = "train with ReLU, or distil"
Values = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Data:
    """Inputs by the names of the module's arguments, and labels."""

    inputs: Mapping[str, Values]
    labels: NDArray[np.int64]
    target: Values | None = None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(torch.tensor(values) for values in self.inputs.values())


@dataclass(frozen=True, kw_only=True)
class Sort:
    """``make``: the module; ``data``: what it learns; ``loss`` of its outputs; ``options`` of the
    commands that speak of classes; ``refused``: whether it cannot be read."""

    name: str
    make: Callable[[], nn.Module]
    data: Callable[[], Data]
    loss: Callable[[Tensor, Data], Tensor]
    options: tuple[str, ...] = ()
    refused: bool = False

    def __str__(self) -> str:
        return self.name


def digits(high: float = 1.0, *, picture: bool = False) -> Data:
    values, labels = load_digits(return_X_y=True)
    scaled = (values * (high / 16)).astype(np.float32)
    return Data(inputs={"x": scaled.reshape(-1, 1, 8, 8) if picture else scaled}, labels=labels)


def cancer() -> Data:
    values, labels = load_breast_cancer(return_X_y=True)
    scaled = (values - values.mean(0)) / values.std(0)
    return Data(inputs={"x": scaled.astype(np.float32)}, labels=labels)


def halves() -> Data:
    table = cancer()
    means, rest = np.split(table.inputs["x"], [10], axis=1)
    return Data(inputs={"means": means, "rest": rest}, labels=table.labels)


def diabetes() -> Data:
    values, target = load_diabetes(return_X_y=True)
    scaled = (values / values.std(0)).astype(np.float32)
    labels = (target > 140).astype(np.int64)
    return Data(inputs={"x": scaled}, labels=labels, target=target.astype(np.float32))


class Scaled(nn.Module):
    """A network with what its inputs are normalised by."""

    def __init__(self, net: nn.Module, mean: float, deviation: float) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("deviation", torch.tensor(deviation))

    def forward(self, x: Tensor) -> Tensor:
        return self.net((x - self.mean) / self.deviation)


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(torch.relu(self.first(x))))


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.last = nn.Linear(10, 4), nn.Linear(20, 4), nn.Linear(8, 2)

    def forward(self, means: Tensor, rest: Tensor) -> Tensor:
        both = torch.cat([torch.relu(self.left(means)), torch.relu(self.right(rest))], 1)
        return self.last(both)


class Number(nn.Module):
    """One number a row, of shape (N,)."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(10, nn.ReLU(), 1)

    def forward(self, x: Tensor) -> Tensor:
        return 140 + 80 * self.net(x)[:, 0]


def mlp(inputs: int, activation: nn.Module, last: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 8), activation, nn.Linear(8, last))


def convolutional() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.1), nn.Linear(36, 10)),
    )


def cross_entropy(y: Tensor, data: Data) -> Tensor:
    return nn.functional.cross_entropy(y, torch.tensor(data.labels))


def likelihood(y: Tensor, data: Data) -> Tensor:
    return nn.functional.nll_loss(torch.log(y + 1e-6), torch.tensor(data.labels))


def probability(y: Tensor, data: Data) -> Tensor:
    return nn.functional.binary_cross_entropy(y[:, 0], torch.tensor(data.labels).float())


def logit(y: Tensor, data: Data) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(
        y[:, 0], torch.tensor(data.labels).float()
    )


def squares(y: Tensor, data: Data) -> Tensor:
    assert data.target is not None
    return ((y - torch.tensor(data.target)) / 80).square().mean()


def plain(name: str, make: Callable[[], nn.Module], *, refused: bool = False) -> Sort:
    return Sort(name=name, make=make, data=digits, loss=cross_entropy, refused=refused)


SORTS = (
    plain("MLP", lambda: mlp(64, nn.ReLU(), 10)),
    Sort(
        name="binary, sigmoid",
        make=lambda: nn.Sequential(mlp(30, nn.ReLU(), 1), nn.Sigmoid()),
        data=cancer,
        loss=probability,
    ),
    Sort(name="binary, logit", make=lambda: mlp(30, nn.ReLU(), 1), data=cancer, loss=logit),
    Sort(
        name="two classes, softmax",
        make=lambda: nn.Sequential(mlp(30, nn.ReLU(), 2), nn.Softmax(1)),
        data=cancer,
        loss=likelihood,
    ),
    Sort(
        name="regression, one number",
        make=Number,
        data=diabetes,
        loss=squares,
        options=("--threshold", "140"),
    ),
    Sort(
        name="CNN, batch norm, dropout",
        make=convolutional,
        data=lambda: digits(picture=True),
        loss=cross_entropy,
    ),
    plain("residual", lambda: nn.Sequential(nn.Linear(64, 8), Residual(8), nn.Linear(8, 10))),
    Sort(
        name="normalises 0..255 inside",
        make=lambda: Scaled(mlp(64, nn.ReLU(), 10), 78.0, 96.0),
        data=lambda: digits(255.0),
        loss=cross_entropy,
    ),
    plain("LeakyReLU", lambda: mlp(64, nn.LeakyReLU(0.1), 10)),
    plain("PReLU", lambda: mlp(64, nn.PReLU(8), 10)),
    Sort(name="two inputs", make=TwoInputs, data=halves, loss=cross_entropy),
    plain("tanh inside", lambda: mlp(64, nn.Tanh(), 10), refused=True),
    plain("GELU inside", lambda: mlp(64, nn.GELU(), 10), refused=True),
    plain("SiLU inside", lambda: mlp(64, nn.SiLU(), 10), refused=True),
    plain("sigmoid inside", lambda: mlp(64, nn.Sigmoid(), 10), refused=True),
)


def trained(sort: Sort, data: Data, steps: int = STEPS) -> nn.Module:
    torch.manual_seed(0)
    module = sort.make()
    adam = torch.optim.Adam(module.parameters(), 0.02)
    for _ in range(steps):
        adam.zero_grad()
        sort.loss(module(*data.tensors), data).backward()
        adam.step()
    return module.eval()


def written(
    module: nn.Module, data: Data, folder: Path, *, script: Sequence[int], dynamo: Sequence[int]
) -> Iterator[tuple[str, int, Path]]:
    """(way, opset, file) of every export; an opset that an exporter refuses is left out."""
    names = [*data.inputs]
    example = tuple(values[:2] for values in data.tensors)
    batch = torch.export.Dim("n", min=1, max=4096)
    every: list[tuple[str, int]] = [("dynamo=False", opset) for opset in script]
    every += [("dynamo=True", opset) for opset in dynamo]
    for way, opset in every:
        path = folder / f"{way}-{opset}.onnx"
        newer = way == "dynamo=True"
        options: dict[str, object] = (
            {"dynamic_shapes": tuple({0: batch} for _ in names), "verbose": False}
            if newer
            else {"dynamic_axes": {name: {0: "n"} for name in names}}
        )
        with quiet(), contextlib.suppress(torch.onnx.errors.OnnxExporterError):
            torch.onnx.export(
                module,
                example,
                str(path),
                dynamo=newer,
                opset_version=opset,
                input_names=names,
                **options,
            )
        if path.is_file():
            yield way, opset, path
    path = folder / "program.pt2"
    with quiet():
        program = torch.export.export(
            module, example, dynamic_shapes=tuple({0: batch} for _ in names)
        )
        torch.export.save(program, path)
    yield ".pt2", 0, path


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What exporters print and warn of is theirs."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def difference(module: nn.Module, data: Data, path: Path) -> float:
    """Largest difference from torch's outputs on inputs around the data, as a share of the
    largest output."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(data.labels), SAMPLES)
    parts = [
        (values[rows] + 0.1 * values.std() * rng.normal(size=values[rows].shape)).astype(np.float32)
        for values in data.inputs.values()
    ]
    with torch.no_grad():
        want = module(*map(torch.tensor, parts)).reshape(SAMPLES, -1).numpy()
    network = load(path)
    flat = np.concatenate([part.reshape(SAMPLES, -1) for part in parts], axis=1)
    got = network.output_activation.of(outputs(network, flat, dtype=torch.float32))
    return float(np.abs(got - want).max() / np.abs(want).max())


def commands(sort: Sort, model: Path, data: Path, folder: Path) -> dict[str, list[str]]:
    """The words of each command; budgets are tiny, since what counts is whether it works."""
    given = [str(model), "--inputs", str(data)]
    classes = [*given, *sort.options]
    few = ["--per-class", "1", "--out", str(folder / "analyzed")]
    return {
        "info": ["info", str(model)],
        "analyze": ["analyze", *classes, "--budget", "1", *few],
        "debug": [
            *("debug", *classes, "--budget", "1", "--pages", "1"),
            *("--out", str(folder / "debugged")),
        ],
        "robustness": ["robustness", *classes, "--budget", "1", "--most", "1", "--radius", "0.01"],
        "explain": ["explain", *given, "--index", "0", "--out", str(folder / "why.html")],
    }


def run(words: Sequence[str]) -> tuple[int, str]:
    """Exit status, and what is said on stderr."""
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        status = precond(list(words))
    return status, said.getvalue()


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of one sort: opsets by exporter, the largest difference, the commands."""

    sort: Sort
    opsets: Mapping[str, tuple[int, ...]]
    largest: float
    files: int
    runs: int

    @property
    def answer(self) -> str:
        return "refused, with what to do" if self.sort.refused else "works"


def row_of(
    sort: Sort,
    *,
    script: Sequence[int] = SCRIPT,
    dynamo: Sequence[int] = DYNAMO,
    every: bool = True,
) -> Row:
    """Trains, exports and tries one sort; ``every``: all five commands, else info alone.

    RuntimeError for what neither works nor is refused with a remedy.
    """
    data = sort.data()
    small = slice(0, 120)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        module = trained(sort, data)
        table = folder / "data.npz"
        rows = {name: values[small] for name, values in data.inputs.items()}
        np.savez(table, labels=data.labels[small], **rows)
        opsets: dict[str, list[int]] = {}
        largest, files, runs = 0.0, 0, 0
        for way, opset, path in written(module, data, folder, script=script, dynamo=dynamo):
            first = way not in opsets
            opsets.setdefault(way, []).append(opset)
            files += 1
            if not sort.refused:
                largest = max(largest, difference(module, data, path))
            for command, words in commands(sort, path, table, folder).items():
                if command != "info" and not (first and every):
                    continue
                status, said = run(words)
                runs += 1
                refused = status == 2 and REMEDY in said and "Traceback" not in said
                if (refused if sort.refused else status == 0) is False:
                    raise RuntimeError(f"{sort.name}, {path.name}: {command}: {status} {said}")
    if not sort.refused and largest > 1e-5:
        raise RuntimeError(f"{sort.name}: outputs differ by {largest:.1e}")
    found = {way: tuple(numbers) for way, numbers in opsets.items()}
    return Row(sort=sort, opsets=found, largest=largest, files=files, runs=runs)


HEAD = """# Networks of your own

Written by `python -m benchmarks.own_networks --out docs/networks.md`: each sort is trained on
scikit-learn's tables and digits, written by both torch exporters and as `.pt2`, and read. Every
file goes through `info`, and its outputs are compared with torch's on 1,000 inputs; one file of
each exporter goes through `analyze`, `debug`, `robustness` and `explain`.

"""


OPSETS = """Opsets are those that an exporter was
asked for; a difference is a share of the largest output.
"""


def page(rows: Sequence[Row]) -> str:
    """The page of the documentation, in Markdown."""
    lines = [
        "| network | | opsets, `dynamo=False` | opsets, `dynamo=True` | `.pt2` | files "
        "| commands run | largest difference |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        far = "–" if row.sort.refused else f"{row.largest:.1e}"
        cells = [
            row.sort.name,
            row.answer,
            _spans(row.opsets.get("dynamo=False", ())),
            _spans(row.opsets.get("dynamo=True", ())),
            "yes" if ".pt2" in row.opsets else "no",
            str(row.files),
            str(row.runs),
            far,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    files, runs = sum(row.files for row in rows), sum(row.runs for row in rows)
    total = f"\n{files} files, {runs} commands; torch {torch.__version__}. "
    return HEAD + "\n".join(lines) + "\n" + total + OPSETS


def _spans(numbers: Sequence[int]) -> str:
    if not numbers:
        return "–"
    whole = len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1
    return f"{numbers[0]} to {numbers[-1]}" if whole else ", ".join(map(str, numbers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="the page that is written")
    parser.add_argument("--sorts", nargs="*", help="names, by default all")
    chosen = parser.parse_args()
    dynamo = DYNAMO if importlib.util.find_spec("onnxscript") else ()
    rows = []
    for sort in SORTS:
        if chosen.sorts and sort.name not in chosen.sorts:
            continue
        begun = time.monotonic()
        rows.append(row_of(sort, dynamo=dynamo))
        spent = time.monotonic() - begun
        print(f"{sort.name}: {rows[-1].answer}, {spent:.0f} s", file=sys.stderr)
    text = page(rows)
    if chosen.out is None:
        print(text, end="")
    else:
        chosen.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
