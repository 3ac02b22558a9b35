"""``precond demo``: ``analyze`` on a network and digits that come with the package."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from precond.basics.options import positive
from precond.commands.arguments import Commands, output_folder

MODEL = "digits-mlp.onnx"
BUDGET = 60.0  # seconds
OPTIONS = ("--inputs", "digits", "--domain", "ball:0.1")


def add(commands: Commands) -> None:
    demo = commands.add_parser(
        "demo", help="analyze a small network on real handwritten digits, both included"
    )
    demo.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="(demo)")
    demo.add_argument(
        "--budget",
        type=positive,
        default=BUDGET,
        metavar="SECONDS",
        help=f"for the whole command (default: {BUDGET:g})",
    )
    demo.set_defaults(run=run, parsers=commands.choices)


def run(arguments: argparse.Namespace) -> int:
    parsers: Mapping[str, argparse.ArgumentParser] = arguments.parsers
    model = output_folder(arguments.out) / MODEL
    model.write_bytes((files("precond.data") / "models" / MODEL).read_bytes())
    out = str(arguments.out)
    words = [str(model), *OPTIONS, "--budget", f"{arguments.budget:g}", "--out", out]
    given = parsers["analyze"].parse_args(words)
    given.begun = arguments.begun
    print(f"precond analyze {' '.join(words)}", flush=True)
    status = int(given.run(given))
    arguments.answer = given.answer
    return status
