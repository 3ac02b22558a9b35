"""``precond info``: layers, neurons, shapes and hash of a network."""

from __future__ import annotations

import argparse

from precond.commands.answers import answered
from precond.commands.arguments import Commands
from precond.commands.given import add_model, read_model


def add(commands: Commands) -> None:
    info = commands.add_parser("info", help="layers, neurons, shapes and hash of a network")
    add_model(info)
    info.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from precond.network.describe import describe

    network = read_model(arguments)
    answered(
        arguments,
        origin=network.origin,
        hash=network.hash,
        input_shape=network.input_shape,
        outputs=network.output_size,
        neurons=network.neurons,
        layers={name: network.width(name) for name in network.decision_layers},
    )
    print(describe(network))
    return 0
