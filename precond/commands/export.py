"""``precond export``: a claim of a preconditions.json as a VNN-LIB query for other solvers."""

from __future__ import annotations

import argparse
from pathlib import Path

from precond.basics.terminal import say
from precond.commands.answers import answered
from precond.commands.arguments import Commands
from precond.commands.given import add_model, read_model


def add(commands: Commands) -> None:
    export = commands.add_parser(
        "export", help="write a claim of preconditions.json as a VNN-LIB query for other solvers"
    )
    add_model(export)
    export.add_argument("file", type=Path, metavar="PRECONDITIONS.json")
    export.add_argument(
        "--only",
        metavar="ID",
        help="this entry (default: the first without a pattern, if there is one)",
    )
    export.add_argument(
        "--vnnlib", required=True, type=Path, metavar="FILE", help="the query to write"
    )
    export.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from precond.basics.whole_files import write_whole
    from precond.errors import QueryError
    from precond.study.store import read_preconditions
    from precond.vnnlib.write import claim_text

    stored = read_preconditions(arguments.file)
    network = read_model(arguments)
    claims = {p.id: claim for p in stored.preconditions if (claim := stored.claim(p, network))}
    plain = [name for name, claim in claims.items() if not len(claim.pattern)]
    name = arguments.only or next(iter([*plain, *claims]), None)
    if name is None or name not in claims:
        raise QueryError(
            "--only",
            expected="an entry with a claim" + (f": {', '.join(list(claims)[:8])}"),
            got=name or f"none in {arguments.file}",
        )
    claim = claims[name]
    title = f"{name}: {claim.property}\nunsat: the claim holds; sat: it does not"
    if network.logits is claim.network and network.logits is not network:
        title += f"\nY are the logits before the last {network.output_activation.value}"
        say("note           Y are logits: give solvers the model without its last activation")
    write_whole(arguments.vnnlib, claim_text(claim, title), name=f"query {arguments.vnnlib}")
    if len(claim.pattern):
        say(
            "note           VNN-LIB 2.0: the pattern's literals are bounds of hidden tensors, "
            "which few solvers read ('precond verify' does)"
        )
    answered(arguments, entry=name, file=arguments.vnnlib, pattern_literals=len(claim.pattern))
    print(f"query          {arguments.vnnlib} ({name}; unsat: the claim holds, sat: it does not)")
    return 0
