"""``precond check``: whether a certificate proves what it states, in exact arithmetic."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from precond.commands.arguments import Commands
from precond.commands.given import add_model, read_model

EXIT_INVALID = 1
SHOWN = 40  # lines of a statement that are printed without --statement


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "check",
        help="check a certificate of a proof in exact arithmetic",
        description="Prints what the certificate states, then 'valid' (exit status 0), or where "
        "it fails (1).  A file that is no certificate, or a damaged one, is an error (2).",
    )
    command.add_argument("certificate", type=Path, metavar="CERTIFICATE")
    add_model(command)
    command.add_argument(
        "--fast",
        action="store_true",
        help="whole numbers in machine words, many leaves at once, instead of python-flint",
    )
    command.add_argument("--statement", action="store_true", help="print all of the statement")
    command.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    # Products are small: threads would cost more than they bring.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from precond.checker import check
    from precond.proof.certificates.fast import check_fast
    from precond.proof.certificates.files import read_certificate

    certificate = read_certificate(chosen.certificate)
    lines = str(certificate.statement).splitlines()
    shown = lines if chosen.statement else lines[:SHOWN]
    print("\n".join(shown))
    if len(shown) < len(lines):
        print(f"  … {len(lines) - len(shown)} more lines: --statement")
    network = read_model(chosen)
    result = (check_fast if chosen.fast else check)(certificate, network)
    print("valid" if result.valid else f"not valid: {result.where}")
    return 0 if result.valid else EXIT_INVALID
