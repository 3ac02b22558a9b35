"""Options that ask for certificates: ``--exact`` and ``--certificate``."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_exact(command: argparse.ArgumentParser) -> None:
    """The two options; the second one implies the first."""
    command.add_argument(
        "--exact",
        action="store_true",
        help="proved only with a certificate that was checked in exact arithmetic",
    )
    command.add_argument(
        "--certificate",
        type=Path,
        metavar="DIR",
        help="write the certificates here, for 'precond check' (implies --exact)",
    )
