"""What commands print: no line past 100 columns, no warning of a library, names instead of x0."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from schemas import faults
from wide_names import COMMANDS, FEATURES

from precond.basics.terminal import WIDTH, fitted, wrapped
from precond.cli import main

ROOT = Path(__file__).parents[1]
Shown = dict[str, tuple[int, str, str]]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Shown]:
    folder = tmp_path_factory.mktemp("wide")
    words = [sys.executable, str(ROOT / "tests" / "wide_names.py"), str(folder)]
    subprocess.run(words, check=True, cwd=ROOT, env={"PATH": "", "PYTHONPATH": str(ROOT)})
    found: Shown = {k: tuple(v) for k, v in json.loads((folder / "shown.json").read_text()).items()}
    return folder, found


@pytest.mark.parametrize("name", COMMANDS)
def test_lines_fit_and_no_library_is_heard(name: str, shown: tuple[Path, Shown]) -> None:
    status, out, err = shown[1][name]
    assert status in ((0, 3) if name == "distill" else (0,)), err
    assert [line for line in out.splitlines() if len(line) > WIDTH] == []
    assert out.strip()
    assert not re.search("[wW]arning|a library", err), err


@pytest.mark.parametrize("name", COMMANDS)
def test_json_says_the_answer(name: str, shown: tuple[Path, Shown]) -> None:
    said = json.loads((shown[0] / "answers.json").read_text())[name]
    assert faults({**said, "printed": []}, "answer") == []
    assert said["command"] == COMMANDS[name][0] and said["error"] is None
    assert said["exit_status"] == shown[1][name][0]
    assert said["answer"], name
    for place in ("report", "file"):
        if said["answer"].get(place) is not None:
            assert (shown[0] / said["answer"][place]).is_file()


def test_what_analyze_writes_is_as_its_schema_says(shown: tuple[Path, Shown]) -> None:
    written = json.loads((shown[0] / "a" / "preconditions.json").read_text())
    assert written["preconditions"] and faults(written, "preconditions") == []
    assert faults({**written, "more": 1}, "preconditions") == ["$: more is not known"]


def test_what_was_provoked_would_have_been_heard(shown: tuple[Path, Shown]) -> None:
    heard = shown[1]["outside"][2]
    for words in ("a library is unhappy", "a library is old", "a library logs", "overflow"):
        assert words in heard


@pytest.mark.parametrize(
    "page", ["a/report.html", "b/report.html", "d/inputs/input-0.html", "e.html", "q/index.html"]
)
def test_pages_name_the_columns(page: str, shown: tuple[Path, Shown]) -> None:
    text = (shown[0] / page).read_text()
    assert FEATURES[0] in text or FEATURES[2] in text
    assert not re.search(r"[>\s]x[0-2][<\s]", re.sub(r"(?s)<(style|script).*?</\1>", "", text))


def test_a_long_line_is_continued_below_its_value() -> None:
    line = "inputs         " + ", ".join(f"{i} width" for i in range(12))
    first, second = wrapped(line).splitlines()
    assert len(first) <= WIDTH and second.startswith(" " * 15) and second[15] != " "
    assert " ".join(wrapped(line).split()) == " ".join(line.split())
    path = "report         " + "/long" * 40
    assert wrapped(path).replace("\n", "").split() == path.split()
    assert fitted("abcdefgh", 5) == "ab…gh" and fitted("ab", 5) == "ab   "


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected a command, such as 'precond info MODEL', got none"),
        (["analyse"], "got analyse (do you mean analyze?)"),
        (["info", "absent.onnx"], "absent.onnx: expected a model file, got no such file"),
    ],
)
def test_a_wrong_command_is_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["analyze"], "required: MODEL, --inputs, --out. Try 'precond analyze --help'"),
        (["info", "m.onnx", "--input_shape", "3"], "--input_shape (do you mean --input-shape?)"),
        (["ledger", "f", "lst"], "choose from"),
        (
            ["cluster", "m", "--inputs", "d", "--out", "o", "--budget", "3"],
            "expected one of its options and arguments, got --budget. Try 'precond cluster --help'",
        ),
        (["debug", "m", "--inputs", "d", "--out", "o", "--budget", "-1"], "seconds above 0"),
    ],
)
def test_a_wrong_option_is_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    error = capsys.readouterr().err
    assert ended.value.code == 2 and message in error and error.count("\n") == 1
