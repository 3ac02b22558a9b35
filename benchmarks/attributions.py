"""Attribution against Captum in the same run: ``python benchmarks/attributions.py [--quick]``.

Questions, each a table (``--only NAME …`` for some of them):

- ``integrated``: time per image of integrated gradients, with the completeness error *and* the
  L1 distance from the exact attributions: a rule may add up without being near;
- ``exact``: exact integrated gradients against Captum with 300 steps;
- ``classes``: ten class scores' influence over many images in one pass, or a pass per class;
- ``memory``: peak memory above the loaded model, each in a child process;
- ``midpoint``: the exact attributions against a 30,000-step midpoint rule on ten inputs of
  every model in ``models/`` and of a residual one;
- ``experts``: class experts by three rankings, at every slice after a nonlinear layer.

Runs are interleaved and repeated: times are medians, ratios medians of ratios within a round,
so that what else the machine does falls on both; the load is noted.  ``--clock cpu`` counts
processor seconds of this process instead of seconds on the wall, for machines shared with
others.  ``--device cuda`` repeats the first two on a GPU.  ``--out FILE`` keeps all numbers as
JSON, written after every part.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

# ruff: noqa: E402
# This file has the package's name; its folder must not come first.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).parent]

import numpy as np
import torch
from torch import nn

from attribution.distributions import Empirical
from attribution.memory import fast_layout
from attribution.methods.influence import influence
from attribution.methods.integrated import integrated_gradients
from attribution.quantities import class_score
from attribution.slices import Slice
from attribution.uses.experts import compare_experts
from precond.data.datasets import Dataset, load_dataset, split
from precond.formats.load import load
from precond.network.graph import INPUT, Network
from precond.network.layers import Add, Affine, Conv2d, MaxPool2d, Node, ReLU, Reshape
from precond.network.module import network_module

MODELS = Path(__file__).parents[1] / "models"
SLICES = {"mnist-mlp": "relu1", "mnist-cnn": "relu6"}
PARTS = ("integrated", "exact", "classes", "memory", "midpoint", "experts")
Row = dict[str, Any]
Clock = Callable[[], float]


def images(name: str, count: int) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """The model, ``count`` held-out images and the classes it predicts."""
    network = load(MODELS / f"{name}.onnx")
    module = network_module(network, torch.float32)
    data = load_dataset("mnist-5k")
    rows = split(data)[1]
    chosen = rows[np.linspace(0, len(rows) - 1, count).astype(int)]
    x = torch.tensor(data.inputs[chosen]).reshape(count, *network.input_shape)
    with torch.no_grad():
        return module, x, module(x).argmax(1)


def interleaved(
    functions: dict[str, Callable[[], Any]], times: int, device: str, clock: Clock
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Seconds of every function in every round, and its last result."""
    results = {name: function() for name, function in functions.items()}
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(times):
        for name, function in functions.items():
            begin = clock()
            results[name] = function()
            if device == "cuda":
                torch.cuda.synchronize()
            seconds[name].append(clock() - begin)
    return seconds, results


def ratio(slow: list[list[float]], fast: list[float]) -> float:
    """How many times faster than the quickest of ``slow``: the median over rounds."""
    best = [min(round_) for round_ in zip(*slow, strict=True)]
    return statistics.median(a / b for a, b in zip(best, fast, strict=True))


def captum_ig(
    module: nn.Module, x: torch.Tensor, targets: torch.Tensor, steps: int, batch: int | None
) -> tuple[np.ndarray, np.ndarray]:
    from captum.attr import IntegratedGradients

    values, delta = IntegratedGradients(module).attribute(
        x, 0.0 * x, targets, n_steps=steps, internal_batch_size=batch, return_convergence_delta=True
    )
    return values.detach().cpu().numpy(), delta.abs().cpu().numpy()


