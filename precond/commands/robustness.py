"""``precond robustness``: for which inputs no small change changes the class; and properties of
real-valued outputs over a box (``--range``, ``--monotone``)."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from precond.apply.certification.settings import RobustnessSettings
from precond.basics.terminal import say
from precond.commands.answers import answered
from precond.commands.arguments import Commands, add_settings, count, output_folder, settings_of
from precond.commands.budget import BUDGET, deadline_of
from precond.commands.given import add_given, domain_of, read_both
from precond.commands.outputs import add_outputs, classifier, model_name, with_outputs
from precond.commands.stopped import stopped
from precond.errors import QueryError

if TYPE_CHECKING:
    from precond.apply.certification.monotone import Monotone
    from precond.data.datasets import Dataset
    from precond.network.graph import Network
    from precond.region.box import Box
    from precond.report.robustness import PropertyAnswer

NAME = 32  # columns for a property's name; a longer one stands on a line of its own


def add(commands: Commands) -> None:
    robust = commands.add_parser(
        "robustness", help="certify that no small change of an input changes its class"
    )
    add_given(robust, "the true classes: inputs predicted otherwise are counted apart")
    add_settings(robust, RobustnessSettings, budget=BUDGET)
    robust.add_argument(
        "--rows", choices=("held-out", "all"), default="held-out", help="which inputs"
    )
    robust.add_argument("--most", type=count, help="only the first so many of these inputs")
    robust.add_argument(
        "--range",
        action="append",
        metavar="K:LO:HI",
        help="instead: prove LO ≤ output K ≤ HI over --domain (may be repeated)",
    )
    robust.add_argument(
        "--monotone",
        action="append",
        metavar="I:up|I:down[:K]",
        help="instead: prove that output K (default 0) never falls (up) or never rises (down) "
        "as input I (a number, or a column's name) is raised, over --domain (may be repeated)",
    )
    robust.add_argument(
        "--domain", default="data", metavar="D", help="data (default), unit, or LO:HI"
    )
    add_outputs(robust)
    robust.add_argument("--out", type=Path, metavar="DIR", help="write a page and a CSV there")
    robust.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    network, dataset = read_both(arguments)
    if arguments.range or arguments.monotone:
        return _properties(arguments, with_outputs(network, arguments.outputs), dataset)
    network = classifier(network, arguments.threshold)
    import numpy as np

    from precond.apply.certification.certify import robustness
    from precond.apply.true_classes import check_classes
    from precond.basics.progress import progress
    from precond.proof.ledger.ledger import Ledger
    from precond.region.value_ranges import ValueRanges
    from precond.report import hints
    from precond.report.evidence import Subject
    from precond.report.pages import write_files
    from precond.report.robustness import counts_text, robustness_files

    left, ranges = deadline_of(arguments).left, ValueRanges.of(dataset)
    settings = settings_of(arguments, RobustnessSettings, natural=ranges, budget=left)
    labels = dataset.labels
    if labels is not None:
        labels = check_classes(labels, len(dataset), network)
    rows = np.arange(len(dataset)) if arguments.rows == "all" else dataset.held_out
    rows = rows[: arguments.most]
    out = None if arguments.out is None else output_folder(arguments.out)
    ledger = None if out is None else Ledger(out / "ledger.sqlite")
    with progress() as bars:
        bars.stage("balls", len(rows) * len(set(settings.radii)))
        found = robustness(
            network,
            dataset.inputs,
            settings,
            labels=labels,
            rows=rows,
            ledger=ledger,
            done=bars.step,
        )
    if ledger is not None:
        ledger.close()
    if len(found.rows) < len(rows):
        say(
            f"note           time ran out after {len(found.rows)} of {len(rows)} inputs were "
            "classified: the others take no part"
        )
    print(f"inputs         {len(found.rows)} of {dataset.name} ({arguments.rows})")
    print("\n".join(counts_text(found)))
    tips = hints.of_robustness(found, dataset.natural, arguments.budget)
    notes = (*dataset.notes, *tips)
    for note in tips:
        say(f"note           {note}")
    print(f"time           {time.monotonic() - arguments.begun:.1f} s of {arguments.budget:g} s")
    if out is not None:
        subject = Subject.of(model_name(network), dataset)
        write_files(out, robustness_files(subject, labels, found, cut=ranges.cut, remarks=notes))
        print(f"report         {out / 'index.html'}")
    answered(
        arguments,
        inputs=len(found.rows),
        counts=counts_text(found),
        report=None if out is None else out / "index.html",
        interrupted=found.interrupted,
    )
    if not found.interrupted:
        return 0
    kept = "" if out is not None else "with --out DIR verdicts are kept, and a second run goes on"
    return stopped(None if out is None else out / "ledger.sqlite", kept)


def _properties(arguments: argparse.Namespace, network: Network, dataset: Dataset) -> int:
    from precond.report import hints
    from precond.report.evidence import Subject
    from precond.report.pages import write_files
    from precond.report.robustness import properties_files
    from precond.study.analysis import DomainKind

    domain = domain_of(arguments.domain, dataset, balls=False, held_out=True)
    answers: list[PropertyAnswer] = []
    interrupted = False
    try:
        for answer in _answers(arguments, network, domain.box, features=dataset.features):
            answers.append(answer)
            _show(answer, hints.of_verdict(answer.verdict, arguments.budget / _asked(arguments)))
    except KeyboardInterrupt:
        interrupted = True
    if arguments.out is not None:
        out = output_folder(arguments.out)
        region = "the box of the data" if domain.kind is DomainKind.DATA else str(domain)
        subject = Subject.of(model_name(network), dataset)
        write_files(out, properties_files(subject, region, answers))
        print(f"report  {out / 'index.html'}")
        answered(arguments, report=out / "index.html")
    answered(
        arguments,
        properties=[
            {"property": one.name, "witness": one.witness, "verdict": one.verdict.to_json()}
            for one in answers
        ],
        interrupted=interrupted,
    )
    return (
        stopped(ledger=None, known=f"{len(answers)} of {_asked(arguments)} answered")
        if interrupted
        else 0
    )


def _asked(arguments: argparse.Namespace) -> int:
    """How many properties."""
    return len(arguments.range or ()) + len(arguments.monotone or ())


def _show(answer: PropertyAnswer, tip: str) -> None:
    """The property, what is known of it, its witness or why there is no answer, what to try."""
    verdict = answer.verdict
    known = f"{verdict.status.value:<9} {verdict.engine:<18} {verdict.seconds:7.2f} s"
    if len(answer.name) > NAME:
        say(f"{answer.name}\n  {known}".rstrip())
    else:
        say(f"{answer.name:<{NAME}} {known}".rstrip())
    if words := answer.witness or verdict.reason:
        say(f"  {words}")
    if tip:
        say(f"  to try: {tip}")


def _answers(
    arguments: argparse.Namespace, network: Network, box: Box, features: tuple[str, ...] | None
) -> Iterator[PropertyAnswer]:
    import numpy as np

    from precond.apply.certification.monotone import monotone_claim, prove_monotone
    from precond.network.evaluate import outputs
    from precond.proof.claim import Claim
    from precond.proof.prover.prove import prove
    from precond.property import Property
    from precond.region.pattern import DecisionPattern
    from precond.report.robustness import PropertyAnswer

    ranges = [_range(text) for text in arguments.range or ()]
    monotone = [_monotone(text, features) for text in arguments.monotone or ()]
    claims = [
        Claim(network, box, pattern=DecisionPattern(), property=Property.between(*limits))
        for limits in ranges
    ]
    for one in monotone:
        monotone_claim(network, one, box)  # an index that does not fit is said before any work
    of = "" if network.whole is network else ", y: logits"
    deadline = deadline_of(arguments)
    ahead = len(claims) + len(monotone)
    for number, claim in enumerate(claims):
        share = deadline.left / (ahead - number)
        verdict = prove(claim, budget=share, device=arguments.device, seed=arguments.seed)
        shown = ""
        if verdict.witness is not None:
            y = network.output_activation.of(outputs(network, verdict.witness[None]))[0]
            shown = f"x = {_values(verdict.witness)} gives y = {_values(y)}"
        yield PropertyAnswer(f"{claim.property}{of}", verdict, shown)
    for number, one in enumerate(monotone, len(claims)):
        share = deadline.left / (ahead - number)
        verdict = prove_monotone(network, one, box, budget=share, device=arguments.device)
        shown = ""
        if verdict.witness is not None:
            first, step = verdict.witness[:-1], verdict.witness[-1]
            second = first.copy()
            second[one.input] += step
            both = network.output_activation.of(outputs(network, np.stack([first, second])))
            y = both[:, one.output]
            shown = (
                f"at x = {_values(first)}, raising {one.input_name} by {step:.4g} takes "
                f"y{one.output} from {y[0]:.6g} to {y[1]:.6g}"
            )
        yield PropertyAnswer(f"{one}{of}", verdict, shown)


def _values(values: object) -> str:
    import numpy as np

    flat = np.asarray(values).reshape(-1)
    words = ", ".join(f"{v:.4g}" for v in flat[:8])
    return f"({words}{', …' if flat.size > 8 else ''})"


def _range(text: str) -> tuple[int, float, float]:
    problem = QueryError("--range", expected="K:LO:HI, as in 0:-1:1.5, with LO ≤ HI", got=text)
    parts = text.split(":")
    try:
        output, low, high = int(parts[0]), float(parts[1]), float(parts[2])
    except (ValueError, IndexError):
        raise problem from None
    if len(parts) != 3 or output < 0 or not low <= high:
        raise problem
    return output, low, high


def _monotone(text: str, features: tuple[str, ...] | None) -> Monotone:
    """``I:up`` or ``I:down:K``; I is a number, or the name of a column (which may hold a colon)."""
    from precond.apply.certification.monotone import Monotone

    problem = QueryError("--monotone", expected="I:up or I:down, or with :K", got=text)
    match = re.fullmatch(r"(.+):(up|down)(?::(\d{1,9}))?", text)
    if match is None:
        raise problem
    name, output = match[1], int(match[3] or 0)
    if features is not None and name in features:
        return Monotone(features.index(name), output=output, rising=match[2] == "up", name=name)
    if not re.fullmatch(r"\d{1,9}", name):
        if features is None:
            raise problem
        raise QueryError(
            "--monotone",
            expected=f"a number, or one of {', '.join(features[:12])}",
            got=name,
        )
    index = int(name)
    known = features[index] if features is not None and index < len(features) else ""
    return Monotone(index, output=output, rising=match[2] == "up", name=known)
