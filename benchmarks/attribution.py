"""Attribution against Captum in the same run: ``python benchmarks/attribution.py [--quick]``.

Four questions, medians over repetitions, on ``models/mnist-mlp.onnx`` and ``mnist-cnn.onnx``:

1. time per image of integrated gradients, with the completeness error *and* the distance from
   the exact attributions (L1, relative): a rule may be complete without being near;
2. exact integrated gradients against Captum with 300 steps;
3. all class scores' influence over many images in one pass, against a pass per class;
4. peak memory above the loaded model, each in a child process.

``--experts`` adds the table of class experts.  Writes ``attribution.json`` with ``--out``.
Times on shared cores are noisy: read ratios.
"""

from __future__ import annotations

import argparse
import json
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

from attribution.adapter import network_module
from attribution.distributions import Empirical
from attribution.experts import compare_experts
from attribution.influence import influence
from attribution.integrated import integrated_gradients
from attribution.quantities import class_score
from attribution.slices import Slice
from precond.datasets import load_dataset, split
from precond.formats.load import load

MODELS = Path(__file__).parents[1] / "models"
SLICES = {"mnist-mlp": "relu1", "mnist-cnn": "relu6"}


def images(name: str, count: int) -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    """The model, ``count`` held-out images and the classes it predicts."""
    network = load(MODELS / f"{name}.onnx")
    module = network_module(network, torch.float32)
    data = load_dataset("mnist-5k")
    rows = split(data)[1]
    chosen = rows[np.linspace(0, len(rows) - 1, count).astype(int)]
    x = torch.tensor(data.inputs[chosen]).reshape(count, *network.input_shape)
    with torch.no_grad():
        return module, x, module(x).argmax(1)


def median(function: Callable[[], Any], times: int) -> tuple[float, Any]:
    function()
    seconds, result = [], None
    for _ in range(times):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def captum_ig(
    module: torch.nn.Module, x: torch.Tensor, targets: torch.Tensor, steps: int, batch: int | None
) -> tuple[np.ndarray, np.ndarray]:
    from captum.attr import IntegratedGradients

    values, delta = IntegratedGradients(module).attribute(
        x, 0.0 * x, targets, n_steps=steps, internal_batch_size=batch, return_convergence_delta=True
    )
    return values.detach().numpy(), delta.abs().numpy()


