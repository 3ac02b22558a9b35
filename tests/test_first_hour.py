"""The guide of the first hour, followed literally: every block, in order, in an empty folder."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from precond.cli import main

GUIDE = (Path(__file__).parents[1] / "docs" / "guides" / "first-hour.md").read_text(
    encoding="utf-8"
)
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", GUIDE, re.DOTALL)
NOT_WORTH_IT = 3


def test_the_guide_names_no_file_that_is_not_made() -> None:
    words = {word for kind, text in BLOCKS if kind == "sh" for word in shlex.split(text)}
    made = {"cnn.onnx", "table.onnx", "table.csv", "pictures"}
    read = {word for word in words if word.endswith((".onnx", ".csv")) or word == "pictures"}
    assert read == made
    assert all(f'"{name}"' in GUIDE for name in made)


@pytest.mark.slow
def test_every_block_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for kind, text in BLOCKS:
        if kind == "python":
            exec(compile(text, "first-hour.md", "exec"), {"__name__": "guide"})
            continue
        for line in text.splitlines():
            words = shlex.split(line)
            assert words[0] == "precond"
            expected = (0, NOT_WORTH_IT) if words[1] == "distill" else (0,)
            assert main(words[1:]) in expected, line
    assert "valid=True" in capsys.readouterr().out
    pages = ("demo/report.html", "debugged/index.html", "robust/index.html", "why.html")
    for page in (*pages, "fast/index.html"):
        text = Path(page).read_text(encoding="utf-8")
        assert "<html" in text and not re.search(r'(src|href)="https?://', text), page
