"""Shared set-up; that this file is here lets every test ``import known``."""

from __future__ import annotations

import os
import signal

import pytest

os.environ["PRECOND_CORES"] = "1"  # a test says itself when a proof may take a second core

# Started in the background of a shell, SIGINT is ignored, here and in whatever the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """One thread: the problems are small, and pytest-xdist brings the processes."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return  # it only hands out tests: torch would be loaded for nothing
    import torch

    torch.set_num_threads(1)
