"""Data sets: built-in ones and a user's own files, one row of numbers an input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from precond.basics.exports import door

if TYPE_CHECKING:
    from precond.data.dataset import Dataset as Dataset
    from precond.data.dataset import split as split
    from precond.data.datasets import load_dataset as load_dataset
    from precond.data.shards import open_shards as open_shards

_HOMES = {
    "Dataset": "precond.data.dataset",
    "load_dataset": "precond.data.datasets",
    "open_shards": "precond.data.shards",
    "split": "precond.data.dataset",
}
__getattr__, __dir__, __all__ = door(__name__, _HOMES)
