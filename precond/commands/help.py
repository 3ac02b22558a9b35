"""``precond help TOPIC``: a page of plain text for each topic, or a command's options."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.resources import files

from precond.commands.answers import answered
from precond.commands.arguments import Commands
from precond.errors import QueryError

PAGES = files("precond.commands").joinpath("topics")
SUFFIX = ".txt"


def add(commands: Commands) -> None:
    parser = commands.add_parser("help", help="what a word means, or the options of a command")
    parser.add_argument("topic", nargs="?", metavar="TOPIC", help="a topic or a command")
    parser.set_defaults(run=run, parsers=commands.choices)


def topics() -> tuple[str, ...]:
    """Names of the pages, in order."""
    names = (file.name for file in PAGES.iterdir())
    return tuple(sorted(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)))


def page(topic: str) -> str:
    return PAGES.joinpath(topic + SUFFIX).read_text(encoding="utf-8")


def run(arguments: argparse.Namespace) -> int:
    parsers: Mapping[str, argparse.ArgumentParser] = arguments.parsers
    topic = arguments.topic
    if topic is None:
        text = f"Topics: {', '.join(topics())}\nCommands: {', '.join(parsers)}\n"
    elif topic in topics():
        text = page(topic)
    elif topic in parsers:
        text = parsers[topic].format_help()
    else:
        known = (*topics(), *parsers)
        close = get_close_matches(topic, known, n=1)
        raise QueryError(
            "help",
            expected=f"a command, or one of {', '.join(topics())}",
            got=topic,
            fix=f"Do you mean {close[0]}?" if close else None,
        )
    answered(arguments, topic=topic, text=text)
    print(text, end="")
    return 0
