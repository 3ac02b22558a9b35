"""``precond info``: layers, neurons, shapes and hash of a network."""

from __future__ import annotations

import argparse

from precond.commands.arguments import Commands
from precond.commands.given import add_model, read_model


def add(commands: Commands) -> None:
    info = commands.add_parser("info", help="layers, neurons, shapes and hash of a network")
    add_model(info)
    info.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from precond.network.describe import describe

    print(describe(read_model(arguments)))
    return 0
