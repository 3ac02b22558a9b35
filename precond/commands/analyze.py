"""``precond analyze``: mine and prove preconditions; write a report and preconditions.json."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from precond.commands.arguments import (
    EXIT_INTERRUPTED,
    Commands,
    count,
    output_folder,
    seconds,
    seed,
    share,
)
from precond.commands.given import add_columns, add_model, read_data, read_model
from precond.commands.outputs import add_outputs, add_threshold, classifier, with_outputs
from precond.commands.places import add_places, pool_of
from precond.network.device import require_device


def add(commands: Commands) -> None:
    analyze = commands.add_parser(
        "analyze", help="mine and prove preconditions; write a report and preconditions.json"
    )
    add_model(analyze)
    analyze.add_argument(
        "--inputs",
        required=True,
        metavar="DATA",
        help="digits, mnist-5k, fashion-mnist, or a .npy, .npz, .csv or IDX file",
    )
    analyze.add_argument("--labels", metavar="Y", help="a file with one whole number per input")
    analyze.add_argument(
        "--divide", type=float, default=1.0, help="divide a file's values by this (255 for bytes)"
    )
    add_columns(analyze)
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
        default="ball:0.1",
        metavar="D",
        help="where claims are made: ball:EPS around each source input (default ball:0.1), "
        "data, unit, or LO:HI",
    )
    analyze.add_argument("--budget", type=seconds, default=120.0, metavar="SECONDS")
    analyze.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    analyze.add_argument("--out", required=True, type=Path, metavar="DIR")
    analyze.add_argument(
        "--precision", type=share, default=1.0, help="least training precision of a layer rule"
    )
    analyze.add_argument(
        "--support",
        type=count,
        help="least training support of a layer rule (default: 10, or 1 in 500 training inputs)",
    )
    analyze.add_argument(
        "--values", action="store_true", help="mine value thresholds beside on/off decisions"
    )
    analyze.add_argument(
        "--per-class", type=count, default=5, help="input preconditions wanted for each class"
    )
    analyze.add_argument(
        "--order",
        choices=("influence", "multiplier", "preactivation", "index"),
        default="influence",
        help="which literals of an input precondition go first: those of least influence on the "
        "property's margin (default), of least multiplier in the proof, with the smallest "
        "|pre-activation|, or by index",
    )
    analyze.add_argument("--seed", type=seed, default=0)
    add_outputs(analyze)
    add_threshold(analyze)
    add_places(analyze)
    analyze.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    from precond.basics.progress import progress
    from precond.data.datasets import split
    from precond.errors import DataError
    from precond.mine.input_preconditions.relax import Order
    from precond.proof.ledger.ledger import Ledger
    from precond.report.analysis.write import write_report
    from precond.study.analysis import Data, Domain
    from precond.study.goals import Goal, class_goal, correctness_goal, property_goal
    from precond.study.options import Options
    from precond.study.pipeline import analyze, record_all
    from precond.study.store import write_preconditions
    from precond.study.summary import summary
    from precond.vnnlib.query import read_vnnlib

    require_device(chosen.device)
    network = read_model(chosen)
    by_file = chosen.property.endswith((".vnnlib", ".vnnlib.gz"))
    if not by_file:
        network = classifier(network, chosen.threshold)
    elif chosen.outputs == "logits":
        network = network.logits
    dataset = read_data(chosen, network, chosen.labels)
    for layer in chosen.layer or ():
        network.require_decisions(layer)
    train, held_out = split(dataset, 0.2, 0)
    data = Data(
        dataset.name,
        dataset.inputs,
        dataset.labels,
        train,
        held_out,
        dataset.image_shape,
        dataset.natural,
        dataset.classes,
        dataset.features,
    )
    flat = dataset.inputs.reshape(len(dataset.inputs), -1)
    if flat.shape[1] != network.input_size:
        raise DataError(
            f"inputs {dataset.name} for {chosen.model}",
            expected=f"rows of {network.input_size} values",
            got=f"rows of {flat.shape[1]}",
            fix="Choose data of the network's input width",
        )
    if dataset.labels is not None and chosen.property == "predicted":
        most = int(dataset.labels.max())
        if most >= network.classes.count:
            raise DataError(
                f"labels of {dataset.name}",
                expected=f"classes 0..{network.classes.count - 1}, which the network tells apart",
                got=str(most),
                fix="Give the labels of this network's classes",
            )
    domain = Domain.parse(chosen.domain, flat[train], dataset.natural)
    out = output_folder(chosen.out)
    options = Options(
        budget=chosen.budget,
        per_class=chosen.per_class,
        minimum_precision=chosen.precision,
        minimum_support=chosen.support or max(10, len(train) // 500),
        values=chosen.values,
        order=Order(chosen.order),
        device=chosen.device,
        seed=chosen.seed,
    )
    query = None
    if by_file:
        query = read_vnnlib(chosen.property, network)
        network = with_outputs(network, "logits")  # which the query's claims are about
    signatures = record_all(network, data, options)
    goal: Goal
    if chosen.property == "predicted":
        goal = class_goal(network, signatures)
    elif chosen.property == "misclassified":
        goal = correctness_goal(signatures, dataset.labels)
    elif chosen.property.startswith("label:"):
        goal = class_goal(network, signatures, _label(chosen.property))
    elif query is not None:
        goal = property_goal(chosen.property, query, signatures, flat)
    else:
        raise DataError(
            "--property",
            expected="predicted, label:K, misclassified or a .vnnlib file",
            got=chosen.property,
        )
    with (
        Ledger(out / "ledger.sqlite") as ledger,
        pool_of(chosen, ledger) as pool,
        progress() as bars,
    ):
        analysis = analyze(
            Path(network.origin),
            network,
            data,
            domain,
            signatures,
            goal,
            options,
            pool,
            layers=chosen.layer,
            progress=bars,
        )
    write_preconditions(analysis, out / "preconditions.json")
    write_report(analysis, out / "report.html")
    print(summary(analysis))
    print(f"report         {out / 'report.html'}")
    print(f"preconditions  {out / 'preconditions.json'}")
    if analysis.interrupted:
        print(
            "precond: stopped early; what was proved is in "
            f"{out / 'ledger.sqlite'}. Run the same command again to go on",
            file=sys.stderr,
        )
        return EXIT_INTERRUPTED
    return 0


def _label(text: str) -> int:
    from precond.errors import DataError

    number = text.partition(":")[2]
    if not (number.isascii() and number.isdecimal()):
        raise DataError("--property", expected="label:K with a whole number", got=text)
    return int(number)
