"""Draw ``docs/architecture.svg``: the rooms, who imports whom, and the three walks.

    python docs/draw_architecture.py

Rooms are read from ``tests/test_imports.py``, arrows from the imports in the source.  A room lies
above all that it imports; an arrow that follows from two others is left out.
"""

from __future__ import annotations

import ast
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "architecture.svg"
WIDTH, GAP, LINE, FRAME = 1180, 14, 15, 10
STYLE = """
text { font: 12px sans-serif; fill: #1b2733 } .name { font-weight: bold } .part { fill: #4a5a6a }
rect { fill: #eef3f8; stroke: #8aa0b6 } .page { fill: #fff; stroke: none }
path { fill: none; stroke: #8aa0b6; stroke-width: 1.2 } .tip { fill: #8aa0b6; stroke: none }
"""

# The walks of architecture.md: how deep a call lies, its module, its function.
Walk = tuple[tuple[int, str, str], ...]
WALKS: dict[str, Walk] = {
    "An input through analyze to a verdict on a page": (
        (0, "precond.commands.analyze", "run"),
        (1, "precond.formats.load", "load"),
        (1, "precond.data.datasets", "load_dataset"),
        (1, "precond.region.recording", "record_in_time"),
        (1, "precond.study.pipeline", "analyze"),
        (2, "precond.mine.layer_rules.learn", "layer_preconditions"),
        (2, "precond.study.input_search", "InputSearch"),
        (3, "precond.workers.pool", "Pool"),
        (4, "precond.mine.input_preconditions.relax", "input_precondition"),
        (5, "precond.proof.prover.prove", "prove"),
        (6, "precond.proof.prover.chain", "restates the claim"),
        (6, "precond.proof.prover.run", "asks the engines"),
        (6, "precond.proof.ledger.ledger", "Ledger"),
        (1, "precond.report.analysis.write", "write_report"),
    ),
    "A query through verify": (
        (0, "precond.commands.verify", "run"),
        (1, "precond.vnnlib.process", "ask, in a child process"),
        (2, "precond.vnnlib.decide", "reply"),
        (3, "precond.vnnlib.read", "read_vnnlib"),
        (3, "precond.proof.prover.prove", "prove"),
        (3, "precond.proof.replay", "replay"),
        (1, "precond.vnnlib.standard", "sat, unsat or unknown"),
    ),
    "An image through integrated_gradients": (
        (0, "attribution.methods.integrated", "integrated_gradients"),
        (1, "attribution.methods.line", "points of a quadrature rule"),
        (2, "attribution.gradients", "Kernel"),
        (1, "attribution.methods.on_networks", "or the lines themselves"),
        (2, "attribution.lines.forward", "where they bend"),
        (2, "attribution.lines.backward", "slopes between"),
        (0, "attribution.attribution", "Attribution"),
        (0, "attribution.show.visualise", "a picture of it"),
    ),
}


def rooms() -> tuple[str, ...]:
    """The rooms, lowest first."""
    tree = ast.parse((ROOT / "tests" / "test_imports.py").read_text(encoding="utf-8"))
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "ROOMS":
            return tuple(ast.literal_eval(statement.value))
    raise LookupError("tests/test_imports.py holds no ROOMS")


def modules() -> dict[str, Path]:
    """Name → file, packages' doors left out: they name what they export and import nothing."""
    files = [f for top in ("precond", "attribution") for f in (ROOT / top).rglob("*.py")]
    parts = {file: file.relative_to(ROOT).with_suffix("").parts for file in files}
    return {".".join(parts[f]): f for f in sorted(files) if f.name != "__init__.py"}


def house(name: str) -> str:
    """The room, with all rooms inside it, that a module or room stands in."""
    top, _, rest = name.partition(".")
    return top if top == "attribution" else f"{top}.{rest.partition('.')[0]}"


def arrows() -> dict[str, set[str]]:
    """House → houses it imports from, without those that follow from two others."""
    known = modules()
    direct: dict[str, set[str]] = {house(room): set() for room in rooms()}
    for name, file in known.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    target = whole if whole in known else node.module
                    if target in known and house(target) != house(name):
                        direct[house(name)].add(house(target))
    below: dict[str, set[str]] = {}
    for one in direct:  # lowest first: what is below is known
        below[one] = direct[one].union(*(below[other] for other in direct[one]))
    return {
        one: targets - set().union(*(below[other] for other in targets))
        for one, targets in direct.items()
    }


def box(x: float, y: float, width: float, lines: list[str]) -> str:
    """A frame whose first line is a name."""
    height = LINE * len(lines) + FRAME
    parts = [f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height}" rx="5"/>']
    for k, line in enumerate(lines):
        kind, at = "part" if k else "name", y + LINE * (k + 1)
        parts.append(f'<text class="{kind}" x="{x + 8:.0f}" y="{at:.0f}">{escape(line)}</text>')
    return "".join(parts)


def wide(lines: list[str]) -> float:
    return 16 + 7.1 * max(map(len, lines))


def house_words() -> dict[str, list[str]]:
    """House → its name and the rooms in it, two a line."""
    words: dict[str, list[str]] = {}
    for room in rooms():
        own = house(room)
        words.setdefault(own, [])
        if room != own:
            words[own].append(room.removeprefix(f"{own}."))
    return {
        own: [
            own.removeprefix("precond."),
            *(" · ".join(parts[k : k + 2]) for k in range(0, len(parts), 2)),
        ]
        for own, parts in words.items()
    }


def draw_rooms(top: float) -> tuple[list[str], float]:
    """The rooms from ``top`` down, and where they end."""
    words, links = house_words(), arrows()
    level: dict[str, int] = {}
    for one in words:
        level[one] = 1 + max((level[other] for other in links[one]), default=-1)
    places: dict[str, tuple[float, float, float, float]] = {}
    y = top
    for height in range(max(level.values()), -1, -1):
        row = [one for one in words if level[one] == height]
        widths = [wide(words[one]) for one in row]
        x = (WIDTH - sum(widths) - 4 * GAP * (len(row) - 1)) / 2
        for one, width in zip(row, widths, strict=True):
            places[one] = x, y, width, LINE * len(words[one]) + FRAME
            x += width + 4 * GAP
        y += max(places[one][3] for one in row) + 2 * GAP
    paths = []
    for one, targets in links.items():
        for number, other in enumerate(sorted(targets, key=lambda t: places[t][0])):
            x, upper, width, height_ = places[one]
            x1 = x + width * (number + 1) / (len(targets) + 1)
            y1, (x2, y2) = (
                upper + height_,
                (places[other][0] + places[other][2] / 2, places[other][1]),
            )
            bend = (y2 - y1) / 2
            paths.append(
                f'<path d="M{x1:.0f} {y1:.0f}C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} '
                f'{x2:.0f} {y2 - 5:.0f}"/>'
                f'<path class="tip" d="M{x2 - 4:.0f} {y2 - 6:.0f}h8l-4 6z"/>'
            )
    boxes = [box(*places[one][:3], words[one]) for one in words]
    return paths + boxes, y


def draw_walks(top: float) -> tuple[list[str], float]:
    """The walks side by side, each call below its caller and to the right of it."""
    parts, end, x = [], top, 20.0
    for title, steps in WALKS.items():
        parts.append(f'<text class="name" x="{x:.0f}" y="{top:.0f}">{escape(title)}</text>')
        y, last = top + 10, x
        for depth, module, what in steps:
            path = module.removeprefix("precond.").replace(".", "/")
            lines, left = [f"{path}.py", what], x + 18 * depth
            if depth:
                parts.append(f'<path d="M{left - 10:.0f} {y - 6:.0f}V{y + 16:.0f}h10"/>')
            parts.append(box(left, y, wide(lines), lines))
            last, y = max(last, left + wide(lines)), y + 2 * LINE + FRAME + 8
        end, x = max(end, y), max(last, x + 7.1 * len(title)) + 2 * GAP
    return parts, end


def drawing() -> str:
    """The whole picture."""
    house_parts, end = draw_rooms(20)
    walk_parts, bottom = draw_walks(end + 30)
    size = f'width="{WIDTH}" height="{bottom:.0f}" viewBox="0 0 {WIDTH} {bottom:.0f}"'
    label = "Rooms, from commands above to basics below, with their imports, and three walks"
    ground = f'<rect class="page" width="{WIDTH}" height="{bottom:.0f}"/>'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{label}">',
            f"<style>{STYLE}</style>{ground}",
            *house_parts,
            *walk_parts,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    OUT.write_text(drawing(), encoding="utf-8")
