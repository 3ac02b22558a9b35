"""Trains the networks in this folder, written as ONNX: ``python models/train.py [NAME ...]``.

Every network is a chain of Gemm or Conv, Relu, MaxPool and Flatten nodes, written node by
node, so that the file holds nothing but the network: nodes ``gemm1``, ``relu1``, … in
order, input ``input`` (N, …), output ``output`` (N, 10), batch size free.

Training sees only the training rows of ``split(dataset, 0.2, seed=0)``.  Of several seeds
the one with the best *training* accuracy is kept; held-out rows choose nothing.  One
thread and seeded generators: the same machine and library versions give the same file.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

from precond.data.datasets import Dataset, load_dataset, split

FOLDER = Path(__file__).parent
HELD_OUT, SPLIT_SEED = 0.2, 0
TABLE_START, TABLE_END = "<!-- table: written by train.py -->", "<!-- end of table -->"
OPSET, IR_VERSION = 13, 8


@dataclass(frozen=True)
class Recipe:
    """What to train, on what, and how.

    ``convolutions`` lists the channels of 3×3 convolutions between 2×2 max-pools; ``widths``
    the hidden dense layers.  ``shift``: pictures are moved by up to so many pixels while
    training.  ``identity``: square layers start near the identity instead of by He's rule,
    so that a deep, thin chain passes its inputs on from the first step.  ``radius`` > 0: half
    of the loss is that of the worst outputs which intervals allow in a ball of this radius
    (Gowal et al. 2018), so that balls of that size can be proved.  ``sparse`` > 0: the loss has
    that many times the sum of all |weights|, so that many neurons learn never to switch.
    """

    name: str
    data: str
    widths: tuple[int, ...]
    epochs: int
    rate: float
    decay: float
    seeds: tuple[int, ...]
    convolutions: tuple[tuple[int, ...], ...] = ()
    shift: int = 0
    identity: bool = False
    batch: int = 64
    radius: float = 0.0
    sparse: float = 0.0

    def __str__(self) -> str:
        parts = [f"{self.epochs} epochs", f"rate {self.rate:g}", f"decay {self.decay:g}"]
        if self.shift:
            parts.append(f"shifts ≤ {self.shift} px")
        if self.radius:
            parts.append(f"intervals of radius {self.radius:g}")
        if self.sparse:
            parts.append(f"{self.sparse:g} · L1 norm of weights")
        parts.append(f"best of {len(self.seeds)} seeds" if len(self.seeds) > 1 else "1 seed")
        return ", ".join(parts)


RECIPES = (
    Recipe("digits-mlp", "digits", (32, 32), epochs=60, rate=5e-3, decay=0.1, seeds=(0,)),
    Recipe(
        "mnist-10x10",
        "mnist-5k",
        (10,) * 10,
        epochs=200,
        rate=3e-3,
        decay=1e-2,
        seeds=(0, 1, 2),
        shift=1,
        identity=True,
    ),
    Recipe(
        "mnist-mlp",
        "mnist-5k",
        (64, 64, 64),
        epochs=80,
        rate=2e-3,
        decay=0.1,
        seeds=(0,),
        shift=2,
    ),
    Recipe(
        "mnist-cnn",
        "mnist-5k",
        (128, 64),
        epochs=12,
        rate=2e-3,
        decay=0.1,
        seeds=(0,),
        convolutions=((16,), (32, 32), (64, 64)),
        shift=2,
    ),
    Recipe(
        "mnist-provable-cnn",
        "mnist-5k",
        (48,),
        epochs=40,
        rate=3e-3,
        decay=0.01,
        seeds=(0,),
        convolutions=((8,), (16,)),
        shift=1,
        radius=0.07,
    ),
    Recipe(
        "mnist-sparse-mlp",
        "mnist-5k",
        (128, 64),
        epochs=60,
        rate=2e-3,
        decay=0.0,
        seeds=(0,),
        shift=1,
        sparse=5e-4,
    ),
    Recipe(
        "mnist-sparse-cnn",
        "mnist-5k",
        (48,),
        epochs=12,
        rate=3e-3,
        decay=0.0,
        seeds=(0,),
        convolutions=((16,), (32,)),
        sparse=1e-3,
    ),
)


def build(recipe: Recipe, picture: tuple[int, int], classes: int) -> nn.Sequential:
    """The untrained network; weights come from torch's seeded generator, biases are 0."""
    layers: list[nn.Module] = []
    channels, (height, width) = 1, picture
    for block in recipe.convolutions:
        for count in block:
            layers += [nn.Conv2d(channels, count, 3, padding=1), nn.ReLU()]
            channels = count
        layers.append(nn.MaxPool2d(2))
        height, width = height // 2, width // 2
    if recipe.convolutions:
        layers.append(nn.Flatten())
    sizes = (channels * height * width, *recipe.widths, classes)
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    layers.pop()
    for layer in layers:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.zeros_(_require(layer.bias))
            nn.init.kaiming_normal_(layer.weight)
            if recipe.identity and layer.weight.shape[0] == layer.weight.shape[1]:
                size = layer.weight.shape[0]
                layer.weight.data = torch.eye(size) + 0.1 * torch.randn(size, size)
    return nn.Sequential(*layers)


