"""The public doors: every exported name exists, is typed, and is all that documents import."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOORS = [
    ".".join(path.relative_to(ROOT).parent.parts)
    for top in ("precond", "attribution")
    for path in sorted((ROOT / top).rglob("__init__.py"))
    if "door(" in path.read_text(encoding="utf-8")
]
TEXTS = [
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("examples/**/*.*")),
]


@pytest.mark.parametrize("package", DOORS)
def test_every_exported_name_is_there_and_typed(package: str) -> None:
    module = import_module(package)
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    typed = {
        alias.asname: f"{node.module}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname is not None
    }
    assert typed == module._HOMES
    assert dir(module) == sorted(typed)
    for name, home in typed.items():
        assert getattr(module, name) is getattr(import_module(home), name)


@pytest.mark.parametrize("package", DOORS)
def test_an_unknown_name_is_said(package: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        _ = import_module(package).nothing


@pytest.mark.parametrize("package", DOORS)
def test_no_exported_name_hides_a_module(package: str) -> None:
    """A module that was imported once would stand in the place of the exported name."""
    folder = Path(str(import_module(package).__file__)).parent
    inside = {path.stem for path in folder.iterdir()}
    assert not inside & set(dir(import_module(package)))


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_documents_import_from_the_doors(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for package in re.findall(r"from ((?:precond|attribution)[\w.]*) import", text):
        assert package in DOORS, f"{path.name} imports from {package}"
