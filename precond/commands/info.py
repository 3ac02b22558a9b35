"""``precond info``: layers, neurons, shapes and hash of a network."""

from __future__ import annotations

import argparse

from precond.commands.arguments import Commands


def add(commands: Commands) -> None:
    info = commands.add_parser("info", help="layers, neurons, shapes and hash of a network")
    info.add_argument("model", metavar="MODEL")
    info.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    from precond.formats.load import load
    from precond.summary import describe

    print(describe(load(chosen.model)))
    return 0
