"""``precond verify`` and ``precond supports``: the command line of the VNN-LIB standard."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from precond.commands.arguments import Commands, add_settings, output_folder, seconds
from precond.commands.exact import add_exact
from precond.commands.given import add_unsaid
from precond.commands.outputs import add_outputs
from precond.errors import PrecondError
from precond.proof.effort import Effort


def add(commands: Commands) -> None:
    verify = commands.add_parser("verify", help="decide a VNN-LIB query: sat, unsat or unknown")
    verify.add_argument("query", type=Path, metavar="QUERY", help=".vnnlib or .vnnlib.gz")
    verify.add_argument(
        "--network",
        action="append",
        required=True,
        metavar="NAME=MODEL",
        help="the model file of a network by its name in the query; one alone needs no name",
    )
    verify.add_argument(
        "--timeout", type=seconds, metavar="SECONDS", help="for everything, loading included"
    )
    verify.add_argument(
        "--serialise-assignments",
        type=Path,
        metavar="DIR",
        help="write a counterexample as one ONNX tensor per variable, instead of printing it",
    )
    verify.add_argument(
        "--as-real",
        action="store_true",
        help="read floating-point types as real numbers (default: a query about floats is about "
        "the program that runs)",
    )
    add_outputs(verify)
    add_exact(verify)
    add_unsaid(verify)
    add_settings(verify, Effort, "device", "seed")
    verify.set_defaults(run=run)

    # With another prefix a capability, which starts with "--", is an argument, not an option.
    asked = commands.add_parser(
        "supports",
        help="what verify can decide, e.g. precond supports --onnx-operators",
        prefix_chars="+",
        add_help=False,
    )
    asked.add_argument("capability", metavar="CAPABILITY")
    asked.set_defaults(run=supports)


def run(chosen: argparse.Namespace) -> int:
    from precond.vnnlib.process import ask

    folder = chosen.serialise_assignments
    if folder is not None:
        output_folder(folder, "--serialise-assignments")
    if chosen.certificate is not None:
        output_folder(chosen.certificate, "--certificate")
    request = {
        "query": str(chosen.query),
        "networks": chosen.network,
        "assignments": None if folder is None else str(folder),
        "device": chosen.device,
        "seed": chosen.seed,
        "as_real": chosen.as_real,
        "outputs": chosen.outputs,
        "exact": chosen.exact or chosen.certificate is not None,
        "input_shape": chosen.input_shape,
        "activation": chosen.activation,
        "output": chosen.output,
        "certificates": None if chosen.certificate is None else str(chosen.certificate),
    }
    limit = math.inf if chosen.timeout is None else chosen.timeout
    reply = ask(request, chosen.begun + limit)
    if reply.error:
        raise PrecondError(reply.error)
    if reply.note:
        print(f"precond: {reply.note}", file=sys.stderr)
    sys.stdout.write(reply.text)
    sys.stdout.flush()
    return reply.status


def supports(chosen: argparse.Namespace) -> int:
    from precond.vnnlib.capability import capability

    sys.stdout.write(capability(chosen.capability))
    return 0
