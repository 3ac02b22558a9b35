"""Shared set-up; that this file is here lets every test ``import known``."""

from __future__ import annotations

import torch

torch.set_num_threads(1)  # small problems; pytest-xdist brings the processes
