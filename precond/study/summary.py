"""An analysis in a few lines of plain text."""

from __future__ import annotations

from collections import Counter

from precond.basics.counting import how_many
from precond.data.dataset import class_name
from precond.printable import printable
from precond.proof.precondition import Kind
from precond.proof.verdict import Status
from precond.study.analysis import Analysis
from precond.study.learned import Learned

SHOWN = 3  # channel rules in words


def summary(analysis: Analysis) -> str:
    """What was found, per kind and status; the same numbers are in ``preconditions.json``."""
    lines = [
        f"network        {printable(str(analysis.model))} ({analysis.network.neurons} neurons)",
        f"data           {analysis.data.name}: {len(analysis.data.train)} training, "
        f"{len(analysis.data.held_out)} held-out inputs",
        *(f"{what:<14} {names}" for what, names in analysis.data.legend()),
        *_domains(analysis),
    ]
    for kind in Kind:
        entries = [p for p in analysis.preconditions if p.kind is kind]
        if not entries:
            continue
        counts = Counter(p.verdict.status for p in entries)
        words = [f"{counts[status]} {status.value}" for status in Status if counts[status]]
        unconfirmed = sum(p.verdict.is_proved and not p.verdict.confirmed for p in entries)
        if unconfirmed:
            words.append(f"{unconfirmed} of the proved unconfirmed")
        where = " over the whole domain" if kind is Kind.LAYER else ""
        lines.append(f"{kind.value + ' rules':<14} {len(entries)}:{where} {', '.join(words)}")
    if analysis.curve:
        every = analysis.curve[0]
        precision = "–" if every.precision is None else f"{100 * every.precision:.1f} %"
        lines.append(
            f"coverage       layer rules cover {100 * every.coverage:.1f} % of held-out inputs "
            f"at {precision} precision"
        )
    lines += _channels(analysis)
    proved = Counter(
        p.label
        for p in analysis.preconditions
        if p.kind is Kind.INPUT and p.verdict.status is Status.PROVED
    )
    if proved:
        words = [
            f"{count} of class {class_name(label, analysis.data.classes)}"
            for label, count in sorted(proved.items())
        ]
        lines.append(f"proved inputs  {', '.join(words)}")
    lines += [f"note           {note}" for note in analysis.notes]
    lines.append(f"time           {analysis.seconds:.1f} s of {analysis.budget:g} s")
    return "\n".join(lines)


def _channels(analysis: Analysis) -> list[str]:
    """Rules over channels: how many, of which kind, and the largest in words."""
    result = analysis.channels
    if result is None:
        return []
    count = how_many(len(result.rules), "rule")
    fires = len(result.rules) - result.silent
    return [
        f"channel rules  {count}: in {fires} some channel fires, in {result.silent} all are silent",
        *(
            f"{'':<14} {rule.id}: {rule.sentence} ({rule.counts.train} training, "
            f"{rule.counts.held_out} held-out inputs; {rule.proved_words})"
            for rule in result.rules[:SHOWN]
        ),
    ]


def answer(analysis: Analysis) -> str:
    """What was learned, one sentence a line."""
    more = () if analysis.channels is None else analysis.channels.sentences()
    return "\n".join(map(printable, (*Learned.of(analysis).sentences(), *more)))


def _domains(analysis: Analysis) -> list[str]:
    """What each kind of precondition is claimed over; one line where it is the same."""
    kinds = {p.kind for p in analysis.preconditions} or {Kind.INPUT}
    words = {analysis.domain.claimed(kind): kind for kind in sorted(kinds, key=lambda k: k.value)}
    if len(words) == 1:
        return [f"domain         {next(iter(words))}"]
    return [f"domain         {text} ({kind.value} rules)" for text, kind in words.items()]
