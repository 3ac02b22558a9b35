"""What several commands are given: a model, and data that fits it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from precond.errors import DataError

if TYPE_CHECKING:
    from precond.datasets import Dataset
    from precond.network.graph import Network


def add_given(command: argparse.ArgumentParser, labels: str) -> None:
    """MODEL, --inputs, --labels, --divide and --device; ``labels`` says what they are for."""
    command.add_argument("model", metavar="MODEL", help=".onnx, .nnet, or .pt/.pth")
    command.add_argument(
        "--inputs",
        required=True,
        metavar="DATA",
        help="digits, mnist-5k, fashion-mnist, or a .npy, .npz, .csv or IDX file",
    )
    command.add_argument("--labels", metavar="Y", help=labels)
    command.add_argument(
        "--divide", type=float, default=1.0, help="divide a file's values by this (255 for bytes)"
    )
    command.add_argument("--device", choices=("cpu", "cuda"), default="cpu")


def read_given(chosen: argparse.Namespace) -> tuple[Network, Dataset]:
    """The network and the data, checked to fit each other."""
    from precond.datasets import load_dataset
    from precond.device import require_device
    from precond.formats.load import load

    require_device(chosen.device)
    network = load(chosen.model)
    dataset = load_dataset(chosen.inputs, chosen.labels, divide=chosen.divide)
    width = dataset.inputs.reshape(len(dataset), -1).shape[1]
    if width != network.input_size:
        raise DataError(
            f"inputs {dataset.name} for {chosen.model}",
            expected=f"rows of {network.input_size} values",
            got=f"rows of {width}",
            fix="Choose data of the network's input width",
        )
    return network, dataset
