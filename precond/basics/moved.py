"""Modules that earlier documents named and that have moved: their old names work, with a warning.

Only names that hide nothing are kept: ``precond.apply.debug`` was a module and is a function now.
They go with version 0.3.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "attribution.integrated": "attribution.methods.integrated",
    "precond.datasets": "precond.data.datasets",
    "precond.mine.layer": "precond.mine.layer_rules.learn",
    "precond.mine.input": "precond.mine.input_preconditions.relax",
    "precond.proof.certificates.files": "precond.checker.files",
    "precond.proof.pool": "precond.workers.pool",
    "precond.proof.stages": "precond.proof.prover.plans",
    "precond.shards": "precond.data.shards",
}


class _Forward(Loader):
    """An empty module whose names are those of the module in its new place."""

    def create_module(self, spec: ModuleSpec) -> None:
        """The usual empty module."""

    def exec_module(self, module: ModuleType) -> None:
        place = MOVED[module.__name__]
        told = f"{module.__name__} has moved to {place}; import from the folder's door instead"
        warnings.warn(told, DeprecationWarning, stacklevel=2)
        module.__dict__["__getattr__"] = import_module(place).__getattribute__


class Moved(MetaPathFinder):
    """Finds modules by the names they had."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, _Forward()) if fullname in MOVED else None


def keep_old_names() -> None:
    """Let the old names be imported; asked for twice, it does nothing."""
    if not any(isinstance(finder, Moved) for finder in sys.meta_path):
        sys.meta_path.append(Moved())
