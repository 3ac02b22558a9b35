"""``precond debug``: why inputs are predicted wrong; a page for each, causes, doubtful labels."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from precond.apply.debugging.settings import DebugSettings
from precond.basics.terminal import say
from precond.commands.answers import answered
from precond.commands.arguments import Commands, add_settings, output_folder, settings_of
from precond.commands.budget import BUDGET, deadline_of, recorded_rows, recording
from precond.commands.given import add_given, read_given
from precond.commands.outputs import model_name
from precond.commands.stopped import stopped
from precond.commands.unit_names import add_unit_names, unit_names


def add(commands: Commands) -> None:
    debug = commands.add_parser(
        "debug", help="why inputs are predicted wrong: a page for each, causes, doubtful labels"
    )
    add_given(debug, "the true classes: a file with one whole number per input")
    debug.add_argument("--out", required=True, type=Path, metavar="DIR")
    add_settings(debug, DebugSettings, budget=BUDGET)
    add_unit_names(debug)
    debug.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from precond.apply.debugging.findings import debug
    from precond.apply.true_classes import check_classes
    from precond.basics.progress import progress
    from precond.proof.ledger.ledger import Ledger
    from precond.region.recording import record_in_time
    from precond.report import hints
    from precond.report.debug.answer import answer
    from precond.report.debug.index import debug_files
    from precond.report.evidence import Subject
    from precond.report.pages import write_files

    network, data = read_given(arguments)
    labels = check_classes(data.labels, len(data), network)
    names, named = unit_names(arguments, network, data)
    deadline = deadline_of(arguments)
    until = recording(deadline)
    signatures, rows = record_in_time(network, data.inputs, until=until, device=arguments.device)
    data, notes = recorded_rows(rows, data)
    labels = labels[rows]
    wrong = int((signatures.predicted != labels).sum())
    if not wrong:
        answered(arguments, wrong=0)
        for note in notes:
            print(f"note           {note}")
        print(
            f"no wrong predictions: {arguments.model} gives each of the {len(data)} inputs of "
            f"{data.name} its label; nothing was written"
        )
        return 0
    settings = settings_of(arguments, DebugSettings, budget=deadline.left)
    out = output_folder(arguments.out)
    with Ledger(out / "ledger.sqlite") as ledger, progress() as bars:
        bars.stage("wrong inputs", min(wrong, arguments.pages))
        found = debug(
            network,
            data,
            settings,
            signatures=signatures,
            ledger=ledger,
            step=bars.step,
        )
    tips = hints.of_debugged(found, data.natural)
    notes = (*data.notes, *notes, *named, *found.notes, *tips)
    found = replace(found, notes=notes, unit_names=names)
    subject = Subject.of(model_name(network), data)
    write_files(out, debug_files(subject, found))
    late = int(sum(row in set(data.held_out.tolist()) for row in found.wrong.tolist()))
    say(f"wrong          {len(found.wrong)} of {len(data)} inputs, {late} of them held out")
    for sentence in answer(found):
        say(f"answer         {sentence}")
    print(f"rules          {len(found.book.rules)}")
    for rank, cause in enumerate(found.causes[:5], 1):
        say(f"cause {rank}        {len(cause.rows)} errors: {cause.title}")
    print(f"labels         {len(found.suspects)} in doubt")
    for note in found.notes:
        say(f"note           {note}")
    print(f"report         {out / 'index.html'}")
    answered(
        arguments,
        wrong=len(found.wrong),
        held_out=late,
        answer=answer(found),
        causes=[{"title": one.title, "errors": len(one.rows)} for one in found.causes],
        labels_in_doubt=len(found.suspects),
        report=out / "index.html",
        interrupted=found.interrupted,
    )
    return stopped(out / "ledger.sqlite") if found.interrupted else 0
