"""``precond debug``: why inputs are predicted wrong; a page for each, causes, doubtful labels."""

from __future__ import annotations

import argparse
from pathlib import Path

from precond.commands.arguments import Commands, count, output_folder, seconds, seed, share
from precond.commands.given import add_given, read_given
from precond.commands.outputs import model_name


def add(commands: Commands) -> None:
    debug = commands.add_parser(
        "debug", help="why inputs are predicted wrong: a page for each, causes, doubtful labels"
    )
    add_given(debug, "the true classes: a file with one whole number per input")
    debug.add_argument("--out", required=True, type=Path, metavar="DIR")
    debug.add_argument(
        "--budget",
        type=seconds,
        default=120.0,
        metavar="SECONDS",
        help="for the wrong inputs' own preconditions, shared evenly",
    )
    debug.add_argument(
        "--radius",
        type=seconds,
        default=0.1,
        help="of the ball around a wrong input that is tried first (halved until it proves)",
    )
    debug.add_argument(
        "--precision", type=share, default=1.0, help="least training precision of a rule"
    )
    debug.add_argument(
        "--support",
        type=count,
        help="least training support of a rule (default: 10, or 1 in 500 training inputs)",
    )
    debug.add_argument("--pages", type=count, default=500, help="at most so many pages")
    debug.add_argument("--seed", type=seed, default=0)
    debug.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    from precond.apply.debugging.findings import DebugSettings, check_classes, debug
    from precond.basics.progress import progress
    from precond.data.datasets import split
    from precond.proof.ledger.ledger import Ledger
    from precond.region.signature import record
    from precond.report.debug.index import cause_title, debug_files
    from precond.report.evidence import Given
    from precond.report.pages import write_files

    network, dataset = read_given(chosen)
    labels = check_classes(dataset.labels, len(dataset), network)
    train, held_out = split(dataset)
    signatures = record(network, dataset.inputs, device=chosen.device)
    wrong = int((signatures.predicted != labels).sum())
    if not wrong:
        print(
            f"no wrong predictions: {chosen.model} gives each of the {len(dataset)} inputs of "
            f"{dataset.name} its label; nothing was written"
        )
        return 0
    settings = DebugSettings(
        budget=chosen.budget,
        radius=chosen.radius,
        minimum_precision=chosen.precision,
        minimum_support=chosen.support or max(10, len(train) // 500),
        findings=chosen.pages,
        natural=dataset.natural,
        device=chosen.device,
        seed=chosen.seed,
    )
    out = output_folder(chosen.out)
    with Ledger(out / "ledger.sqlite") as ledger, progress() as bars:
        bars.stage("wrong inputs", min(wrong, chosen.pages))
        found = debug(
            network,
            dataset.inputs,
            labels,
            train,
            held_out,
            settings,
            signatures=signatures,
            ledger=ledger,
            step=bars.step,
        )
    given = Given(model_name(network), dataset.name, dataset.image_shape, dataset.natural)
    write_files(out, debug_files(given, found))
    late = int(sum(row in set(held_out.tolist()) for row in found.wrong.tolist()))
    print(f"wrong          {len(found.wrong)} of {len(dataset)} inputs, {late} of them held out")
    print(f"rules          {len(found.book.rules)}")
    for rank, cause in enumerate(found.causes[:3], 1):
        rule = "no shared rule" if cause.rule is None else found.book.name(cause.rule)
        print(f"cause {rank}        {len(cause.rows)} errors {cause_title(cause)}: {rule}")
    print(f"labels         {len(found.suspects)} in doubt")
    for note in found.notes:
        print(f"note           {note}")
    print(f"report         {out / 'index.html'}")
    return 0
