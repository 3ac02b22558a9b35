"""What a command takes the outputs of a model for: the file's own, its logits, or classes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from precond.network.graph import Network


def add_outputs(command: argparse.ArgumentParser) -> None:
    """--outputs, for commands that speak of values of outputs."""
    command.add_argument(
        "--outputs",
        choices=("file", "logits"),
        default="file",
        help="of a model that ends in softmax, log-softmax or sigmoid: speak of the file's "
        "outputs (default), or of the logits before its last activation",
    )


def add_threshold(command: argparse.ArgumentParser) -> None:
    """--threshold, for commands that speak of classes."""
    command.add_argument(
        "--threshold",
        type=float,
        metavar="T",
        help="of a model of one output: it says class 1 above T, a probability if it ends in a "
        "sigmoid (default 0.5), else a logit (default 0)",
    )


def with_outputs(network: Network, outputs: str) -> Network:
    """The network, or its logits; a line says what its outputs are where that needs saying."""
    shown = network.logits if outputs == "logits" else network
    if shown.output_words:
        print(f"outputs        y: {shown.output_words}")
    return shown


def classifier(network: Network, threshold: float | None) -> Network:
    """The logits of the network, read as classes; a line says how, where that needs saying."""
    from precond.logit_property import with_threshold

    shown = (network if threshold is None else with_threshold(network, threshold)).logits
    words = [f"y: {shown.output_words}"] if shown.output_words else []
    if shown.classes.binary:
        words.append(shown.classes.words())
    if words:
        print(f"outputs        {'; '.join(words)}")
    return shown


def model_name(network: Network) -> str:
    """The model's file for headings, with what its outputs are where that needs saying."""
    return Path(network.origin).name
