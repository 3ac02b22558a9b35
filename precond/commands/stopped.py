"""Ctrl-C: what is known by then is printed and written, and how to go on is said.

A command that has a part of its answer prints it as it would print the whole, then calls
``stopped``.  Where there is nothing yet, Ctrl-C reaches the command line: ``nothing_yet``.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from precond.commands.arguments import EXIT_INTERRUPTED
from precond.errors import PrecondError

AGAIN = "Run the same command again to go on"


def stopped(ledger: Path | None, known: str = "") -> int:
    """The last line of a command that Ctrl-C ended early, and its exit status.

    ``ledger``: where verdicts are, so that the same command goes on; ``known``: what else to say.
    """
    words = f"; {known}" if known else ""
    if ledger is not None:
        words += f"; what was proved is in {ledger}. {AGAIN}"
    print(f"precond: stopped early{words}", file=sys.stderr)
    return EXIT_INTERRUPTED


def nothing_yet(arguments: argparse.Namespace) -> str:
    """What is known where a command does not say it itself: the verdicts of its ledger."""
    from precond.proof.ledger.ledger import Ledger

    out = getattr(arguments, "out", None)
    file = getattr(arguments, "ledger", None) or (
        None if out is None else Path(out) / "ledger.sqlite"
    )
    if file is None or not Path(file).is_file():
        return "stopped: nothing was written"
    try:
        with Ledger(file, writable=False) as ledger:
            counts = Counter(entry.verdict.status.value for entry in ledger.entries())
    except PrecondError:
        return "stopped"
    known = ", ".join(f"{count} {word}" for word, count in sorted(counts.items())) or "no verdicts"
    return f"stopped; known so far: {known} ({file}, 'precond ledger {file} list'). {AGAIN}"
