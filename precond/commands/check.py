"""``precond check``: whether a certificate proves what it states, in exact arithmetic."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from precond.commands.answers import answered
from precond.commands.arguments import Commands
from precond.commands.claim_names import names_for
from precond.commands.given import add_model, read_model
from precond.errors import QueryError

if TYPE_CHECKING:
    from precond.checker.certificate import Certificate
    from precond.network.graph import Network

EXIT_INVALID = 1
LARGE = 20_000_000  # numbers of python-flint that a few GB hold
SHOWN, WIDTH = 40, 160  # lines of a statement, and characters of one, without --statement


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "check",
        help="check a certificate of a proof in exact arithmetic",
        description="Prints what the certificate states, then 'valid' (exit status 0), or where "
        "it fails (1).  A file that is no certificate, or a damaged one, is an error (2), and so "
        "is --fast where the numbers are too long for it, or a large network without it.",
    )
    command.add_argument("certificate", type=Path, metavar="CERTIFICATE")
    add_model(command)
    command.add_argument(
        "--fast",
        action="store_true",
        help="whole numbers in machine words, many leaves at once, instead of python-flint",
    )
    command.add_argument("--statement", action="store_true", help="print all of the statement")
    command.add_argument(
        "--up-to",
        metavar="NODE",
        help="the certificate is about the value of this node of the model, as those of "
        "'precond simplify' are",
    )
    command.add_argument(
        "--names",
        type=Path,
        metavar="PRECONDITIONS",
        help="also print what this preconditions.json of the model calls classes and columns; "
        "names are no part of what is checked",
    )
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    # Products are small: threads would cost more than they bring.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from precond.checker.exact import check
    from precond.checker.fast import check_fast
    from precond.checker.files import read_certificate
    from precond.network.parts import head
    from precond.printable import printable

    certificate = read_certificate(arguments.certificate)
    for line in certificate.statement.lines() if arguments.statement else _first(certificate):
        print(line)
    model = read_model(arguments)
    network = model.logits
    if arguments.up_to is not None:
        network = head(network, arguments.up_to)
        print(f"of that model up to {printable(arguments.up_to)}: y are the values of that node")
    if network.output_words:
        print(f"of that model: y are the {network.output_words}")
    names = (
        [] if arguments.names is None else names_for(arguments.names, certificate.statement, model)
    )
    for line in _shown(arguments, names):
        print(line)
    if not arguments.fast:
        _require_small(network)
    result = (check_fast if arguments.fast else check)(certificate, network)
    if not result.decided:
        raise QueryError(
            "check --fast", expected="shorter numbers", got=result.where, fix="Check without --fast"
        )
    answered(
        arguments,
        valid=result.valid,
        where=result.where,
        statement=list(islice(certificate.statement.lines(), SHOWN)),
        names=names,
    )
    print("valid" if result.valid else printable(f"not valid: {result.where}"))
    return 0 if result.valid else EXIT_INVALID


def _shown(arguments: argparse.Namespace, names: list[str]) -> list[str]:
    if arguments.statement or len(names) <= SHOWN:
        return names
    return [*names[:SHOWN], f"  … {len(names) - SHOWN} more names: --statement"]


def _require_small(network: Network) -> None:
    """python-flint takes every layer as a full matrix, a convolution too."""
    width = network.shapes
    numbers = sum(
        math.prod(width[node.name]) * math.prod(width[source])
        for node in network.nodes
        if network.is_affine(node.name)
        for source in node.inputs
    )
    if numbers > LARGE:
        raise QueryError(
            "check",
            expected=f"layers that are matrices of {LARGE:,} numbers together at most",
            got=f"{numbers:,}",
            fix="Check with --fast",
        )


def _first(certificate: Certificate) -> Iterator[str]:
    """The statement's first lines, and how much of it is left out."""
    statement = certificate.statement
    for line in islice(statement.lines(), SHOWN):
        more = len(line) - WIDTH
        yield line if more <= 0 else f"{line[:WIDTH]} … {more} more characters: --statement"
    if (more := statement.length() - SHOWN) > 0:
        yield f"  … {more} more lines: --statement"
