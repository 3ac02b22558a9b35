"""No call is a riddle: a reader should not have to count positions, read from the source.

Of the project's own functions and classes a call gives at most three arguments by position, and
no bare True, False or None.  The fourth and later ones stand by their names.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST = 3


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package in ("precond", "attribution"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name, ast.parse(path.read_text(encoding="utf-8"))


MODULES = dict(modules())
# Functions that take any number of like things, one after another.
LISTING = {
    function.name
    for tree in MODULES.values()
    for function in ast.walk(tree)
    if isinstance(function, ast.FunctionDef) and function.args.vararg is not None
}


def own_names(tree: ast.Module) -> set[str]:
    """Functions and classes that the module defines, or imports from the project."""
    places = [tree, *(s for s in ast.walk(tree) if isinstance(s, ast.ClassDef))]
    own = [statement for place in places for statement in place.body]
    names = {s.name for s in own if isinstance(s, ast.FunctionDef | ast.ClassDef)}
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom):
            package = (statement.module or "").partition(".")[0]
            if package in ("precond", "attribution"):
                names |= {alias.asname or alias.name for alias in statement.names}
    return names


def riddles(tree: ast.Module) -> Iterator[str]:
    """Calls of own functions, classes and methods with positions to count."""
    names = own_names(tree)
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or any(isinstance(a, ast.Starred) for a in call.args):
            continue
        match call.func:
            case ast.Name(name):
                own = name in names or name == "cls"
            case ast.Attribute(ast.Name(place), name):
                own = place == "self" and name in names
            case _:
                name, own = "", False
        bare = any(
            isinstance(a, ast.Constant) and (a.value is None or isinstance(a.value, bool))
            for a in call.args
        )
        wide = len(call.args) > MOST and name not in LISTING
        if own and (bare or wide):
            yield f"line {call.lineno}: {ast.unparse(call)}"


@pytest.mark.parametrize("name", MODULES)
def test_no_call_is_a_riddle(name: str) -> None:
    assert list(riddles(MODULES[name])) == []


@pytest.mark.parametrize(
    ("call", "riddle"),
    [
        ("f(1, 2, 3)", False),
        ("f(1, 2, 3, 4)", True),
        ("f(1, 2, 3, d=4)", False),
        ("f(None)", True),
        ("f(a=None)", False),
        ("len(None)", False),
    ],
)
def test_what_counts_as_one(call: str, riddle: bool) -> None:
    tree = ast.parse(f"def f(*a): ...\n{call}")
    assert bool([*riddles(tree)]) is riddle