def integrated(name: str, count: int, times: int) -> list[dict[str, Any]]:
    module, x, targets = images(name, count)
    few = max(1, min(5, count // 5))
    begin = time.perf_counter()
    exact = integrated_gradients(
        load(MODELS / f"{name}.onnx"), x[:few], 0.0, class_score(targets[:few]), method="exact"
    )
    exact_float64 = (time.perf_counter() - begin) / few

    def row(method: str, seconds: float, values: np.ndarray, error: np.ndarray) -> dict[str, Any]:
        difference = np.abs(values[:few] - exact.values).reshape(few, -1).sum(1)
        distance = difference / np.abs(exact.values).reshape(few, -1).sum(1)
        return {
            "model": name,
            "method": method,
            "ms": 1000 * seconds,
            "completeness": float(error.mean()),
            "distance": float(distance.mean()),
        }

    rows = [row("exact, float64", exact_float64, exact.values, exact.completeness)]
    rows[0]["segments"] = exact.evaluated / few
    for steps in (50, 300):
        for batch in (None, 500) if steps == 50 else (500,):
            seconds, (values, error) = median(
                lambda s=steps, b=batch: captum_ig(module, x, targets, s, b), times
            )
            rows.append(row(f"Captum {steps}, batch {batch}", seconds / count, values, error))
    for rule, steps in (("gauss", 50), ("gauss", 300), ("tangent", 12), ("tangent", 32)):
        seconds, found = median(
            lambda r=rule, s=steps: integrated_gradients(
                module, x, 0.0, class_score(targets), method=r, steps=s
            ),
            times,
        )
        rows.append(row(f"{rule} {steps}", seconds / count, found.values, found.completeness))
    seconds, found = median(
        lambda: integrated_gradients(
            load(MODELS / f"{name}.onnx"),
            x[:few],
            0.0,
            class_score(targets[:few]),
            method="exact",
            dtype=torch.float32,
        ),
        1,
    )
    rows.append(row("exact, float32", seconds / few, found.values, found.completeness))
    return rows


def all_classes(name: str, count: int, times: int) -> dict[str, Any]:
    """One shared forward for ten class scores, against ten passes of hooks and backward."""
    module, _, _ = images(name, 1)
    data = load_dataset("mnist-5k")
    shape = load(MODELS / f"{name}.onnx").input_shape
    x = torch.tensor(data.inputs[:count]).reshape(-1, *shape)
    cut = Slice(module, SLICES[name])
    ours, found = median(lambda: influence(cut, list(range(10)), Empirical(x)), times)
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

    slow, values = median(naive, 1)
    assert np.allclose(values, found.values[:, 0], atol=1e-5)
    return {
        "model": name,
        "slice": SLICES[name],
        "images": count,
        "seconds": ours,
        "per_class_seconds": slow,
        "ratio": slow / ours,
    }


def peak(name: str, tool: str, steps: int, count: int) -> float:
    """Megabytes above the loaded model and data, in a child process."""
    command = [sys.executable, __file__, "--child", name, tool, str(steps), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.strip().splitlines()[-1])


def child(name: str, tool: str, steps: int, count: int) -> None:
    module, x, targets = images(name, count)
    integrated_gradients(module, x[:1], 0.0, class_score(targets[:1]), steps=2, chunk=1)
    if tool.startswith("Captum"):
        captum_ig(module, x[:1], targets[:1], 2, None)
    # The highest mark so far is from reading the data, so the present size is sampled.
    before, highest, running = resident(), [0.0], [True]

    def sample() -> None:
        while running[0]:
            highest[0] = max(highest[0], resident())
            time.sleep(0.001)

    watcher = threading.Thread(target=sample)
    watcher.start()
    if tool == "ours":
        integrated_gradients(module, x, 0.0, class_score(targets), steps=steps)
    elif tool == "exact":
        integrated_gradients(
            load(MODELS / f"{name}.onnx"),
            x,
            0.0,
            class_score(targets),
            method="exact",
            dtype=torch.float32,
        )
    else:
        captum_ig(module, x, targets, steps, 500 if tool.endswith("500") else None)
    running[0] = False
    watcher.join()
    print(highest[0] - before)


def resident() -> float:
    """Megabytes this process holds now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def experts(name: str, layer: str) -> list[dict[str, Any]]:
    network = load(MODELS / f"{name}.onnx")
    data = load_dataset("mnist-5k")
    train, test = split(data)
    assert data.labels is not None
    inputs = data.inputs.reshape(-1, *network.input_shape)
    rows = compare_experts(
        Slice(network_module(network, torch.float32), layer),
        (inputs[train], data.labels[train]),
        (inputs[test], data.labels[test]),
        range(10),
    )
    return [
        {
            "model": name,
            "slice": layer,
            "ranking": row.ranking.value,
            "share": row.share,
            "precision": row.precision,
            "recall": row.recall,
            "f1": row.f1,
        }
        for row in rows
    ]


def table(rows: list[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    shown = [[_cell(row.get(c)) for c in columns] for row in rows]
    widths = [max(len(c), *(len(line[i]) for line in shown)) for i, c in enumerate(columns)]
    for line in [columns, *shown]:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    print(flush=True)


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def on_gpu(count: int, times: int) -> list[dict[str, Any]]:
    """Integrated gradients on the first CUDA device, both tools, synchronised."""
    rows = []
    for name in SLICES:
        module, x, targets = images(name, count)
        moved, x, targets = module.to("cuda"), x.cuda(), targets.cuda()

        def timed(function: Callable[[], Any]) -> float:
            def whole() -> None:
                function()
                torch.cuda.synchronize()

            return median(whole, times)[0]

        from captum.attr import IntegratedGradients

        peer = timed(
            lambda m=moved, x=x, t=targets: IntegratedGradients(m).attribute(
                x, 0.0 * x, t, n_steps=50, internal_batch_size=5000
            )
        )
        ours = timed(
            lambda m=moved, x=x, t=targets: integrated_gradients(m, x, 0.0, class_score(t))
        )
        network = load(MODELS / f"{name}.onnx")
        exact = timed(
            lambda n=network, x=x, t=targets: integrated_gradients(
                n,
                x[:10],
                0.0,
                class_score(t[:10].cpu()),
                method="exact",
                device="cuda",
                dtype=torch.float32,
            )
        )
        rows.append(
            {
                "device": torch.cuda.get_device_name(),
                "model": name,
                "captum_50_ms": 1000 * peer / count,
                "gauss_50_ms": 1000 * ours / count,
                "exact_ms": 100 * exact,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few images, one repetition")
    parser.add_argument("--experts", action="store_true")
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
    count, times = (10, 1) if given.quick else (100, 5)
    print(f"{given.threads} threads, {count} images, median of {times}; shared cores are noisy\n")
    found: dict[str, Any] = {"threads": given.threads, "images": count, "repetitions": times}
    found["integrated"] = [row for name in SLICES for row in integrated(name, count, times)]
    table(found["integrated"])
    amount = 1000 if given.quick else 5000
    found["all_classes"] = [all_classes(name, amount, times) for name in SLICES]
    table(found["all_classes"])
    found["peak_mb"] = [
        {
            "model": "mnist-cnn",
            "tool": tool,
            "steps": s,
            "images": n,
            "mb": peak("mnist-cnn", tool, s, n),
        }
        for tool, s, n in (
            ("ours", 50, 10),
            ("ours", 300, 100),
            ("exact", 0, 2),
            ("Captum", 50, 10),
            ("Captum 500", 300, 100),
        )
    ]
    table(found["peak_mb"])
    if given.experts:
        found["experts"] = [
            row
            for name, layer in (("mnist-mlp", "relu1"), ("mnist-cnn", "maxpool3"))
            for row in experts(name, layer)
        ]
        table(found["experts"])
    if torch.cuda.is_available():
        found["gpu"] = on_gpu(count, times)
        table(found["gpu"])
    else:
        found["gpu"] = "not measured"
        print("GPU: not measured")
    if given.out:
        given.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
