"""Fast paths of two 8-layer convolutional networks, beside the plain network and its rivals.

Each network (conv16 pool, 2×conv32 pool, 2×conv64 pool, 128-64-10; 3×3 convolutions) is
trained here, seeded, on its own part of the data set: neither the validation rows, on which
thresholds are chosen, nor the test rows are seen in training.  One table a data set: coverage,
accuracy, and latency at batch 1 and 256 of the fast path, the plain network, both compiled, a
linear exit at the same layer and a smaller network.  Wanted: at most 0.1 points of accuracy
lost, and half the latency.

    python benchmarks/distillation.py --cache networks --out distillation.json
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from precond.apply.distillation.learn import augmented, distill, sample_of
from precond.apply.distillation.path import save_fast_path
from precond.apply.distillation.reading import Reading
from precond.apply.distillation.table import Samples, TradeOffTable, trade_off
from precond.apply.distillation.training import moved
from precond.apply.distillation.votes import Training
from precond.data.datasets import Dataset, load_dataset, split
from precond.formats.load import load
from precond.formats.onnx.writer import write_onnx
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Conv2d, Layer, MaxPool2d, Node, ReLU, Reshape

BLOCKS, DENSE, CLASSES = ((16,), (32, 32), (64, 64)), (128, 64), 10
MAX_LOSS, SPEED = 0.1, 2.0
# Epochs, peak rate, batch, pixels that pictures are moved by, validation rows.
RECIPES = {
    "mnist-5k": (30, 2e-3, 64, 2, 800),
    "fashion-mnist": (8, 4e-3, 128, 1, 10_000),
}


def parts(data: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows for training, validation and test."""
    train, test = split(data)
    mixed = np.random.RandomState(0).permutation(train)
    count = RECIPES[data.name][4]
    return np.sort(mixed[count:]), np.sort(mixed[:count]), test


def module() -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 1
    for block in BLOCKS:
        for count in block:
            layers += [nn.Conv2d(channels, count, 3, padding=1), nn.ReLU()]
            channels = count
        layers.append(nn.MaxPool2d(2))
    layers.append(nn.Flatten())
    width = channels * 9
    for count in DENSE:
        layers += [nn.Linear(width, count), nn.ReLU()]
        width = count
    return nn.Sequential(*layers, nn.Linear(width, CLASSES))


def train(data: Dataset) -> Network:
    """AdamW with a one-cycle rate; fashion pictures are mirrored half of the time."""
    assert data.labels is not None
    epochs, rate, batch, shift, _ = RECIPES[data.name]
    rows = torch.as_tensor(parts(data)[0])
    inputs = torch.as_tensor(np.asarray(data.inputs)).reshape(-1, 1, 28, 28)
    labels = torch.as_tensor(data.labels)
    torch.manual_seed(0)
    stream = torch.Generator().manual_seed(0)
    # torch's stubs lack this overload of ``to``
    network = module().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.1)
    steps = epochs * -(-len(rows) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps, pct_start=0.2
    )
    for _ in range(epochs):
        for part in torch.split(torch.randperm(len(rows), generator=stream), batch):
            x: Tensor = moved(inputs[rows[part]], shift, stream)
            if data.name == "fashion-mnist":
                mirrored = torch.rand(len(x), generator=stream) < 0.5
                x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
            optimizer.zero_grad()
            loss = F.cross_entropy(network(x), labels[rows[part]])
            loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
            optimizer.step()
            schedule.step()
    return as_network(network, data.name)


def as_network(trained: nn.Sequential, name: str) -> Network:
    nodes: list[Node] = []
    counts: dict[str, int] = {}
    for item in trained:
        layer: Layer
        match item:
            case nn.Conv2d():
                assert item.bias is not None
                weight, bias = item.weight.detach().numpy(), item.bias.detach().numpy()
                kind, layer = "conv", Conv2d(weight, bias, padding=(1, 1, 1, 1))
            case nn.Linear():
                layer = Affine(item.weight.detach().numpy(), item.bias.detach().numpy())
                kind = "dense"
            case nn.MaxPool2d():
                kind, layer = "pool", MaxPool2d((2, 2), (2, 2))
            case nn.Flatten():
                kind, layer = "flatten", Reshape((BLOCKS[-1][-1] * 9,))
            case _:
                kind, layer = "relu", ReLU()
        counts[kind] = counts.get(kind, 0) + 1
        source = nodes[-1].name if nodes else INPUT
        nodes.append(Node(f"{kind}{counts[kind]}", layer, (source,)))
    return Network(tuple(nodes), (1, 28, 28), origin=name)


def one(name: str, cache: Path, readings: list[Reading] | None, compile: bool) -> dict[str, object]:
    """Train (or load) the network, make its fast path, measure."""
    data = load_dataset(name)
    file = cache / f"{name}-8-layers.onnx"
    if not file.exists():
        begun = time.perf_counter()
        write_onnx(train(data), file)
        print(f"{name}: trained in {time.perf_counter() - begun:.0f} s", flush=True)
    network = load(file)
    whole = sample_of(network, np.asarray(data.inputs), data.labels)
    fit, validation, test = (whole.rows(rows) for rows in parts(data))
    shift = 1 if name == "mnist-5k" else 0
    validation = augmented(validation, network, shift)
    training = Training(shift=shift)
    begun = time.perf_counter()
    found = distill(network, fit, validation, readings, max_loss=MAX_LOSS, training=training)
    seconds = time.perf_counter() - begun
    save_fast_path(found.path, cache / f"{name}-fastpath.pt")
    table = trade_off(
        network,
        found,
        Samples(fit, validation, test),
        max_loss=MAX_LOSS,
        training=training,
        compile=compile,
    )
    given = found.path.predict(test.inputs.numpy()).exits
    busy = os.getloadavg()[0]
    print(
        f"\n{name}: {len(test)} test inputs, {table.threads} threads; made in {seconds:.0f} s; "
        f"load {busy:.1f} (this program counts 1)"
    )
    for number, exit in enumerate(found.path.names()):
        print(f"  {100 * (given == number).mean():5.1f} % answered by {exit}")
    print("\n".join(table.lines()))
    for note in table.notes:
        print(f"note: {note}")
    print(verdict(table), flush=True)
    return {
        "data": name,
        "load": busy,
        "seconds": seconds,
        "exits": found.path.names(),
        "table": table.to_json(),
    }


def verdict(table: TradeOffTable) -> str:
    """Loss and speed of the fast path against the plain network, both as they run and compiled."""
    words = []
    for suffix in ("", ", compiled"):
        names = {row.method for row in table.rows}
        if f"fast path{suffix}" not in names:
            continue
        plain, fast = table.row(f"plain network{suffix}"), table.row(f"fast path{suffix}")
        measured = ((plain.cpu, fast.cpu), (plain.processor, fast.processor))
        walls, works = (
            [a / b if a and b else float("nan") for a, b in zip(one, other, strict=True)]
            for one, other in measured
        )
        ratios = [
            f"{wall:.2f}× at batch {size} ({work:.2f}× in processor time)"
            for size, wall, work in zip(table.batches, walls, works, strict=True)
        ]
        words.append(f"{suffix.strip(', ') or 'eager'}: {', '.join(ratios)}")
    loss = table.row("fast path").loss
    return (
        f"loss {loss:+.2f} points (wanted ≤ {MAX_LOSS:g}); {'; '.join(words)} (wanted ≥ {SPEED:g}×)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", nargs="*", help=f"of {', '.join(RECIPES)} (default: all)")
    parser.add_argument("--cache", type=Path, required=True, help="folder for trained networks")
    parser.add_argument("--layer", action="append", metavar="NAME[:STEP]")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    names = options.name or list(RECIPES)
    if set(names) - set(RECIPES):
        parser.error(f"expected {' or '.join(RECIPES)}, got {', '.join(names)}")
    torch.set_num_threads(options.threads)
    options.cache.mkdir(parents=True, exist_ok=True)
    readings = [Reading.parse(text) for text in options.layer or ()] or None
    results = [one(name, options.cache, readings, not options.no_compile) for name in names]
    if options.out is not None:
        options.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
