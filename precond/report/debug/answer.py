"""The answer of ``precond debug`` in sentences, and what an action does, in words."""

from __future__ import annotations

from precond.apply.debugging.actions import Act, Action
from precond.apply.debugging.cases import Count
from precond.apply.debugging.conditions import SwitchedUnit
from precond.apply.debugging.cover import FIRST
from precond.apply.debugging.findings import Debugged
from precond.basics.counting import how_many, percent


def answer(debugged: Debugged) -> tuple[str, ...]:
    """What was learned, in a few sentences."""
    wrong, causes = debugged.wrong, debugged.causes
    right = debugged.predicted == debugged.labels
    held_out = debugged.held_out
    sentences = []
    if len(held_out):
        be = "is" if len(wrong) == 1 else "are"
        sentences.append(
            f"{percent(float(right[held_out].mean()))} of the held-out inputs are predicted right; "
            f"{how_many(len(wrong), 'input')} of all {len(right)} {be} predicted wrong."
        )
    if not causes:
        return (*sentences, "No cause was found that two errors share.")
    first = causes[:FIRST]
    rows = int(sum(len(cause.rows) for cause in first))
    found = debugged.explained.explained(FIRST, finding=True)
    checked = debugged.explained.explained(FIRST, finding=False)
    which = (
        f"The first {len(first)} causes explain"
        if len(causes) > len(first)
        else (f"{how_many(len(first), 'cause')} {'explains' if len(first) == 1 else 'explain'}")
    )
    words = f"{which} {rows} of the {len(wrong)} errors ({percent(rows / len(wrong))})"
    if checked[1]:
        words += (
            f": {found[0]} of the {found[1]} they were found on, and {checked[0]} of the "
            f"{checked[1]} others that they were checked on"
        )
    return (*sentences, f"{words}.", best_words(debugged))


def best_words(debugged: Debugged) -> str:
    """The action that gains most on held-out inputs, or that none does."""
    tried = [
        (action.gain, -rank, action)
        for rank, cause in enumerate(debugged.causes)
        for action in cause.actions
        if action.effect is not None and action.act is not Act.WATCH
    ]
    if not tried:
        return "There was no time to try changes of the network or of its training."
    gain, rank, action = max(tried, key=lambda one: one[:2])
    if gain <= 0:
        return "Nothing that was tried mends more held-out predictions than it breaks."
    done = what(action).replace("this cause", f"cause {1 - rank}")
    return f"What helps most, of what was tried: {done[0].lower()}{done[1:]}. It {effect(action)}."


def what(action: Action) -> str:
    """What is done."""
    examples = how_many(action.examples, "example")
    match action.act:
        case Act.EDIT:
            edit = action.edit
            assert edit is not None
            if isinstance(edit, SwitchedUnit):
                return f"Hold the {edit.name} {'on' if edit.on else 'off'}"
            return f"Set {edit.name} to usual values"
        case Act.WATCH:
            return "Doubt every prediction that meets this"
        case Act.RELABEL:
            return f"Relabel {how_many(action.examples, 'training input')} and train on"
        case Act.RETRAIN:
            return f"Train on with {examples} of this cause"
        case Act.GATHER:
            return "Gather more inputs like these"


def helps(action: Action) -> bool:
    """Whether it caught an error, or mended more than it broke, or was not measured that way."""
    if action.effect is None:
        return True
    return action.effect.errors > 0 if action.act is Act.WATCH else action.gain > 0


def effect(action: Action) -> str:
    """What it changes, on held-out inputs that the cause was not found on."""
    if action.act is Act.GATHER:
        assert action.like is not None and action.usual is not None
        return (
            "aims at a gap: of the ten training inputs nearest to such an error, "
            f"{action.like:.1f} are right and carry its label; of those nearest to a right input, "
            f"{action.usual:.1f}"
        )
    assert action.effect is not None
    if action.act is Act.WATCH:
        count = action.effect
        return (
            f"catches {count.errors} of {count.of_errors} errors, with {count.right} false alarms "
            f"among {count.of_right} right predictions"
        )
    words = _changes(action.effect)
    if action.control is not None:
        words += f"; training on as long without that {_changes(action.control)}"
    return words


def _changes(count: Count) -> str:
    return (
        f"mends {count.errors} of {count.of_errors} errors and breaks {count.right} of "
        f"{count.of_right} right predictions"
    )
