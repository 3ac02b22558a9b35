"""What ``precond distill`` says and writes of a fast path that was learned."""

from __future__ import annotations

import argparse
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precond.basics.terminal import say
from precond.commands.answers import answered
from precond.commands.arguments import EXIT_NOT_WORTH_IT
from precond.commands.outputs import model_name
from precond.commands.stopped import stopped
from precond.region.radius import Radius

if TYPE_CHECKING:
    from precond.apply.distillation.certified import CertifiedShare
    from precond.apply.distillation.learn import Distilled, NotWorthIt
    from precond.apply.distillation.proved_rules import ProvedRules
    from precond.apply.distillation.reading import Reading
    from precond.apply.distillation.samples import Sample, Samples
    from precond.apply.distillation.settings import Promise, Training
    from precond.apply.distillation.table import TradeOffTable
    from precond.data.dataset import Dataset
    from precond.network.graph import Network
    from precond.report.distill import HeldOut

PAGE = "index.html"
CERTIFIED = 200  # held-out inputs that --radius looks at


@dataclass(frozen=True, kw_only=True)
class DistillRun:
    """What the command was given."""

    network: Network
    dataset: Dataset
    readings: list[Reading]
    proved: ProvedRules | None
    whole: Sample
    samples: Samples
    promise: Promise
    training: Training

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        samples = self.samples
        return (
            ("Model", model_name(self.network)),
            (
                "Data",
                f"{self.dataset.name}: {len(samples.fit)} inputs to learn from, "
                f"{len(samples.calibration)} to calibrate, {len(samples.test)} held out",
            ),
        )


def finished(
    arguments: argparse.Namespace, work: DistillRun, distilled: Distilled, out: Path
) -> int:
    """Measure, say it, and write what is worth it."""
    from precond.apply.distillation.measure import trade_off
    from precond.apply.distillation.write_files import write_fast_path
    from precond.report.distill import distill_page, headline, promised
    from precond.report.pages import write_files

    table: TradeOffTable | None = None
    with suppress(KeyboardInterrupt):
        table = trade_off(
            work.network,
            distilled,
            work.samples,
            promise=work.promise,
            training=work.training,
            compile=not arguments.no_compile,
        )
    held_out = _held_out(work, distilled)
    certified = _certified(work, distilled, arguments.radius)
    exits = _exits(work, distilled)
    page = distill_page(
        (*work.facts, *promised(distilled.choice, distilled.tuning)),
        table,
        distilled.curves,
        max_loss=work.promise.max_loss,
        held_out=held_out,
        certified=certified,
        notes=(*work.dataset.notes, *(() if table is None else table.notes)),
    )
    report = {
        "model": work.network.origin,
        "hash": work.network.hash,
        "data": work.dataset.name,
        "promise": asdict(work.promise),
        "calibration": None if distilled.choice is None else asdict(distilled.choice),
        "proved_only": arguments.proved_only,
        "exits": exits,
        "left_out": {} if distilled.proved is None else distilled.proved.left_out,
        "certified": None if certified is None else asdict(certified),
        "table": None if table is None else table.to_json(),
    }
    worth_it = table is None or table.worth_it
    if worth_it or arguments.force:
        files = write_fast_path(
            out,
            distilled=distilled,
            report=report,
            table=[] if table is None else table.lines(),
            page=(PAGE, page),
        )
    else:
        write_files(out, {PAGE: page})
        files = [("report", str(out / PAGE))]
    say(headline(table))
    notes = () if table is None else table.notes
    say(
        "\n".join(
            [
                *_summary(work, distilled, exits, table=table),
                *(f"note           {n}" for n in notes),
            ]
        )
    )
    if certified is not None:
        say(_certified_words(certified))
    for name, text in files:
        print(f"{name:<14} {text}")
    answered(
        arguments,
        headline=headline(table),
        report=out / PAGE,
        worth_it=worth_it,
        fast_path=report,
    )
    if table is None:
        return stopped(ledger=None, known="the fast path was written, not measured")
    return 0 if worth_it else EXIT_NOT_WORTH_IT


def refused(slow: NotWorthIt, out: Path, work: DistillRun) -> int:
    """No exit pays: a page with what each of them would answer, and nothing else."""
    from precond.report.distill import NOT_WORTH_IT, promised, refused_page
    from precond.report.pages import write_files

    anyway = slow.anyway
    facts = (*work.facts, *promised(anyway.choice, anyway.tuning))
    page = refused_page(facts, anyway.curves, work.promise.max_loss, why=slow.why)
    write_files(out, {PAGE: page})
    say(f"{NOT_WORTH_IT}: {slow.why}")
    print(f"report         {out / PAGE}")
    return EXIT_NOT_WORTH_IT


def _held_out(work: DistillRun, distilled: Distilled) -> HeldOut:
    from precond.report.distill import HeldOut

    test = work.samples.test
    found = distilled.path.predict(test.inputs.numpy())
    return HeldOut(
        data=work.dataset,
        rows=work.dataset.held_out,
        labels=found.labels,
        exits=found.exits,
        plain=test.predicted.numpy(),
        truth=test.labels.numpy(),
        names=tuple(distilled.path.names()),
    )


def _certified(
    work: DistillRun, distilled: Distilled, radius: Radius | None
) -> CertifiedShare | None:
    from precond.apply.distillation.certified import certified_share
    from precond.basics.evenly import evenly
    from precond.region.value_ranges import ValueRanges

    if radius is None:
        return None
    inputs = work.samples.test.inputs.numpy()
    some = inputs[evenly(len(inputs), CERTIFIED)]
    return certified_share(distilled.path, some, radius, ranges=ValueRanges.of(work.dataset))


def _certified_words(found: CertifiedShare) -> str:
    return (
        f"certified      within {found.within}, of {found.inputs} early answers: the class of "
        f"{found.path}, exit and class of {found.exit}; plain network: {found.plain}"
    )


def _exits(work: DistillRun, distilled: Distilled) -> list[dict[str, object]]:
    """How many of all inputs each exit answers, and how many predictions it changes."""
    found = distilled.path.predict(work.whole.inputs.numpy())
    changed = found.labels != work.whole.predicted.numpy()
    return [
        {
            "exit": name,
            "inputs": int((found.exits == number).sum()),
            "share": float((found.exits == number).mean()),
            "changed": int(changed[found.exits == number].sum()),
        }
        for number, name in enumerate(distilled.path.names())
    ]


def _summary(
    work: DistillRun,
    distilled: Distilled,
    exits: list[dict[str, Any]],
    table: TradeOffTable | None,
) -> list[str]:
    from precond.report.distill import promised

    lines = [f"network        {work.network.origin}"]
    for exit in exits:
        lines.append(
            f"answered by    {exit['exit']}: {exit['inputs']} inputs "
            f"({100 * exit['share']:.1f} %), {exit['changed']} predictions changed"
        )
    for name, words in promised(distilled.choice, distilled.tuning):
        lines.append(f"{name.lower():<14} {words}")
    if distilled.proved is not None:
        reasons = [f"{count} {why}" for why, count in distilled.proved.left_out.items()]
        lines.append(
            f"proved rules   {len(distilled.proved.entries)} used"
            + (f"; left out: {', '.join(reasons)}" if reasons else "")
        )
    if table is None:
        return lines
    slower = " and ".join(map(str, table.slower()))
    if slower:
        lines.append(f"note           slower than the plain network at batch {slower}")
    return [*lines, "", *table.terminal_lines(), ""]
