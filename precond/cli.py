"""The command line: parse, call, print.  Errors are one line on stderr and exit status 2.

Where the package argcomplete is installed, shells complete commands, options and values.
"""

# PYTHON_ARGCOMPLETE_OK: by this word a shell knows that the program completes

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from importlib.metadata import version
from typing import Any, NoReturn

from precond.basics.quiet import quiet_libraries
from precond.commands import (
    adversarial,
    analyze,
    check,
    cluster,
    concepts,
    debug,
    decompose,
    demo,
    diagnose,
    distill,
    explain,
    export,
    help,
    info,
    ledger,
    monitor,
    patterns,
    prove,
    robustness,
    simplify,
    verify,
)
from precond.commands.answers import add_json, answer_to
from precond.commands.arguments import EXIT_INTERRUPTED
from precond.commands.stopped import nothing_yet
from precond.errors import PrecondError, QueryError
from precond.printable import PrintableStream, printable

COMMANDS = (
    analyze,
    cluster,
    debug,
    adversarial,
    prove,
    check,
    verify,
    explain,
    export,
    info,
    ledger,
    robustness,
    distill,
    simplify,
    decompose,
    monitor,
    patterns,
    concepts,
    diagnose,
    demo,
    help,
)
EXIT_ERROR = 2
PROVING = frozenset(
    [
        *("analyze", "debug", "decompose", "demo", "patterns"),
        *("prove", "robustness", "simplify", "verify"),
    ]
)  # what these spend their time on
NEGATIVE = re.compile(r"-\.?\d")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 2 for a user's error, 130 after Ctrl-C."""
    begun = time.monotonic()
    words = sys.argv[1:] if arguments is None else arguments
    with _printable_output(), quiet_libraries():
        parser, known = _parser()
        try:
            require_command(words, known)
        except QueryError as error:
            return _refused(error)
        given = parser.parse_args(joined(words))
        given.begun, given.error = begun, None
        if given.command in PROVING:
            # The products of matrices in a proof are small: a second thread wins no time and costs
            # as much again, and beside other work the threads wait for each other.
            os.environ.setdefault("OMP_NUM_THREADS", "1")
        try:
            with answer_to(given):
                given.status = _run(given)
        except BrokenPipeError:  # nobody reads on
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return int(given.status)


@contextmanager
def _printable_output() -> Iterator[None]:
    """Whatever a command prints, no control character of a file reaches the terminal."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(PrintableStream, streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


def _run(arguments: argparse.Namespace) -> int:
    try:
        return int(arguments.run(arguments))
    except PrecondError as error:
        arguments.error = error
        return _refused(error)
    except KeyboardInterrupt:
        print(f"precond: {nothing_yet(arguments)}", file=sys.stderr)
        return EXIT_INTERRUPTED


def _refused(error: PrecondError) -> int:
    print(f"precond: {error}", file=sys.stderr)
    return EXIT_ERROR


class _Parser(argparse.ArgumentParser):
    """Its errors are one line: what was typed, what was expected, and what to type."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_ERROR, f"{self.prog}: {printable(message)}. Try '{self.prog} --help'\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but a word that a command does not know is its own error."""
        arguments, unknown = super().parse_known_args(args, namespace)
        if unknown and self._subparsers is None:
            options = [text for action in self._actions for text in action.option_strings]
            first = unknown[0]
            meant = nearest(first.partition("=")[0], options) if first.startswith("-") else ""
            self.error(f"expected one of its options and arguments, got {first}{meant}")
        return arguments, unknown


def nearest(word: str, known: Sequence[str]) -> str:
    """`` (do you mean …?)`` where a known word is spelled nearly so."""
    bare = {text.lstrip("-"): text for text in reversed(known)}
    close = get_close_matches(word.lstrip("-"), bare, n=1)
    return f" (do you mean {bare[close[0]]}?)" if close else ""


def require_command(words: Sequence[str], known: Sequence[str]) -> None:
    """QueryError, in one line, where the first word is no command."""
    if words and (words[0].startswith("-") or words[0] in known):
        return
    raise QueryError(
        "command line",
        expected="a command, such as 'precond info MODEL'",
        got=words[0] + nearest(words[0], known) if words else "none",
        fix="'precond --help' lists the commands",
    )


def joined(words: Sequence[str]) -> list[str]:
    """``--option -1:1`` as ``--option=-1:1``: argparse takes the second word for an option.

    No option begins with a minus and a digit (or a point), so such a word is a value.
    """
    result: list[str] = []
    for word in words:
        last = result[-1] if result else ""
        if NEGATIVE.match(word) and last.startswith("--") and last != "--" and "=" not in last:
            result[-1] = f"{last}={word}"
        else:
            result.append(word)
    return result


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks for what may follow, where argcomplete is there; else nothing."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    with suppress(ImportError):
        from argcomplete import autocomplete

        autocomplete(parser)


def _parser() -> tuple[argparse.ArgumentParser, Sequence[str]]:
    """The parser of the command line, and the names of its commands."""
    parser = _Parser(
        prog="precond",
        description="Say why a ReLU network does what it does, and prove it.",
    )
    parser.add_argument("--version", action="version", version=version("precond"))
    parser.add_argument(
        "--name", action="version", version="precond", help="print the name of this program"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")

    for command in COMMANDS:
        command.add(commands)
    for one in commands.choices.values():
        add_json(one)
    complete(parser)
    return parser, tuple(commands.choices)


if __name__ == "__main__":
    sys.exit(main())
