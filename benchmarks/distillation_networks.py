"""The networks that ``benchmarks/distillation.py`` makes fast paths of, trained here and seeded.

Two of 8 layers (conv16 pool, 2×conv32 pool, 2×conv64 pool, 128-64-10; 3×3 convolutions), and a
small one with batch normalisation.  Each is trained on its own part of the data set: neither
calibration nor test rows are seen in training.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from precond.apply.distillation.training import moved
from precond.apply.simplification.merged import rounded
from precond.data.datasets import Dataset, split
from precond.formats.load import load
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Conv2d, Layer, MaxPool2d, Node, ReLU, Reshape

BLOCKS, DENSE, CLASSES = ((16,), (32, 32), (64, 64)), (128, 64), 10
# Epochs, peak rate, batch, pixels that pictures are moved by, calibration rows.
RECIPES = {
    "mnist-5k": (60, 2e-3, 64, 2, 2_400),
    "fashion-mnist": (8, 4e-3, 128, 1, 10_000),
}


def parts(data: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows for training, calibration and test."""
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


def small_module() -> nn.Sequential:
    """What a user may bring: two convolutions with batch normalisation, and a dense layer."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 49, CLASSES),
    )


def trained(data: Dataset, module: nn.Sequential) -> nn.Sequential:
    """AdamW with a one-cycle rate; fashion pictures are mirrored half of the time."""
    assert data.labels is not None
    epochs, rate, batch, shift, _ = RECIPES[data.name]
    rows = torch.as_tensor(parts(data)[0])
    inputs = torch.as_tensor(np.asarray(data.inputs)).reshape(-1, 1, 28, 28)
    labels = torch.as_tensor(data.labels)
    torch.manual_seed(0)
    stream = torch.Generator().manual_seed(0)
    # torch's stubs lack this overload of ``to``
    network = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
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
    return network.eval()


def small_network(data: Dataset) -> Network:
    network = trained(data, small_module()).to(memory_format=torch.contiguous_format)
    return rounded(load(network, input_shape=(1, 28, 28))).network  # a file can hold this one


def network_of(data: Dataset) -> Network:
    """The 8-layer network, trained."""
    network, name = trained(data, module()), data.name
    nodes: list[Node] = []
    counts: dict[str, int] = {}
    for item in network:
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