def compared(
    name: str, count: int, times: int, device: str, exact: bool, clock: Clock
) -> list[Row]:
    """Our rules, or the exact method, against Captum on ``count`` images."""
    module, x, targets = images(name, count)
    network = load(MODELS / f"{name}.onnx")
    quantity = class_score(targets)
    known = integrated_gradients(network, x, 0.0, quantity, method="exact", dtype=torch.float32)
    module, x, targets = module.to(device), x.to(device), targets.to(device)

    def ours(method: str, steps: int, follow: bool) -> Callable[[], Any]:
        model = network if follow else module
        kind = torch.float32 if follow else None
        return lambda: integrated_gradients(
            model, x, 0.0, quantity, method=method, steps=steps, device=device, dtype=kind
        )

    peers = (300,) if exact else (50,)
    functions: dict[str, Callable[[], Any]] = {
        f"Captum {steps}" + (f", batch {batch}" if batch else ""): (
            lambda s=steps, b=batch: captum_ig(module, x, targets, s, b)
        )
        for steps in peers
        for batch in (None, 500 if device == "cpu" else 5000)
        if batch or count * steps <= 5000
    }
    slow = list(functions)
    if exact:
        functions["exact"] = ours("exact", 1, True)
    else:
        functions["gauss 50"] = ours("gauss", 50, False)
        for steps in (12, 20, 50):
            functions[f"secant {steps}"] = ours("secant", steps, True)
    seconds, results = interleaved(functions, times, device, clock)
    size = np.abs(known.values).reshape(count, -1).sum(1)
    rows = []
    for method, found in results.items():
        values, error = found if isinstance(found, tuple) else (found.values, found.completeness)
        distance = np.abs(values - known.values).reshape(count, -1).sum(1) / size
        row = {
            "model": name,
            "method": method,
            "ms": 1000 * statistics.median(seconds[method]) / count,
            "times faster": None
            if method in slow
            else ratio([seconds[s] for s in slow], seconds[method]),
            "completeness": float(error.mean()),
            "distance": float(distance.mean()),
        }
        if method == "exact":
            row["pieces"] = found.evaluated / count
            row["largest completeness"] = float(error.max())
        rows.append(row)
    return rows


def all_classes(name: str, count: int, times: int, clock: Clock) -> Row:
    """One shared forward for ten class scores, against ten passes of hooks and backward."""
    module, _, _ = images(name, 1)
    data = load_dataset("mnist-5k")
    shape = load(MODELS / f"{name}.onnx").input_shape
    x = torch.tensor(data.inputs[:count]).reshape(-1, *shape)
    cut = Slice(module, SLICES[name])
    layer = module.get_submodule(SLICES[name])

    def naive(batch: int = 500) -> np.ndarray:
        means = []
        for c in range(10):
            total: torch.Tensor | float = 0.0
            for part in x.split(batch):
                kept: list[torch.Tensor] = []
                handle = layer.register_forward_hook(lambda m, a, v, k=kept: k.append(v))
                leaf = part.clone().requires_grad_()
                y = module(leaf)[:, c].sum()
                handle.remove()
                total = total + torch.autograd.grad(y, kept[0])[0].double().sum(0)
            assert isinstance(total, torch.Tensor)
            means.append((total / len(x)).numpy())
        return np.stack(means)

    seconds, results = interleaved(
        {"ours": lambda: influence(cut, list(range(10)), Empirical(x)), "naive": naive},
        times,
        "cpu",
        clock,
    )
    assert np.allclose(results["naive"], results["ours"].values[:, 0], atol=1e-5)
    return {
        "model": name,
        "slice": SLICES[name],
        "images": count,
        "seconds": statistics.median(seconds["ours"]),
        "a pass per class": statistics.median(seconds["naive"]),
        "times faster": ratio([seconds["naive"]], seconds["ours"]),
    }


def peak(name: str, tool: str, steps: int, count: int) -> float:
    """Megabytes above the loaded model and data, in a child process."""
    command = [sys.executable, __file__, "--child", name, tool, str(steps), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.strip().splitlines()[-1])


