"""Old names of modules that have moved."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

import precond
from precond.basics.moved import MOVED, Moved


@pytest.mark.parametrize("old", MOVED)
def test_the_old_name_gives_the_same_things_and_says_so(old: str) -> None:
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} has moved to {MOVED[old]}"):
        module = import_module(old)
    place = import_module(MOVED[old])
    public = [name for name in vars(place) if not name.startswith("_")]
    assert public and all(getattr(module, name) is getattr(place, name) for name in public)


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_hides_no_exported_one(old: str) -> None:
    package, _, name = old.rpartition(".")
    assert name not in dir(import_module(package)) or package not in ("precond", "attribution")
    assert name not in getattr(import_module(package), "__all__", ())


def test_a_name_that_never_was_is_not_found() -> None:
    assert precond.__name__ == "precond"
    assert Moved().find_spec("precond.nothing", None) is None
    with pytest.raises(ModuleNotFoundError):
        import_module("precond.nothing")
