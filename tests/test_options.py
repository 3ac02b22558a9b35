"""Settings in dataclasses and their options on the command line are one thing."""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from precond.apply.adversarial_examples.settings import AdversarialSettings, Retraining
from precond.apply.certification.settings import RobustnessSettings
from precond.apply.debugging.settings import DebugSettings
from precond.apply.decomposition.settings import DecompositionSettings
from precond.apply.distillation.settings import Training
from precond.basics.options import count, option, option_of
from precond.cli import COMMANDS
from precond.commands.arguments import add_settings, settings_of
from precond.mine.layer_rules.settings import RuleSettings
from precond.mine.whole_space.settings import Search
from precond.study.options import Options

ROOT = Path(__file__).parents[1]
SETTINGS: tuple[type[Any], ...] = (
    AdversarialSettings,
    DebugSettings,
    DecompositionSettings,
    Options,
    Retraining,
    RobustnessSettings,
    RuleSettings,
    Search,
    Training,
)


class Way(Enum):
    FIRST = "first"
    SECOND = "second"


@dataclass(frozen=True, kw_only=True)
class Cooking:
    minutes: float = option(1.5, "how long", metavar="MINUTES", parse=float)
    eggs_each: int = option(2, "eggs for one", parse=count, name="eggs")
    hot: bool = option(False, "serve hot")
    way: Way = option(Way.SECOND, "which goes first")
    sizes: tuple[float, ...] = option((0.5, 1.0), "of pans", parse=float, nargs="+")
    secret: int = 7


def parser_of(settings: type[Any], *names: str, **words: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_settings(parser, settings, *names, **words)
    return parser


@pytest.mark.parametrize("settings", [Cooking, *SETTINGS])
def test_no_option_given_is_every_default(settings: type[Any]) -> None:
    assert settings_of(parser_of(settings).parse_args([]), settings) == settings()


def test_options_are_read_into_the_fields() -> None:
    words = ["--minutes", "3", "--eggs", "4", "--hot", "--way", "first", "--sizes", "2", "3"]
    chosen = parser_of(Cooking).parse_args(words)
    assert settings_of(chosen, Cooking, secret=8) == Cooking(
        minutes=3.0, eggs_each=4, hot=True, way=Way.FIRST, sizes=(2.0, 3.0), secret=8
    )


def test_help_says_the_default_and_only_fields_that_are_options_are_offered() -> None:
    text = parser_of(Cooking, eggs_each="eggs for a guest").format_help()
    assert "how long (default: 1.5)" in text and "eggs for a guest (default: 2)" in text
    assert "of pans (default: 0.5 1)" in text and "(default: second)" in text
    assert "secret" not in text
    assert "--eggs" not in parser_of(Cooking, "minutes", "hot").format_help()


def test_what_does_not_fit_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser_of(Cooking).parse_args(["--eggs", "0"])
    assert "expected a whole number of 1 or more, got '0'" in capsys.readouterr().err


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_budget_says_what_it_is_for(settings: type[Any]) -> None:
    for one in fields(settings):
        said = option_of(one)
        if one.name in ("budget", "each") and said is not None:
            assert said.help.startswith("seconds for ")


SAID = {"--budget", "--each", "--device", "--seed", "--precision", "--support", "--size"}


def actions(name: str) -> dict[str, argparse.Action]:
    commands = argparse.ArgumentParser().add_subparsers()
    (command,) = [c for c in COMMANDS if c.__name__.endswith(f".{name}")]
    command.add(commands)
    return {word: a for a in commands.choices[name]._actions for word in a.option_strings}


@pytest.mark.parametrize("name", [c.__name__.rpartition(".")[2] for c in COMMANDS])
def test_every_default_of_time_device_and_seed_is_said(name: str) -> None:
    for word, action in actions(name).items():
        if word in (
            "--budget",
            "--each",
            "--device",
            "--seed",
            "--precision",
            "--support",
            "--size",
        ):
            assert "(default: " in (action.help or ""), f"{name} {word}"


@pytest.mark.parametrize("name", [c.__name__.rpartition(".")[2] for c in COMMANDS])
def test_no_two_options_write_to_one_place(name: str) -> None:
    places = [action.dest for action in set(actions(name).values())]
    assert len(places) == len(set(places))


def test_reading_the_command_line_needs_no_tensors() -> None:
    code = "import sys, precond.cli as c; c._parser(); print('torch' in sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert shown.stdout.strip() == "False"
