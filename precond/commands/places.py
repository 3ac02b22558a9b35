"""Options that say where claims run: ``--workers``, ``--scheduler``, ``--memory``."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from precond.commands.arguments import count

if TYPE_CHECKING:
    from precond.proof.ledger.ledger import Ledger
    from precond.workers.pool import Pool

UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def add_places(parser: argparse.ArgumentParser) -> None:
    """The options, for a command whose ``run`` uses ``pool_of``."""
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "--workers", type=count, default=1, metavar="N", help="worker processes (default: 1)"
    )
    place.add_argument(
        "--scheduler", metavar="ADDRESS", help="run on a Dask cluster, e.g. tcp://host:8786"
    )
    parser.add_argument(
        "--memory", type=size, metavar="SIZE", help="most memory for each worker, e.g. 4G"
    )


def size(text: str) -> int:
    """Bytes: a whole number, with K, M or G (powers of 1024) after it or not."""
    match = re.fullmatch(r"(\d{1,15})([kmg]?)(?:i?b)?", text.strip().lower())
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"expected a size such as 500M or 4G, got {text!r}")
    return int(match[1]) * UNITS[match[2]]


@contextmanager
def pool_of(arguments: argparse.Namespace, ledger: Ledger | None = None) -> Iterator[Pool]:
    """The pool that the options ask for."""
    from precond.workers.pool import open_pool

    with open_pool(
        arguments.workers, scheduler=arguments.scheduler, memory=arguments.memory, ledger=ledger
    ) as pool:
        yield pool
