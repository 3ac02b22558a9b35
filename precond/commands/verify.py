"""``precond verify`` and ``precond supports``: the command line of the VNN-LIB standard."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from precond.commands.answers import answered
from precond.commands.arguments import Commands, add_settings, output_folder, seconds
from precond.commands.exact import add_exact
from precond.commands.given import add_unsaid
from precond.commands.outputs import add_outputs
from precond.commands.stopped import stopped
from precond.commands.suite import add_suite, is_suite, run_suite
from precond.errors import PrecondError
from precond.proof.effort import Effort


def add(commands: Commands) -> None:
    verify = commands.add_parser(
        "verify", help="decide a VNN-LIB query, or a list of them: sat, unsat or unknown"
    )
    verify.add_argument(
        "query",
        type=Path,
        metavar="QUERY",
        help=".vnnlib or .vnnlib.gz; or a .csv list of them, NETWORK,QUERY[,SECONDS[,ANSWER]] "
        "a row, with --out",
    )
    verify.add_argument(
        "--network",
        action="append",
        metavar="NAME=MODEL",
        help="the model file of a network by its name in the query; one alone needs no name",
    )
    verify.add_argument(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        help="for a query, loading included (default: no limit)",
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
    add_suite(verify)
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


def run(arguments: argparse.Namespace) -> int:
    if is_suite(arguments):
        return run_suite(arguments)
    from precond.vnnlib.process import ask

    folder = arguments.serialise_assignments
    if folder is not None:
        output_folder(folder, "--serialise-assignments")
    if arguments.certificate is not None:
        output_folder(arguments.certificate, "--certificate")
    request = {
        "query": str(arguments.query),
        "networks": arguments.network,
        "assignments": None if folder is None else str(folder),
        "device": arguments.device,
        "seed": arguments.seed,
        "as_real": arguments.as_real,
        "outputs": arguments.outputs,
        "exact": arguments.exact or arguments.certificate is not None,
        "input_shape": arguments.input_shape,
        "activation": arguments.activation,
        "output": arguments.output,
        "certificates": None if arguments.certificate is None else str(arguments.certificate),
    }
    limit = math.inf if arguments.timeout is None else arguments.timeout
    try:
        reply = ask(request, arguments.begun + limit)
    except KeyboardInterrupt:  # the child has been killed
        answered(arguments, answer="unknown")
        print("unknown", flush=True)
        return stopped(ledger=None)
    if reply.error:
        raise PrecondError(reply.error)
    if reply.note:
        print(f"precond: {reply.note}", file=sys.stderr)
    answered(arguments, answer=reply.text.partition("\n")[0], text=reply.text)
    sys.stdout.write(reply.text)
    sys.stdout.flush()
    return reply.status


def supports(arguments: argparse.Namespace) -> int:
    from precond.vnnlib.capability import capability

    text = capability(arguments.capability)
    answered(arguments, text=text)
    sys.stdout.write(text)
    return 0
