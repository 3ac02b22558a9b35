"""Shared set-up; that this file is here lets every test ``import known``."""

from __future__ import annotations

import signal

import torch

torch.set_num_threads(1)  # small problems; pytest-xdist brings the processes

# Started in the background of a shell, SIGINT is ignored, here and in whatever the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
