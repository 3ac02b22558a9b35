"""Channel rules on the page: each literal as a small map, the rules by what each adds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.basics.counting import percent
from precond.data.dataset import class_words
from precond.proof.verdict import Status
from precond.region.channels import ChannelLiteral
from precond.region.signature import Signatures
from precond.report.analysis.decisions import ShownLiteral
from precond.report.plot.pictures import region_picture
from precond.study.analysis import Analysis
from precond.study.channel_rules import ChannelPrecondition

FIRST = 15  # rules that are shown
DRAWN = 1000  # training inputs that a map is the mean of
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class ChannelLine:
    """One rule: its literals as maps, the held-out inputs that it adds, where it is proved."""

    id: str
    label: str
    layer: str
    literals: tuple[ShownLiteral, ...]
    sentence: str
    adds: str
    reached: str
    proved: str
    tone: str


@dataclass(frozen=True)
class ChannelPage:
    """``rules`` by what each adds, and how many ``others`` there are."""

    rules: tuple[ChannelLine, ...] = ()
    others: int = 0

    @classmethod
    def of(cls, analysis: Analysis) -> ChannelPage:
        """Empty where an analysis has no channel rules."""
        if analysis.channels is None:
            return cls()
        rules = analysis.channels.rules
        holds = [rule.pattern.holds(analysis.signatures) for rule in rules]
        held = analysis.data.held_out
        reached = np.zeros(len(analysis.signatures), dtype=np.bool_)
        lines = []
        for k in _order(analysis, holds):
            more = int((holds[k] & ~reached)[held].sum())
            reached |= holds[k]
            share = float(reached[held].mean()) if len(held) else None
            lines.append(_line(analysis, rules[k], holds[k], added=(more, share)))
        return cls(tuple(lines), len(rules) - len(lines))


def _order(analysis: Analysis, holds: list[Mask]) -> list[int]:
    """Positions of the first rules, that which explains most further training inputs next."""
    train = analysis.data.train
    left = np.ones(len(train), dtype=np.bool_)
    own = [mask[train] for mask in holds]
    order: list[int] = []
    while len(order) < min(FIRST, len(own)):
        gains = [int((mask & left).sum()) for mask in own]
        best = int(np.argmax(gains))
        if not gains[best]:
            break
        order.append(best)
        left &= ~own[best]
    return order


def _line(
    analysis: Analysis, rule: ChannelPrecondition, holds: Mask, added: tuple[int, float | None]
) -> ChannelLine:
    train = analysis.data.train
    seen = analysis.signatures.rows(train[holds[train]][:DRAWN])
    literals = tuple(_shown(literal, seen) for literal in rule.pattern.in_order)
    proved = rule.near is not None and rule.near.is_proved
    return ChannelLine(
        id=rule.id,
        label=class_words(rule.name, analysis.data.classes),
        layer=", ".join(rule.pattern.layers),
        literals=literals,
        sentence=rule.sentence,
        adds=f"+{added[0]}",
        reached=percent(added[1]),
        proved=rule.proved_words,
        tone=(Status.PROVED if proved else Status.EMPIRICAL).value,
    )


def _shown(literal: ChannelLiteral, seen: Signatures) -> ShownLiteral:
    """The map of a literal's channel: the share of the rule's training inputs that fire there."""
    maps = literal.maps
    on = seen.decisions(maps.layer)
    planes = on.reshape(-1, maps.channels, maps.height, maps.width)[:, literal.channel]
    share = planes.mean(axis=0) if len(planes) else np.zeros((maps.height, maps.width))
    mask = literal.region.mask(maps.height, maps.width)
    words = f"{literal.channel} {'fires' if literal.fires else 'silent'}"
    return ShownLiteral(region_picture(share, mask, fires=literal.fires), words, str(literal))
