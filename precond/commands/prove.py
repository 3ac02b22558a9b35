"""``precond prove``: the claims of a preconditions.json, proved again."""

from __future__ import annotations

import argparse
from pathlib import Path

from precond.commands.arguments import Commands, seconds
from precond.device import require_device


def add(commands: Commands) -> None:
    again = commands.add_parser("prove", help="prove the claims of preconditions.json again")
    again.add_argument("model", metavar="MODEL")
    again.add_argument("file", type=Path, metavar="PRECONDITIONS.json")
    again.add_argument("--only", metavar="ID", action="append", help="this entry (may be repeated)")
    again.add_argument("--budget", type=seconds, default=60.0, help="seconds for each claim")
    again.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    again.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    from precond.errors import QueryError
    from precond.formats.load import load
    from precond.proof.prove import prove
    from precond.proof.verdict import Status
    from precond.store import read_preconditions

    require_device(chosen.device)
    network = load(chosen.model)
    stored = read_preconditions(chosen.file)
    wanted = set(chosen.only or ())
    missing = wanted - {entry.id for entry in stored.preconditions}
    if missing:
        raise QueryError(
            f"--only {', '.join(sorted(missing))}",
            expected=f"an id of {chosen.file}",
            got="none of that name",
        )
    changed = claims = 0
    for entry in stored.preconditions:
        claim = stored.claim(entry, network)
        if (wanted and entry.id not in wanted) or claim is None:
            continue
        claims += 1
        verdict = prove(claim, budget=chosen.budget, device=chosen.device)
        then, now = entry.verdict.status, verdict.status
        settled = {Status.PROVED, Status.REFUTED, Status.VACUOUS}
        contradicts = then in settled and now in settled and then is not now
        changed += contradicts
        mark = "CONTRADICTS the file" if contradicts else ""
        trust = "" if verdict.confirmed else " (unconfirmed)"
        print(
            f"{entry.id:<24} {now.value}{trust:<14} {verdict.engine:<18} "
            f"{verdict.seconds:8.3f} s   file: {then.value} {mark}".rstrip()
        )
    if not claims:
        print("no entry of the file makes a claim that could be proved")
    return 1 if changed else 0
