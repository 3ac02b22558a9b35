"""The drawing of the architecture says what the source says."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest
from test_imports import HEIGHT, MODULES, ROOMS, imports

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("draw", ROOT / "docs" / "draw_architecture.py")
assert SPEC is not None and SPEC.loader is not None
draw = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(draw)
SVG = (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")


def test_the_drawing_is_up_to_date() -> None:
    assert draw.drawing() == SVG, "run python docs/draw_architecture.py"


def test_it_names_every_room() -> None:
    assert draw.rooms() == ROOMS
    lines = [line for words in draw.house_words().values() for line in words]
    texts = {part for line in lines for part in line.split(" · ")}
    for room in ROOMS:
        house = draw.house(room)
        name = house.removeprefix("precond.") if room == house else room.removeprefix(f"{house}.")
        assert name in texts and name in SVG


def test_an_arrow_leads_down_and_follows_from_no_two_others() -> None:
    links = draw.arrows()
    for one, targets in links.items():
        for other in targets:
            assert min(HEIGHT[r] for r in ROOMS if draw.house(r) == one) > max(
                HEIGHT[r] for r in ROOMS if draw.house(r) == other
            )
            assert not any(other in links[between] for between in targets)


@pytest.mark.parametrize("title", draw.WALKS)
def test_each_step_of_a_walk_is_there_and_its_caller_can_reach_it(title: str) -> None:
    callers: list[str] = []
    for depth, module, what in draw.WALKS[title]:
        assert module in MODULES
        names = {
            node.name
            for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
        if " " not in what:
            assert what in names, f"{module} has no {what}"
        callers[depth:] = [module]
        if depth:
            assert module in reachable(callers[depth - 1]), f"{callers[depth - 1]} … {module}"


def reachable(name: str) -> set[str]:
    """All modules that ``name`` imports, and those that these import."""
    seen, waiting = {name}, [name]
    while waiting:
        for target, _ in imports(waiting.pop()):
            if target in MODULES and target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen
