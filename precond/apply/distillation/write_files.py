"""The files of a fast path: its modules, its ONNX file, its table and its page."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from precond.apply.distillation.learn import Distilled
from precond.apply.distillation.path import save_fast_path
from precond.apply.distillation.write_onnx import write_fast_path_onnx


def write_fast_path(
    folder: Path,
    distilled: Distilled,
    *,
    report: dict[str, Any],
    table: list[str],
    page: tuple[str, str],
) -> list[tuple[str, str]]:
    """All files of a fast path, made in a temporary folder and moved when they are complete.

    ``page``: name and content.  What each is, and where, in words.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".distill-") as temporary:
        place = Path(temporary)
        save_fast_path(distilled.path, place / "fastpath.pt")
        write_fast_path_onnx(distilled.path, place / "fastpath.onnx")
        (place / "distill.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
        (place / "tradeoff.md").write_text("\n".join(table) + "\n", encoding="utf-8")
        (place / page[0]).write_text(page[1], encoding="utf-8")
        for path in sorted(place.iterdir()):
            os.replace(path, folder / path.name)
    return [
        ("fast path", str(folder / "fastpath.pt")),
        ("ONNX", str(folder / "fastpath.onnx")),
        ("table", str(folder / "tradeoff.md")),
        ("details", str(folder / "distill.json")),
        ("report", str(folder / page[0])),
    ]
