"""``precond ledger``: what a ledger file holds: listed, exported, pruned."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from precond.basics.terminal import say
from precond.commands.answers import answered
from precond.commands.arguments import Commands, seconds

DAY = 86400.0
STATUSES = ("proved", "refuted", "vacuous", "unknown", "empirical")


def add(commands: Commands) -> None:
    ledger = commands.add_parser("ledger", help="list, export or prune the verdicts in a ledger")
    ledger.add_argument("file", type=Path, metavar="FILE")
    actions = ledger.add_subparsers(required=True, metavar="ACTION", dest="action")

    shown = actions.add_parser("list", help="one line for each verdict, then how many of each")
    shown.add_argument("--status", choices=STATUSES, help="only these")
    shown.set_defaults(run=run)

    written = actions.add_parser("export", help="one JSON object for each verdict, oldest first")
    written.add_argument("--status", choices=STATUSES, help="only these")
    written.add_argument("--out", type=Path, metavar="FILE", help="default: standard output")
    written.set_defaults(run=run)

    pruned = actions.add_parser("prune", help="delete verdicts that match all conditions given")
    pruned.add_argument("--status", choices=STATUSES, help="of this status")
    pruned.add_argument("--older", type=seconds, metavar="DAYS", help="written so long ago")
    pruned.add_argument("--damaged", action="store_true", help="entries that cannot be read, too")
    pruned.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    return {"list": _list, "export": _export, "prune": _prune}[arguments.action](arguments)


def _list(arguments: argparse.Namespace) -> int:
    from precond.printable import printable
    from precond.proof.arithmetic import Arithmetic, words
    from precond.proof.ledger.ledger import Ledger

    counts: Counter[str] = Counter()
    damaged: list[str] = []
    with Ledger(arguments.file, writable=False) as ledger:
        for entry in ledger.entries(damaged.append):
            verdict = entry.verdict
            if arguments.status not in (None, verdict.status.value):
                continue
            counts[verdict.status.value] += 1
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.written))
            grounds = "exact" if verdict.exact else "" if verdict.confirmed else "unconfirmed"
            runs = ", ".join(words(verdict.holds_in - {Arithmetic.REAL}))
            key = printable(entry.key)
            claim = (*key.split(":"), key)[1]  # "revision:claim", or another name
            say(
                f"{when}  {claim[:16]:<16}  {verdict.status.value:<9} {grounds:<11} "
                f"{verdict.engine:<18} {verdict.seconds:8.3f} s of {entry.budget:.3g}"
                + (f"  also in {runs}" if runs else "")
            )
    answered(arguments, verdicts=counts, damaged=len(damaged))
    print(", ".join(f"{counts[name]} {name}" for name in STATUSES if counts[name]) or "no verdicts")
    if damaged:
        print(
            f"precond: {len(damaged)} damaged entries; 'precond ledger {arguments.file} prune "
            "--damaged' drops them",
            file=sys.stderr,
        )
    return 1 if damaged else 0


def _export(arguments: argparse.Namespace) -> int:
    from precond.basics.whole_files import write_whole
    from precond.proof.ledger.ledger import Ledger

    with Ledger(arguments.file, writable=False) as ledger:
        lines = (
            json.dumps(
                {
                    "key": entry.key,
                    "budget": entry.budget,
                    "written": entry.written,
                    "verdict": entry.verdict.to_json(),
                }
            )
            for entry in ledger.entries()
            if arguments.status in (None, entry.verdict.status.value)
        )
        if arguments.out is None:
            written = list(lines) if arguments.json else lines
            for line in written:
                print(line)
            if arguments.json:
                answered(arguments, verdicts=[json.loads(line) for line in written])
            return 0
        write_whole(arguments.out, (f"{line}\n" for line in lines), name=f"--out {arguments.out}")
    return 0


def _prune(arguments: argparse.Namespace) -> int:
    from precond.errors import QueryError
    from precond.proof.ledger.ledger import Ledger, LedgerRow

    if arguments.status is None and arguments.older is None and not arguments.damaged:
        raise QueryError(
            "precond ledger prune",
            expected="--status, --older or --damaged",
            got="no condition",
            fix="To drop everything, delete the file",
        )
    limit = None if arguments.older is None else time.time() - arguments.older * DAY

    def unwanted(entry: LedgerRow) -> bool:
        if arguments.status is None and limit is None:
            return False
        fits = arguments.status in (None, entry.verdict.status.value)
        return fits and (limit is None or entry.written < limit)

    if not arguments.file.is_file():
        raise QueryError(f"ledger {arguments.file}", expected="a file", got="no such file")
    with Ledger(arguments.file) as ledger:
        dropped = ledger.prune(unwanted, damaged=arguments.damaged)
        answered(arguments, dropped=dropped, kept=len(ledger))
        print(f"dropped {dropped}, kept {len(ledger)}")
    return 0