def child(name: str, tool: str, steps: int, count: int) -> None:
    module, x, targets = images(name, count)
    network = load(MODELS / f"{name}.onnx")

    def work(x: torch.Tensor, targets: torch.Tensor, steps: int) -> None:
        if tool == "influence":
            influence(Slice(module, SLICES[name]), list(range(steps)), Empirical(x))
            return
        if tool.startswith("Captum"):
            captum_ig(module, x, targets, steps, 500 if tool.endswith("500") else None)
            return
        model = network if tool in ("exact", "secant") else module
        kind = torch.float32 if tool in ("exact", "secant") else None
        integrated_gradients(
            model, x, 0.0, class_score(targets), method=tool, steps=steps, dtype=kind
        )

    work(x[:1], targets[:1], 2)
    # What was freed so far must not serve the run unseen.
    ctypes.CDLL(None).malloc_trim(0)
    # The highest mark so far is from reading the data, so the present size is sampled.
    before, highest, running = resident(), [0.0], [True]

    def sample() -> None:
        while running[0]:
            highest[0] = max(highest[0], resident())
            time.sleep(0.001)

    watcher = threading.Thread(target=sample)
    watcher.start()
    work(x, targets, steps)
    running[0] = False
    watcher.join()
    print(highest[0] - before)


def resident() -> float:
    """Megabytes this process holds now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def memory(quick: bool) -> list[Row]:
    every = [("mnist-cnn", "gauss", 50, 10), ("mnist-cnn", "secant", 50, 10)]
    every += [("mnist-cnn", "exact", 0, 2), ("mnist-cnn", "Captum", 50, 10)]
    if not quick:
        for steps, count in ((50, 200), (300, 100), (1000, 100)):
            every += [("mnist-cnn", rule, steps, count) for rule in ("gauss", "secant")]
        every += [("mnist-cnn", "exact", 0, 10), ("mnist-cnn", "influence", 10, 2000)]
        every += [("mnist-cnn", "Captum 500", 300, 100)]
        every += [("mnist-mlp", "gauss", 1000, 500), ("mnist-mlp", "secant", 1000, 500)]
        every += [("mnist-mlp", "exact", 0, 500), ("mnist-mlp", "influence", 10, 2000)]
    return [
        {"model": m, "tool": t, "steps": s, "images": n, "mb": peak(m, t, s, n)}
        for m, t, s, n in every
    ]


def midpoint(
    network: Network, x: np.ndarray, target: int, steps: int, kind: torch.dtype
) -> np.ndarray:
    """Gradients by autograd at the middles of ``steps`` cells of the line from 0 to ``x``.

    The plain rule is off by up to half a cell at every change of gradient, which adds up to
    more than the exact method is to be checked for; cells beside a change are cut in
    5 (float32, for the largest models) or 51.
    """
    parts, least = (51, 1e-10) if kind is torch.float64 else (5, 1e-5)
    module, end = network_module(network, kind), torch.tensor(x, dtype=kind)
    direction = torch.randn(end.shape, generator=torch.Generator().manual_seed(0), dtype=kind)

    def gradients(t: np.ndarray) -> torch.Tensor:
        line = torch.tensor(t, dtype=kind).reshape(-1, *[1] * end.dim()) * end
        line = fast_layout(line).requires_grad_()
        (found,) = torch.autograd.grad(module(line)[:, target].sum(), line)
        return found

    total = torch.zeros(end.shape, dtype=torch.float64)
    marks = []
    for cells in np.array_split(np.arange(steps), max(1, steps // 500)):
        found = gradients((cells + 0.5) / steps)
        marks.append((found * direction).flatten(1).sum(1).double().numpy())
        total += found.double().sum(0)
    mark = np.concatenate(marks)
    jumps = np.flatnonzero(np.abs(np.diff(mark)) > least * np.abs(mark).max())
    inner = (np.arange(parts) + 0.5) / parts
    changed = np.unique(np.concatenate([jumps, jumps + 1]))
    for cells in np.array_split(changed, max(1, len(changed) // 100)):
        found = gradients(((cells[:, None] + inner) / steps).reshape(-1))
        cut = found.double().reshape(len(cells), parts, *end.shape)
        total += (cut.mean(1) - cut[:, parts // 2]).sum(0)
    return (total / steps * end.double()).numpy()


def residual() -> Network:
    """A random residual network of convolutions on 28×28 pictures."""
    rng = np.random.default_rng(0)

    def conv(out: int, per: int, stride: int = 1) -> Conv2d:
        weight = rng.normal(size=(out, per, 3, 3)) / np.sqrt(4.5 * per)
        pads = (1, 1, 1, 1)
        return Conv2d(weight, 0.1 * rng.normal(size=out), (stride, stride), padding=pads)

    return Network(
        (
            Node("c1", conv(4, 1, 2), (INPUT,)),
            Node("r1", ReLU(), ("c1",)),
            Node("c2", conv(4, 4), ("r1",)),
            Node("a2", Add((1.0, 1.0)), ("c2", "r1")),
            Node("r2", ReLU(), ("a2",)),
            Node("p2", MaxPool2d((2, 2), (2, 2)), ("r2",)),
            Node("c3", conv(4, 4), ("p2",)),
            Node("a3", Add((1.0, 1.0)), ("c3", "p2")),
            Node("r3", ReLU(), ("a3",)),
            Node("f", Reshape((196,)), ("r3",)),
            Node("out", Affine(rng.normal(size=(10, 196)) / 14, np.zeros(10)), ("f",)),
        ),
        (1, 28, 28),
    )


def against_midpoint(count: int, steps: int) -> list[Row]:
    """The largest relative L1 distance over ``count`` inputs of every model."""
    rows = []
    models = {path.stem: load(path) for path in sorted(MODELS.glob("*.onnx"))}
    for name, network in {**models, "residual (random)": residual()}.items():
        source = "digits" if name.startswith("digits") else "mnist-5k"
        if name.startswith("fashion"):
            source = "fashion-mnist"
        data = load_dataset(source)
        chosen = np.linspace(0, len(data.inputs) - 1, count).astype(int)
        x = data.inputs[chosen].reshape(count, *network.input_shape).astype(np.float64)
        wide = sum(network.width(node.name) for node in network.nodes)
        kind = torch.float32 if wide > 20_000 else torch.float64
        targets = network_module(network)(torch.tensor(x)).argmax(1)
        exact = integrated_gradients(network, x, 0.0, class_score(targets), method="exact")
        far = []
        for row in range(count):
            slow = midpoint(network, x[row], int(targets[row]), steps, kind)
            far.append(np.abs(exact.values[row] - slow).sum() / np.abs(slow).sum())
        assert exact.completeness is not None
        rows.append(
            {
                "model": name,
                "inputs": count,
                "steps": steps,
                "midpoint in": str(kind).removeprefix("torch."),
                "largest distance": float(max(far)),
                "largest completeness": float(exact.completeness.max()),
            }
        )
        table(rows[-1:])
    return rows


def fashion_model(data: Dataset, quick: bool) -> tuple[nn.Module, float]:
    """A small convolutional model, trained from a seed; and its held-out accuracy."""
    assert data.labels is not None
    torch.manual_seed(0)
    model = nn.Sequential()
    for name, layer in {
        "conv1": nn.Conv2d(1, 16, 3, 2, 1),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(16, 32, 3, 2, 1),
        "relu2": nn.ReLU(),
        "flat": nn.Flatten(),
        "fc3": nn.Linear(32 * 49, 128),
        "relu3": nn.ReLU(),
        "fc4": nn.Linear(128, 64),
        "relu4": nn.ReLU(),
        "fc5": nn.Linear(64, 10),
    }.items():
        model.add_module(name, layer)
    train, test = split(data)
    generator = torch.Generator().manual_seed(0)
    train = train[torch.randperm(len(train), generator=generator)[: 4000 if quick else 20000]]
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    for _ in range(1 if quick else 4):
        for rows in torch.randperm(len(train), generator=generator).split(64):
            x = torch.tensor(data.inputs[train[rows]]).reshape(-1, 1, 28, 28).float()
            loss = nn.functional.cross_entropy(model(x), torch.tensor(data.labels[train[rows]]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    test = test[:2000]
    with torch.no_grad():
        said = model(torch.tensor(data.inputs[test]).reshape(-1, 1, 28, 28).float()).argmax(1)
    return model, float((said.numpy() == data.labels[test]).mean())


def spread(rows: np.ndarray, count: int) -> np.ndarray:
    """``count`` rows spread over all (they lie sorted by class)."""
    return rows[np.linspace(0, len(rows) - 1, count).astype(int)]


def experts(quick: bool) -> list[Row]:
    """Every slice after a nonlinear layer; 800 inputs to build on, as many others to test."""
    rows: list[Row] = []
    fashion = load_dataset("fashion-mnist")
    trained, accuracy = fashion_model(fashion, quick)
    print(f"fashion-cnn: accuracy {accuracy:.3f} on held-out rows")
    subjects: list[tuple[str, nn.Module, Dataset, list[str], tuple[int, ...]]] = [
        ("fashion-cnn", trained, fashion, [f"relu{i}" for i in range(1, 5)], (1, 28, 28))
    ]
    for name in ("mnist-mlp", "mnist-cnn"):
        network = load(MODELS / f"{name}.onnx")
        layers = [n.name for n in network.nodes if isinstance(n.layer, ReLU | MaxPool2d)]
        module = network_module(network, torch.float32)
        subjects.append((name, module, load_dataset("mnist-5k"), layers, network.input_shape))
    for name, module, data, layers, shape in subjects:
        train, test = split(data)
        size = 400 if quick else 800
        assert data.labels is not None
        given = [
            (data.inputs[part].reshape(-1, *shape).astype(np.float32), data.labels[part])
            for part in (spread(train, size), spread(test, size))
        ]
        for layer in layers[-2:] if quick else layers:
            here = [
                {
                    "model": name,
                    "slice": layer,
                    "ranking": row.ranking.value,
                    "share": row.share,
                    "precision": row.precision,
                    "recall": row.recall,
                    "f1": row.f1,
                }
                for row in compare_experts(Slice(module, layer), given[0], given[1], range(10))
            ]
            rows += here
            table(here)
    return rows


def by_name(rows: list[Row]) -> dict[str, Any]:
    """Rows of experts by model, slice, ranking and share of units."""
    found: dict[str, Any] = {}
    for row in rows:
        place = found
        for key in ("model", "slice", "ranking"):
            place = place.setdefault(row[key], {})
        place[f"{row['share']:g}"] = {key: row[key] for key in ("precision", "recall", "f1")}
    return found


def table(rows: list[Row]) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    shown = [[_cell(row.get(c)) for c in columns] for row in rows]
    widths = [max(len(c), *(len(line[i]) for line in shown)) for i, c in enumerate(columns)]
    for line in [columns, *shown]:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    print(flush=True)


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few images, few repetitions")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(given.threads)
    if given.child:
        name, tool, steps, count = given.child
        child(name, tool, int(steps), int(count))
        return
    quick = given.quick
    clock: Clock = time.process_time if given.clock == "cpu" else time.perf_counter
    times = 2 if quick else 7
    found: dict[str, Any] = {
        "threads": given.threads,
        "repetitions": times,
        "clock": given.clock,
        "load": {},
    }

    def keep(part: str, rows: Any) -> None:
        """A part's rows and the machine's load after it (over 1, 5 and 15 minutes)."""
        found[part], found["load"][part] = rows, os.getloadavg()
        if given.out:
            given.out.write_text(json.dumps(found, indent=1))

    threads = f"{given.threads} thread{'s' * (given.threads > 1)}"
    print(f"{threads}, medians of {times} interleaved rounds, {given.clock} clock")
    print("load " + " ".join(f"{one:.1f}" for one in os.getloadavg()) + "\n")
    devices = ["cpu"]
    if torch.cuda.is_available() and given.device == "cuda":
        devices.append("cuda")
        found["gpu"] = torch.cuda.get_device_name()
    else:
        found["gpu"] = "not measured"
    for device in devices:
        if device == "cuda":
            print(f"GPU: {found['gpu']}\n")
        for part, count in (("integrated", 5 if quick else 20), ("exact", 2 if quick else 5)):
            if part in given.only:
                rows = [
                    row
                    for name in SLICES
                    for row in compared(name, count, times, device, part == "exact", clock)
                ]
                keep(f"{part} {device}", rows)
                table(rows)
    if "classes" in given.only:
        amount = 1000 if quick else 5000
        keep("classes", [all_classes(name, amount, min(times, 5), clock) for name in SLICES])
        table(found["classes"])
    if "memory" in given.only:
        keep("memory", memory(quick))
        table(found["memory"])
    if "midpoint" in given.only:
        keep("midpoint", against_midpoint(*((1, 1000) if quick else (10, 30_000))))
    if "experts" in given.only:
        keep("experts", by_name(experts(quick)))
    if found["gpu"] == "not measured":
        print("GPU: not measured")
    print("load " + " ".join(f"{one:.1f}" for one in os.getloadavg()))


if __name__ == "__main__":
    main()
