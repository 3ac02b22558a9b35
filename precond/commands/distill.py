"""``precond distill``: a fast path that answers early where rules at an early layer allow it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from precond.apply.distillation.settings import Promise, Training
from precond.commands.answers import answered
from precond.commands.arguments import (
    Commands,
    add_settings,
    output_folder,
    settings_of,
)
from precond.commands.fast_path import PAGE, DistillRun, finished, refused
from precond.commands.given import add_data, add_model, read_data, read_model
from precond.commands.outputs import add_threshold, classifier
from precond.region.radius import FORMS, radius_option

if TYPE_CHECKING:
    from precond.apply.distillation.learn import Distilled
    from precond.apply.distillation.proved_rules import ProvedRules
    from precond.network.graph import Network


def add(commands: Commands) -> None:
    distill = commands.add_parser(
        "distill",
        help="make a faster model that answers early where rules at early layers allow it",
    )
    add_model(distill)
    add_data(distill)
    distill.add_argument(
        "--layer",
        action="append",
        metavar="NAME[:STEP]",
        help="an exit at this layer, reading every STEP-th row and column of its neurons "
        "(up to three times; default: chosen from the network)",
    )
    add_settings(distill, Promise)
    distill.add_argument(
        "--rules", type=Path, metavar="PRECONDITIONS.json", help="proved rules get their own exits"
    )
    distill.add_argument(
        "--proved-only",
        action="store_true",
        help="exits by proved rules of --rules alone: no prediction changes",
    )
    add_settings(distill, Training)
    distill.add_argument(
        "--no-compile", action="store_true", help="do not measure torch.compile'd models"
    )
    distill.add_argument(
        "--radius",
        type=radius_option,
        metavar="R",
        help=f"count which early answers are proved to stay within R of held-out inputs: {FORMS}",
    )
    distill.add_argument(
        "--force", action="store_true", help="write the fast path even where it is not worth it"
    )
    add_threshold(distill)
    distill.add_argument("--out", required=True, type=Path, metavar="DIR")
    distill.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from precond.apply.distillation.learn import NotWorthIt
    from precond.errors import QueryError

    if arguments.proved_only and arguments.rules is None:
        raise QueryError(
            "--proved-only",
            expected="proved rules",
            got="no --rules",
            fix="Give --rules DIR/preconditions.json, written by 'precond analyze'",
        )
    work = _prepared(arguments)
    with _folder(arguments.out) as out:
        try:
            distilled = _distilled(arguments, work)
        except NotWorthIt as slow:
            if not arguments.force:
                answered(arguments, headline=slow.why, report=out / PAGE, worth_it=False)
                return refused(slow, out, work)
            distilled = slow.anyway
        return finished(arguments, work, distilled, out=out)


def _prepared(arguments: argparse.Namespace) -> DistillRun:
    import numpy as np

    from precond.apply.distillation.reading import Reading
    from precond.apply.distillation.samples import Samples, calibration_count, sample_of
    from precond.apply.distillation.settings import ROWS
    from precond.apply.distillation.training import PASSES
    from precond.errors import QueryError

    network = classifier(read_model(arguments), arguments.threshold)
    readings = [Reading.parse(text) for text in arguments.layer or ()]
    for reading in readings:
        network.require_decisions(reading.layer)
        reading.check(network)
    proved = None if arguments.rules is None else _proved_rules(arguments.rules, network)
    dataset = read_data(arguments, network, arguments.labels)
    if arguments.shift and (arguments.shift < 0 or len(network.input_shape) != 3):
        raise QueryError(
            "--shift",
            expected="0, or a few pixels for a network of pictures",
            got=str(arguments.shift),
        )
    promise = settings_of(arguments, Promise)
    mixed = np.random.RandomState(arguments.seed).permutation(dataset.train)
    count = calibration_count(len(mixed), promise)
    whole = sample_of(network, np.asarray(dataset.inputs), dataset.labels)
    fit, calibration = (whole.rows(np.sort(part)) for part in (mixed[count:], mixed[:count]))
    return DistillRun(
        network=network,
        dataset=dataset,
        readings=readings,
        proved=proved,
        whole=whole,
        samples=Samples(fit, calibration, whole.rows(dataset.held_out)),
        promise=promise,
        training=settings_of(arguments, Training, rows=min(ROWS, PASSES * len(fit))),
    )


def _distilled(arguments: argparse.Namespace, work: DistillRun) -> Distilled:
    from precond.apply.distillation.learn import distill, prove_only

    if arguments.proved_only:
        assert work.proved is not None
        return prove_only(work.network, work.proved)
    return distill(
        work.network,
        work.samples.fit,
        work.samples.calibration,
        readings=work.readings or None,
        promise=work.promise,
        proved=work.proved,
        training=work.training,
    )


@contextmanager
def _folder(path: Path) -> Iterator[Path]:
    """The output folder; what was made of it is removed where the work fails."""
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    out = output_folder(path)
    try:
        yield out
    except BaseException:
        with suppress(OSError):  # something else was put there meanwhile
            for folder in made:
                folder.rmdir()
        raise


def _proved_rules(file: Path, network: Network) -> ProvedRules:
    from precond.apply.distillation.proved_rules import ProvedRules
    from precond.errors import QueryError
    from precond.study.store import read_preconditions

    stored = read_preconditions(file)
    if not stored.preconditions:
        raise QueryError(f"rules {file}", expected="one or more", got="an empty rule set")
    stored.claim(stored.preconditions[0], network)  # the hash is this network's
    return ProvedRules.select(network, stored.preconditions, stored.domain)
