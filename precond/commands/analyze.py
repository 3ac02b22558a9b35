"""``precond analyze``: mine and prove preconditions; write a report and preconditions.json."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from precond.basics.terminal import say
from precond.commands.answers import answered, counts_by_status
from precond.commands.arguments import Commands, add_settings, output_folder, settings_of
from precond.commands.budget import BUDGET, deadline_of, recorded_rows, recording
from precond.commands.given import add_given, domain_of, read_data, read_model
from precond.commands.outputs import add_outputs, classifier, with_outputs
from precond.commands.places import add_places, pool_of
from precond.commands.stopped import stopped
from precond.commands.unit_names import add_unit_names, unit_names
from precond.errors import DataError
from precond.network.device import require_device
from precond.study.options import Options

if TYPE_CHECKING:
    from precond.data.datasets import Dataset
    from precond.network.graph import Network
    from precond.region.signature import Signatures
    from precond.region.unit_names import UnitNames
    from precond.study.goals import Goal
    from precond.study.study import Study
    from precond.vnnlib.query import Query

AUTO = "auto"
CHOOSING = 0.15  # of the budget, for the radius of balls


def add(commands: Commands) -> None:
    analyze = commands.add_parser(
        "analyze", help="mine and prove preconditions; write a report and preconditions.json"
    )
    add_given(analyze)
    analyze.add_argument(
        "--property",
        default="predicted",
        metavar="P",
        help="predicted (default), label:K, misclassified, or a .vnnlib file",
    )
    analyze.add_argument(
        "--layer", action="append", metavar="NAME", help="mine this layer (may be repeated)"
    )
    analyze.add_argument(
        "--domain",
        default=AUTO,
        metavar="D",
        help="where claims are made: ball:R around each source input (ball:0.05, or ball:5%% of "
        "each value's range), data, unit, LO:HI, or auto (default): balls of the largest radius, "
        "up to 10%%, at which two thirds of the inputs tried prove",
    )
    add_settings(analyze, Options, budget=BUDGET)
    analyze.add_argument("--out", required=True, type=Path, metavar="DIR")
    add_outputs(analyze)
    add_unit_names(analyze)
    add_places(analyze)
    analyze.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from precond.basics.progress import progress
    from precond.proof.ledger.ledger import Ledger
    from precond.report import hints
    from precond.report.analysis.write import write_report
    from precond.study.pipeline import analyze
    from precond.study.store import write_preconditions
    from precond.study.summary import answer, summary

    require_device(arguments.device)
    study, out, names, notes = _study(arguments, settings_of(arguments, Options))
    options = settings_of(arguments, Options, budget=deadline_of(arguments).left)
    with (
        Ledger(out / "ledger.sqlite") as ledger,
        pool_of(arguments, ledger) as pool,
        progress() as bars,
    ):
        analysis = analyze(study, options, pool, layers=arguments.layer, progress=bars)
    analysis = replace(
        analysis,
        seconds=time.monotonic() - arguments.begun,
        budget=arguments.budget,
        notes=(
            *study.data.notes,
            *notes,
            *analysis.notes,
            *hints.of_analysis(analysis),
        ),
        unit_names=names,
    )
    write_preconditions(analysis, out / "preconditions.json")
    write_report(analysis, out / "report.html")
    say(summary(analysis))
    print(f"report         {out / 'report.html'}")
    print(f"preconditions  {out / 'preconditions.json'}")
    print()
    say(answer(analysis))
    answered(
        arguments,
        learned=answer(analysis).split("\n"),
        preconditions=counts_by_status(analysis.preconditions),
        report=out / "report.html",
        file=out / "preconditions.json",
        interrupted=analysis.interrupted,
    )
    return stopped(out / "ledger.sqlite") if analysis.interrupted else 0


def _study(
    arguments: argparse.Namespace, options: Options
) -> tuple[Study, Path, UnitNames, tuple[str, ...]]:
    """The question of the run, its output folder, made before the first long work, names of units,
    and notes on these and where there was no time to record all inputs."""
    from precond.study.radius import RadiusSearch
    from precond.study.recorded import record_all
    from precond.study.study import Study
    from precond.vnnlib.read import read_vnnlib

    network = read_model(arguments)
    by_file = arguments.property.endswith((".vnnlib", ".vnnlib.gz"))
    if not by_file:
        network = classifier(network, arguments.threshold)
    elif arguments.outputs == "logits":
        network = network.logits
    data = read_data(arguments, network, arguments.labels)
    for layer in arguments.layer or ():
        network.require_decisions(layer)
    if arguments.property == "predicted":
        _require_classes(data, network)
    domain = None if arguments.domain == AUTO else domain_of(arguments.domain, data)
    out = output_folder(arguments.out)
    names, named = unit_names(arguments, network, data)
    query = None
    if by_file:
        query = read_vnnlib(arguments.property, network)
        network = with_outputs(network, "logits")  # which the query's claims are about
    signatures, rows = record_all(network, data, options, until=recording(deadline_of(arguments)))
    data, notes = recorded_rows(rows, data)
    notes = (*named, *notes)
    goal = _goal(arguments.property, network, data, signatures=signatures, query=query)
    if domain is None:
        deadline = deadline_of(arguments)
        domain, note = RadiusSearch(
            network=network,
            data=data,
            signatures=signatures,
            goal=goal,
            deadline=deadline.earlier(CHOOSING * deadline.left),
            device=options.device,
        ).run()
        notes = (*notes, note)
    study = Study(network=network, data=data, signatures=signatures, domain=domain, goal=goal)
    return study, out, names, notes


def _require_classes(data: Dataset, network: Network) -> None:
    """DataError for labels of more classes than the network tells apart."""
    most = -1 if data.labels is None else int(data.labels.max())
    if most >= network.classes.count:
        raise DataError(
            f"labels of {data.name}",
            expected=f"classes 0..{network.classes.count - 1}, which the network tells apart",
            got=str(most),
            fix="Give the labels of this network's classes",
        )


def _goal(
    property: str, network: Network, data: Dataset, signatures: Signatures, query: Query | None
) -> Goal:
    """What ``--property`` asks."""
    from precond.study.goals import class_goal, correctness_goal, property_goal

    if property == "predicted":
        return class_goal(network, signatures)
    if property == "misclassified":
        return correctness_goal(signatures, data.labels)
    if property.startswith("label:"):
        return class_goal(network, signatures, _label(property))
    if query is not None:
        return property_goal(property, query=query, signatures=signatures, inputs=data.flat)
    raise DataError(
        "--property",
        expected="predicted, label:K, misclassified or a .vnnlib file",
        got=property,
    )


def _label(text: str) -> int:
    number = text.partition(":")[2]
    if not (number.isascii() and number.isdecimal()):
        raise DataError("--property", expected="label:K with a whole number", got=text)
    return int(number)
