"""``precond patterns``: short patterns that imply a class over the whole domain, proved."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from precond.basics.terminal import say
from precond.commands.answers import answered
from precond.commands.arguments import Commands, add_settings, output_folder, settings_of
from precond.commands.budget import BUDGET, deadline_of, recorded_rows, recording
from precond.commands.given import add_given, domain_of, read_given
from precond.commands.outputs import model_name
from precond.commands.places import add_places, pool_of
from precond.commands.stopped import stopped
from precond.mine.whole_space.settings import Search

if TYPE_CHECKING:
    from precond.study.goals import Goal


def add(commands: Commands) -> None:
    patterns = commands.add_parser(
        "patterns", help="find patterns that imply a class for every input of the domain"
    )
    add_given(patterns, "the true classes, to say how often a pattern's inputs carry them")
    patterns.add_argument(
        "--domain",
        metavar="D",
        help="unit, data (the box of the training inputs), or LO:HI "
        "(default: unit for pictures whose pixels lie in [0, 1], else data)",
    )
    patterns.add_argument(
        "--cut",
        action="append",
        metavar="LAYER",
        help="look for patterns from this layer on; input: the whole network, few and dear "
        "proofs (may be repeated: tried in this order)",
    )
    patterns.add_argument(
        "--label", type=int, action="append", metavar="K", help="only this class (may be repeated)"
    )
    add_settings(patterns, Search, budget=BUDGET)
    patterns.add_argument(
        "--shifts",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="with --cut input, where inputs are pictures: moved by one pixel they count too where "
        "literals are weighed, never for recall (default: on)",
    )
    patterns.add_argument("--out", type=Path, metavar="DIR", help="write a page and tables there")
    patterns.add_argument(
        "--ledger",
        type=Path,
        metavar="FILE",
        help="keep verdicts there, and take them from it (default: ledger.sqlite in --out)",
    )
    add_places(patterns)
    patterns.add_argument("--verbose", action="store_true", help="say every round on stderr")
    patterns.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from precond.basics.progress import progress
    from precond.network.graph import INPUT
    from precond.proof.certificates.folder import keep
    from precond.proof.ledger.ledger import Ledger
    from precond.report import hints
    from precond.report.pages import write_files
    from precond.report.whole_space.page import table_text, whole_space_files
    from precond.study.goals import class_goal
    from precond.study.store import write_preconditions
    from precond.study.study import Study
    from precond.study.whole_space.run import default_cuts, run_whole_space, values_in_time

    network, data = read_given(arguments)
    pixels = data.image_shape is not None and tuple(data.natural) == (0.0, 1.0)
    text = arguments.domain or ("unit" if pixels else "data")
    domain = domain_of(text, data, balls=False)
    for cut in arguments.cut or ():
        if cut != INPUT:
            network.require_decisions(cut)
    cuts = tuple(arguments.cut or default_cuts(network))
    out = None if arguments.out is None else output_folder(arguments.out)
    deadline = deadline_of(arguments)
    signatures, rows = values_in_time(
        network, data, cuts, device=arguments.device, until=recording(deadline)
    )
    data, notes = recorded_rows(rows, data)
    goal = class_goal(network, signatures)
    if arguments.label:
        goal = _only(goal, arguments.label, network.classes.count)
    picture = data.image_shape if arguments.shifts else None
    search = settings_of(arguments, Search, picture=picture, budget=deadline.left)
    study = Study(network=network, data=data, signatures=signatures, domain=domain, goal=goal)
    file = arguments.ledger or (None if out is None else out / "ledger.sqlite")
    here = None if arguments.scheduler is not None else out
    certificates = None if here is None else here / "certificates"
    with ExitStack() as stack:
        ledger = None if file is None else stack.enter_context(Ledger(file))
        pool = stack.enter_context(pool_of(arguments, ledger))
        bars = stack.enter_context(progress())
        found = run_whole_space(
            study,
            search,
            cuts=cuts,
            pool=pool,
            certificates=certificates,
            progress=bars,
            note=_progress if arguments.verbose else None,
        )
    found = replace(
        found,
        seconds=time.monotonic() - arguments.begun,
        budget=arguments.budget,
        notes=(*data.notes, *notes, *found.notes, *hints.of_whole_space(found)),
    )
    say(table_text(found, model_name(network)))
    if out is not None:
        write_preconditions(found.analysis(), out / "preconditions.json")
        write_files(out, whole_space_files(found, network.origin))
        print(f"report         {out / 'report.html'}")
        print(f"preconditions  {out / 'preconditions.json'}")
        if found.certified:
            folder = output_folder(out / "certificates")
            for claim, certificate in found.certified:
                keep(folder, claim, certificate)
            print(f"certificates   {folder} ({len(found.certified)}, for 'precond check')")
    answered(
        arguments,
        classes={
            one.target.name: {
                "proved": one.proved,
                "literals": one.literals,
                "held_out_recall": one.held_out.value,
                "patterns": len(one.entries),
            }
            for one in found.classes
        },
        held_out_recall=found.held_out.value,
        certificates=len(found.certified),
        report=None if out is None else out / "report.html",
        file=None if out is None else out / "preconditions.json",
        interrupted=found.interrupted,
    )
    return stopped(file) if found.interrupted else 0


def _only(goal: Goal, labels: list[int], classes: int) -> Goal:
    """``goal`` with the targets of these labels."""
    from precond.errors import DataError

    known = {target.label: target for target in goal.targets}
    for label in labels:
        if label not in known:
            raise DataError(
                f"--label {label}",
                expected=f"a class in 0..{classes - 1} that some input is predicted as",
                got=str(label),
            )
    return replace(goal, targets=tuple(known[label] for label in dict.fromkeys(labels)))


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