def _require(bias: Tensor | None) -> Tensor:
    if bias is None:
        raise TypeError("a layer without bias")
    return bias


def moved(pictures: Tensor, reach: int, generator: torch.Generator) -> Tensor:
    """Pictures (B, H, W), each moved by up to ``reach`` pixels each way, zeros coming in."""
    count, height, width = pictures.shape
    windows = F.pad(pictures, (reach,) * 4).unfold(1, height, 1).unfold(2, width, 1)
    down, right = torch.randint(2 * reach + 1, (2, count), generator=generator)
    return windows[torch.arange(count), down, right]


def worst(network: nn.Sequential, inputs: Tensor, radius: float, labels: Tensor) -> Tensor:
    """The outputs (B, classes) that intervals allow in balls of ``radius``, the least for the
    class of each picture and the largest for the others."""
    low, high = (inputs - radius).clamp(min=0), (inputs + radius).clamp(max=1)
    for layer in network:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            middle, reach = layer((low + high) / 2), (high - low) / 2
            if isinstance(layer, nn.Conv2d):
                spread = F.conv2d(reach, layer.weight.abs(), padding=1)
            else:
                spread = F.linear(reach, layer.weight.abs())
            low, high = middle - spread, middle + spread
        else:
            low, high = layer(low), layer(high)
    own = F.one_hot(labels, low.shape[1]).bool()
    return torch.where(own, low, high)


def sizes(network: nn.Sequential) -> Tensor:
    """The sum of all |weights|."""
    return torch.stack([p.abs().sum() for p in network.parameters() if p.ndim > 1]).sum()


def fit(recipe: Recipe, dataset: Dataset, rows: NDArray[np.int64], seed: int) -> nn.Sequential:
    """The network trained on ``rows`` with AdamW, a one-cycle rate and clipped gradients."""
    assert dataset.labels is not None and dataset.image_shape is not None
    height, width = dataset.image_shape
    inputs = torch.tensor(dataset.inputs[rows]).reshape(-1, height, width)
    labels = torch.tensor(dataset.labels[rows])
    torch.manual_seed(seed)
    order = torch.Generator().manual_seed(seed)
    network = build(recipe, (height, width), int(labels.max()) + 1)
    shape = input_shape(recipe, (height, width))
    optimizer = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=recipe.decay)
    steps = recipe.epochs * -(-len(rows) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.rate, total_steps=steps, pct_start=0.2
    )
    for epoch in range(recipe.epochs):
        grown = min(1.0, 2 * epoch / recipe.epochs)
        for part in torch.randperm(len(rows), generator=order).split(recipe.batch):
            batch = inputs[part]
            if recipe.shift:
                batch = moved(batch, recipe.shift, order)
            optimizer.zero_grad()
            batch, right = batch.reshape(-1, *shape), labels[part]
            loss = F.cross_entropy(network(batch), right)
            if recipe.radius:
                bounds = worst(network, batch, grown * recipe.radius, right)
                loss = (loss + F.cross_entropy(bounds, right)) / 2
            if recipe.sparse:
                loss = loss + recipe.sparse * sizes(network)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return network


def input_shape(recipe: Recipe, picture: tuple[int, int]) -> tuple[int, ...]:
    """Shape of one input: a picture with one channel, or its pixels in a row."""
    return (1, *picture) if recipe.convolutions else (picture[0] * picture[1],)


