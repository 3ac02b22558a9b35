"""What every command has in common: --json, help, completion, exit statuses."""

from __future__ import annotations

import json
import re
import shlex
import sys
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from benchmarks.registry import benchmark
from precond.cli import _parser, joined, main
from precond.commands.answers import plain
from precond.commands.help import page, topics

ROOT = Path(__file__).parents[1]
DIGITS = str(ROOT / "models" / "digits-mlp.onnx")


def answer(
    words: list[str], capsys: pytest.CaptureFixture[str], status: int = 0
) -> dict[str, object]:
    assert main([*words, "--json"]) == status
    found = json.loads(capsys.readouterr().out)
    assert found["command"] == words[0] and found["exit_status"] == status
    return dict(found)


def test_every_command_takes_json(capsys: pytest.CaptureFixture[str]) -> None:
    for name in _parser()[1]:
        assert main(["help", name]) == 0
        assert "--json" in capsys.readouterr().out, name


def test_info_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(["info", DIGITS], capsys)
    assert found["error"] is None
    assert found["answer"]["layers"] == {"relu1": 32, "relu2": 32}  # type: ignore[index]
    assert any("inputs    64" in line for line in found["printed"])  # type: ignore[attr-defined]


def test_an_error_as_json_has_its_parts(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(["info", "nothing.onnx"], capsys, status=2)
    assert "nothing.onnx" in found["error"]["line"]  # type: ignore[index]


def test_what_is_not_finite_is_null() -> None:
    value = {"a": np.float64("inf"), "b": [np.int64(3), Path("x")], 4: float("nan")}
    assert plain(value) == {"a": None, "b": [3, "x"], "4": None}


def test_a_ledgers_action_takes_json_before_and_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from precond.proof.ledger.ledger import Ledger

    Ledger(tmp_path / "l.sqlite").close()
    for words in (
        ["--json", str(tmp_path / "l.sqlite"), "list"],
        [str(tmp_path / "l.sqlite"), "list", "--json"],
    ):
        assert main(["ledger", *words]) == 0
        assert json.loads(capsys.readouterr().out)["answer"] == {"verdicts": {}, "damaged": 0}


def test_help_shows_each_topic_as_the_documents_do(capsys: pytest.CaptureFixture[str]) -> None:
    documents = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert "exit-statuses" in topics()
    for topic in topics():
        assert main(["help", topic]) == 0
        shown = capsys.readouterr().out
        assert shown == page(topic) and page(topic).strip() in documents
        assert max(map(len, shown.splitlines())) <= 100
    assert main(["help", "check"]) == 0
    assert "usage: precond check" in capsys.readouterr().out


def test_help_for_a_word_nobody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "exit-status"]) == 2
    assert "Do you mean exit-statuses?" in capsys.readouterr().err


def test_a_shell_that_asks_is_answered_where_argcomplete_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []
    fake = ModuleType("argcomplete")
    fake.autocomplete = asked.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "argcomplete", fake)
    _parser()
    assert asked == []  # no shell asks
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    parser, _ = _parser()
    assert asked == [parser]
    monkeypatch.setitem(sys.modules, "argcomplete", None)  # as where it is not installed
    _parser()


def written_lines() -> list[tuple[str, str]]:
    """The commands in the blocks of README and documents; forms with [ ] or … stand for several."""
    found = []
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for block in re.findall(r"```\w*\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.splitlines():
                if line.startswith("precond ") and not set(line) & set("…[⏎"):
                    found.append((path.name, line.replace(" --index I ", " --index 3 ")))
    return found


def test_every_command_in_the_documents_has_these_options(
    capsys: pytest.CaptureFixture[str],
) -> None:
    parser, _ = _parser()
    lines = written_lines()
    assert len(lines) > 25
    for name, line in lines:
        words = shlex.split(line, comments=True)[1:]
        try:
            parser.parse_args(joined(words))
        except SystemExit as ended:
            assert ended.code == 0, f"{name}: {line}: {capsys.readouterr().err}"


def test_every_make_target_in_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake ([a-z-]+)", readme):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for name in re.findall(r"make bench NAME=([\w-]+)", readme):
        assert benchmark(name) is not None, name


def test_the_readme_is_short_and_leads_somewhere() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 120
    for place in re.findall(r"\]\(([^)#:]+)\)", readme):
        assert (ROOT / place).exists(), place


def test_the_demos_network_is_the_repositorys() -> None:
    packaged = files("precond.data").joinpath("models", "digits-mlp.onnx").read_bytes()
    assert packaged == Path(DIGITS).read_bytes()


def test_exit_statuses_are_those_of_the_code() -> None:
    arguments = import_module("precond.commands.arguments")
    text = page("exit-statuses")
    for status in (arguments.EXIT_NOT_WORTH_IT, arguments.EXIT_INTERRUPTED):
        assert f"\n{status:<5}" in text
