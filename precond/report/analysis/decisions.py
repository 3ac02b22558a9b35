"""What a decision sees, on the page: a picture of each telling literal, or the names of the
features that move its unit; the inputs nearest outside a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from precond.data.dataset import class_name, input_name
from precond.proof.precondition import Precondition
from precond.report.cards import Card
from precond.report.coverage import Match
from precond.report.evidence import Gallery, Thumb, labels_of
from precond.report.plot.pictures import row_picture, signed_picture
from precond.study.analysis import Analysis
from precond.study.meaning import Meanings, UnitLiteral, nearest_outside

TELLING = 3  # literals that are drawn
OUTSIDE = 8  # inputs that are shown
LOOKED_AT = 500  # held-out inputs among which the nearest are looked for
MOVED = "red: more of it moves the unit up; blue: down"
DRIVEN = "red: brighter in the inputs that drive the unit up most than in all; blue: darker"


@dataclass(frozen=True)
class ShownLiteral:
    """A literal: a picture of what moves its unit (empty for tables), its words, a title."""

    uri: str
    words: str
    title: str


class Decisions:
    """What the decisions of one analysis see; pictures are made once for a unit."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.meanings = Meanings(analysis.network, analysis.data, analysis.signatures)
        self._pictures: dict[tuple[str, int], tuple[str, str]] = {}

    def telling(self, item: Precondition) -> tuple[ShownLiteral, ...]:
        """The literals that tell a rule's inputs from the rest."""
        literals = self.meanings.telling(item.pattern, TELLING)
        if self.analysis.data.image_shape is not None:
            return tuple(self._pictured(literal) for literal in literals)
        moves = self.meanings.told_apart(literals)
        return tuple(
            self._named(literal, own) for literal, own in zip(literals, moves, strict=True)
        )

    def _said(self, literal: UnitLiteral) -> str:
        name = self.analysis.unit_names.of(literal.layer, literal.index)
        return literal.words if name is None else f"{literal.words} · {name}"

    def _pictured(self, literal: UnitLiteral) -> ShownLiteral:
        key = literal.layer, literal.index
        if key not in self._pictures:
            driven = self.meanings.driven_by(*key)
            shown = self.meanings.of(*key) if driven is None else driven
            words = MOVED if driven is None else DRIVEN
            self._pictures[key] = signed_picture(shown, self.analysis.data.image_shape or ()), words
        uri, words = self._pictures[key]
        return ShownLiteral(uri, self._said(literal), f"{literal} ({words})")

    def _named(self, literal: UnitLiteral, moves: Sequence[tuple[int, bool]]) -> ShownLiteral:
        """``moves``: the input values that move the unit, and whether upwards."""
        features = self.analysis.data.features
        moved = ", ".join(f"{input_name(k, features)} {'↑' if up else '↓'}" for k, up in moves)
        return ShownLiteral("", f"({moved}) {self._said(literal)}", str(literal))

    def on_card(self, card: Card, item: Precondition, match: Match) -> Card:
        """The card with the telling literals first, and the inputs nearest outside last."""
        if self.analysis.data.image_shape is None or not len(item.pattern):
            return card
        telling = self.telling(item)
        seen = Gallery(
            "What tells its inputs from the rest",
            "what these units see: inputs that drive them, then what moves them",
            (
                *(Thumb(one.uri, one.words, one.title) for one in telling),
                *(self._moved(one) for one in self.meanings.telling(item.pattern, TELLING)),
            ),
        )
        outside = self._outside(match)
        return replace(card, galleries=(seen, *card.galleries, *outside))

    def _moved(self, literal: UnitLiteral) -> Thumb:
        """What moves a unit."""
        slope = self.meanings.of(literal.layer, literal.index)
        uri = signed_picture(slope, self.analysis.data.image_shape or ())
        return Thumb(uri, f"{literal.layer}[{literal.index}]", f"{literal} ({MOVED})")

    def _outside(self, match: Match) -> tuple[Gallery, ...]:
        """Held-out inputs without the pattern, nearest to those with it."""
        data = self.analysis.data
        held = data.held_out[:LOOKED_AT]
        has = match.pattern[:LOOKED_AT]
        rows = held[~has][nearest_outside(data.flat[held[has]], data.flat[held[~has]], OUTSIDE)]
        if not len(rows):
            return ()
        predicted = self.analysis.signatures.predicted
        thumbs = tuple(
            Thumb(
                row_picture(np.asarray(data.inputs[r]), data.image_shape or (), data.natural),
                class_name(int(predicted[r]), data.classes),
                f"input {r}{labels_of(self.analysis, r)}",
            )
            for r in map(int, rows)
        )
        return (Gallery("Nearest held-out inputs without this pattern", "and their class", thumbs),)