def to_onnx(network: nn.Sequential, name: str, shape: Sequence[int]) -> onnx.ModelProto:
    """The network as ONNX, one node per layer."""
    kinds: dict[str, int] = {}
    options: dict[str, int | tuple[int, ...]]
    nodes: list[onnx.NodeProto] = []
    weights: list[TensorProto] = []
    value = "input"
    for position, layer in enumerate(network):
        match layer:
            case nn.Linear():
                kind, options = "Gemm", {"transB": 1}
            case nn.Conv2d():
                kind, options = "Conv", {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}
            case nn.MaxPool2d():
                kind, options = "MaxPool", {"kernel_shape": (2, 2), "strides": (2, 2)}
            case nn.Flatten():
                kind, options = "Flatten", {"axis": 1}
            case nn.ReLU():
                kind, options = "Relu", {}
            case _:
                raise TypeError(f"no ONNX node for {layer}")
        kinds[kind] = kinds.get(kind, 0) + 1
        node = f"{kind.lower()}{kinds[kind]}"
        inputs = [value]
        if isinstance(layer, nn.Linear | nn.Conv2d):
            for role, tensor in (("weight", layer.weight), ("bias", _require(layer.bias))):
                inputs.append(f"{node}.{role}")
                weights.append(numpy_helper.from_array(tensor.detach().numpy(), inputs[-1]))
        value = "output" if position == len(network) - 1 else node
        nodes.append(helper.make_node(kind, inputs, [value], node, **options))
    classes = network[-1].out_features
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", classes])],
        weights,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="precond models/train.py",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def accuracy(path: Path, dataset: Dataset, rows: NDArray[np.int64]) -> float:
    """Part of ``rows`` that the file, run by onnxruntime, puts in their class."""
    assert dataset.labels is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape[1:]
    right = 0
    for part in np.array_split(rows, max(1, len(rows) // 1000)):
        inputs = np.ascontiguousarray(dataset.inputs[part], np.float32).reshape(-1, *shape)
        (outputs,) = session.run(None, {"input": inputs})
        right += int((outputs.argmax(1) == dataset.labels[part]).sum())
    return right / len(rows)


def train(recipe: Recipe, folder: Path = FOLDER) -> str:
    """Trains, writes ``folder/NAME.onnx``, and returns its row of the table."""
    dataset = load_dataset(recipe.data)
    training, held_out = split(dataset, HELD_OUT, SPLIT_SEED)
    height, width = dataset.image_shape or (0, 0)
    shape = input_shape(recipe, (height, width))
    path = folder / f"{recipe.name}.onnx"
    best = -1.0
    for seed in recipe.seeds:
        network = fit(recipe, dataset, training, seed)
        candidate = path.with_suffix(".part")
        model = to_onnx(network, recipe.name, shape)
        candidate.write_bytes(model.SerializeToString(deterministic=True))
        reached = accuracy(candidate, dataset, training)
        if reached > best:
            best = reached
            candidate.replace(path)
        else:
            candidate.unlink()
    content = path.read_bytes()
    blocks = " pool ".join(" ".join(f"conv{c}" for c in b) for b in recipe.convolutions)
    layers = f"{blocks} pool · " if blocks else ""
    dense = "-".join(map(str, (*recipe.widths, 10)))
    return " | ".join(
        (
            f"| `{recipe.name}`",
            f"{'×'.join(map(str, shape))} → {layers}{dense}",
            f"{recipe.data}",
            f"{recipe}",
            f"{best:.4f}",
            f"{accuracy(path, dataset, held_out):.4f}",
            f"{len(content):,}",
            f"`{hashlib.sha256(content).hexdigest()}` |",
        )
    )


def write_table(readme: Path, rows: dict[str, str]) -> None:
    """Puts each row in the place of the model's old row, or after the last one."""
    before, rest = readme.read_text(encoding="utf-8").split(TABLE_START)
    table, after = rest.split(TABLE_END)
    lines = table.strip().splitlines()
    for name, row in rows.items():
        old = [i for i, line in enumerate(lines) if line.startswith(f"| `{name}` ")]
        if old:
            lines[old[0]] = row
        else:
            lines.append(row)
    text = f"{before}{TABLE_START}\n" + "\n".join(lines) + f"\n{TABLE_END}{after}"
    readme.write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    names = [recipe.name for recipe in RECIPES]
    parser = argparse.ArgumentParser(description="Train the networks in this folder.")
    parser.add_argument("name", nargs="*", help=f"which ones (default: all): {', '.join(names)}")
    chosen = parser.parse_args(arguments).name or names
    unknown = [name for name in chosen if name not in names]
    if unknown:
        parser.error(f"no model named {', '.join(unknown)}; there are {', '.join(names)}")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    rows = {}
    for recipe in RECIPES:
        if recipe.name in chosen:
            started = time.perf_counter()
            rows[recipe.name] = train(recipe)
            print(f"{rows[recipe.name]}  {time.perf_counter() - started:.0f} s", flush=True)
    write_table(FOLDER / "README.md", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
