"""``precond distill``: a fast path that answers early where rules at an early layer allow it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precond.apply.distillation.settings import MAX_LOSS, Training
from precond.basics.terminal import say
from precond.commands.arguments import (
    EXIT_NOT_WORTH_IT,
    Commands,
    add_settings,
    output_folder,
    settings_of,
)
from precond.commands.given import add_data, add_model, read_data, read_model
from precond.commands.outputs import add_threshold, classifier, model_name
from precond.commands.stopped import stopped

if TYPE_CHECKING:
    from precond.apply.distillation.learn import Distilled, NotWorthIt
    from precond.apply.distillation.proved_rules import ProvedRules
    from precond.apply.distillation.table import TradeOffTable
    from precond.network.graph import Network

PAGE = "index.html"


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
    distill.add_argument(
        "--max-loss",
        type=float,
        default=MAX_LOSS,
        metavar="POINTS",
        help=f"percentage points of accuracy that may be lost (default: {MAX_LOSS:g})",
    )
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
    add_threshold(distill)
    distill.add_argument("--out", required=True, type=Path, metavar="DIR")
    distill.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    import numpy as np

    from precond.apply.distillation.learn import (
        NotWorthIt,
        augmented,
        distill,
        prove_only,
        sample_of,
    )
    from precond.apply.distillation.reading import Reading
    from precond.apply.distillation.settings import ROWS
    from precond.apply.distillation.table import Samples, trade_off
    from precond.apply.distillation.training import PASSES
    from precond.apply.distillation.write_files import write_fast_path
    from precond.errors import QueryError
    from precond.report.distill import distill_page, headline

    if not 0 <= arguments.max_loss < 100:
        raise QueryError(
            "--max-loss", expected="percentage points from 0 to 100", got=f"{arguments.max_loss:g}"
        )
    if arguments.proved_only and arguments.rules is None:
        raise QueryError(
            "--proved-only",
            expected="proved rules",
            got="no --rules",
            fix="Give --rules DIR/preconditions.json, written by 'precond analyze'",
        )
    network = classifier(read_model(arguments), arguments.threshold)
    readings = [Reading.parse(text) for text in arguments.layer or ()]
    for reading in readings:
        network.require_decisions(reading.layer)
        reading.check(network)
    proved = None
    if arguments.rules is not None:
        proved = _proved_rules(arguments.rules, network)
    dataset = read_data(arguments, network, arguments.labels)
    if arguments.shift and (arguments.shift < 0 or len(network.input_shape) != 3):
        raise QueryError(
            "--shift",
            expected="0, or a few pixels for a network of pictures",
            got=str(arguments.shift),
        )
    train, held_out = dataset.train, dataset.held_out
    mixed = np.random.RandomState(arguments.seed).permutation(train)
    fifth = max(1, len(train) // 5)
    whole = sample_of(network, np.asarray(dataset.inputs), dataset.labels)
    fit, test = whole.rows(np.sort(mixed[fifth:])), whole.rows(held_out)
    validation = augmented(whole.rows(np.sort(mixed[:fifth])), network, arguments.shift)
    rows = min(ROWS, PASSES * len(fit))
    training = settings_of(arguments, Training, rows=rows)
    facts = (
        ("Model", model_name(network)),
        ("Data", f"{dataset.name}: {len(train)} training, {len(held_out)} held-out inputs"),
    )
    table: TradeOffTable | None = None
    with _folder(arguments.out) as out:
        try:
            if arguments.proved_only:
                assert proved is not None
                distilled = prove_only(network, proved)
            else:
                distilled = distill(
                    network,
                    fit,
                    validation,
                    readings=readings or None,
                    max_loss=arguments.max_loss,
                    proved=proved,
                    training=training,
                )
        except NotWorthIt as slow:
            return _refused(slow, out, facts, max_loss=arguments.max_loss)
        with suppress(KeyboardInterrupt):
            table = trade_off(
                network,
                distilled,
                Samples(fit, validation, test),
                max_loss=arguments.max_loss,
                training=training,
                compile=not arguments.no_compile,
            )
        every = distilled.path.predict(whole.inputs.numpy())
        changed = every.labels != whole.predicted.numpy()
        report = {
            "model": network.origin,
            "hash": network.hash,
            "data": dataset.name,
            "max_loss": arguments.max_loss,
            "proved_only": arguments.proved_only,
            "exits": _exits(distilled, every.exits, changed),
            "left_out": {} if distilled.proved is None else distilled.proved.left_out,
            "table": None if table is None else table.to_json(),
        }
        notes = (*dataset.notes, *_notes(arguments, table))
        page = distill_page(
            facts,
            table,
            distilled.curves,
            max_loss=arguments.max_loss,
            exits=report["exits"],
            notes=notes,
        )
        files = write_fast_path(
            out,
            distilled=distilled,
            report=report,
            table=[] if table is None else table.lines(),
            page=(PAGE, page),
        )
    say(headline(table))
    say("\n".join([*_summary(distilled, report, table), *(f"note           {n}" for n in notes)]))
    for name, text in files:
        print(f"{name:<14} {text}")
    if table is None:
        return stopped(ledger=None, known="the fast path was written, not measured")
    return 0 if table.worth_it else EXIT_NOT_WORTH_IT


def _refused(
    slow: NotWorthIt, out: Path, facts: tuple[tuple[str, str], ...], max_loss: float
) -> int:
    """No exit pays: a page with what each of them would answer, and nothing else."""
    from precond.report.distill import NOT_WORTH_IT, refused_page
    from precond.report.pages import write_files

    write_files(out, {PAGE: refused_page(facts, slow.curves, max_loss, why=slow.why)})
    say(f"{NOT_WORTH_IT}: {slow.why}")
    print(f"report         {out / PAGE}")
    return EXIT_NOT_WORTH_IT


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


def _exits(distilled: Distilled, exits: Any, changed: Any) -> list[dict[str, object]]:
    return [
        {
            "exit": name,
            "inputs": int((exits == number).sum()),
            "share": float((exits == number).mean()),
            "changed": int(changed[exits == number].sum()),
        }
        for number, name in enumerate(distilled.path.names())
    ]


def _summary(
    distilled: Distilled, report: dict[str, Any], table: TradeOffTable | None
) -> list[str]:
    lines = [f"network        {report['model']}"]
    for exit in report["exits"]:
        lines.append(
            f"answered by    {exit['exit']}: {exit['inputs']} inputs "
            f"({100 * exit['share']:.1f} %), {exit['changed']} predictions changed"
        )
    if distilled.choice is not None:
        choice = distilled.choice
        lines.append(
            f"validation     {choice.inputs} inputs, {100 * choice.coverage:.1f} % answered early, "
            f"{choice.lost} lost and {choice.won} won: {choice.loss:+.2f} points"
        )
    if distilled.proved is not None:
        reasons = [f"{count} {why}" for why, count in distilled.proved.left_out.items()]
        lines.append(
            f"proved rules   {len(distilled.proved.entries)} used"
            + (f"; left out: {', '.join(reasons)}" if reasons else "")
        )
    return lines + (["", *table.terminal_lines(), ""] if table is not None else [])


def _notes(arguments: argparse.Namespace, table: TradeOffTable | None) -> list[str]:
    """Remarks on what was measured."""
    if table is None:
        return []
    notes = list(table.notes)
    if table.slower():
        where = " and ".join(map(str, table.slower()))
        why = (
            "rules that end at the last layers leave nothing to save"
            if arguments.proved_only
            else ""
        )
        notes.append(
            f"slower than the plain network at batch {where}" + (f": {why}" if why else "")
        )
    return notes
