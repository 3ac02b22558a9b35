"""``precond adversarial``: examples from refuted claims, and what retraining on them does."""

from __future__ import annotations

import argparse
from pathlib import Path

from precond.apply.adversarial_examples.settings import AdversarialSettings, Retraining
from precond.basics.terminal import say
from precond.commands.answers import answered
from precond.commands.arguments import Commands, add_settings, output_folder, settings_of
from precond.commands.budget import BUDGET, deadline_of, recorded_rows, recording
from precond.commands.given import add_given, read_given
from precond.commands.outputs import model_name
from precond.commands.stopped import stopped
from precond.mine.layer_rules.settings import RuleSettings

RULES = 0.4  # of the budget, for finding layer rules


def add(commands: Commands) -> None:
    adversarial = commands.add_parser(
        "adversarial", help="adversarial examples from refuted claims, and retraining on them"
    )
    add_given(adversarial, "the true classes: a file with one whole number per input")
    adversarial.add_argument("--out", required=True, type=Path, metavar="DIR")
    add_settings(adversarial, AdversarialSettings, budget=f"{BUDGET}; retraining comes after it")
    adversarial.add_argument(
        "--rules",
        type=int,
        default=4,
        help="layer rules of each class to put to the provers (default: 4)",
    )
    add_settings(adversarial, Retraining)
    adversarial.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from precond.apply.adversarial_examples.retrain import retrain
    from precond.apply.adversarial_examples.search import adversarial
    from precond.apply.debugging.mine_rules import mine_rules
    from precond.apply.debugging.rule_book import RuleBook
    from precond.apply.true_classes import check_classes
    from precond.basics.progress import progress
    from precond.errors import QueryError
    from precond.formats.onnx.writer import write_onnx
    from precond.proof.ledger.ledger import Ledger
    from precond.region.radius import Radius
    from precond.region.recording import record_in_time
    from precond.region.value_ranges import ValueRanges
    from precond.report.adversarial import accuracies, adversarial_files
    from precond.report.evidence import Subject
    from precond.report.pages import write_files

    network, data = read_given(arguments)
    check_classes(data.labels, len(data), network)
    if arguments.rules < 0 or arguments.retrain < 0:
        raise QueryError("--rules and --retrain", expected="0 or more", got="a negative number")
    deadline = deadline_of(arguments)
    retraining = settings_of(arguments, Retraining, device=arguments.device, seed=arguments.seed)
    rules = []
    notes: list[str] = []
    if arguments.rules:
        limit = deadline.earlier(RULES * deadline.left)
        signatures, rows = record_in_time(
            network, data.inputs, until=recording(limit), device=arguments.device
        )
        data, left_out = recorded_rows(rows, data)
        book = RuleBook(
            network=network, rules=(), inputs=data.flat, signatures=signatures, train=data.train
        )
        mining = RuleSettings(seed=arguments.seed, device=arguments.device)
        book, said = mine_rules(book, mining, limit)
        notes += [*left_out, *said]
        for label in range(network.classes.count):
            rules += [rule for rule in book.rules if rule.label == label][: arguments.rules]
    settings = settings_of(arguments, AdversarialSettings, budget=deadline.left)
    radius = ValueRanges.of(data).plain(Radius.of(settings.radius))
    out = output_folder(arguments.out)
    with Ledger(out / "ledger.sqlite") as ledger, progress() as bars:
        bars.stage("claims", len(rules) + min(settings.most, len(data.train)))
        found = adversarial(network, data, settings, rules=rules, ledger=ledger, done=bars.step)
    for note in notes:
        say(f"note           {note}")
    print(f"claims         {found.claims}, {found.refuted} refuted by a witness")
    answered(
        arguments,
        claims=found.claims,
        refuted=found.refuted,
        examples=len(found.examples),
        interrupted=found.interrupted,
    )
    if not found.examples:
        say("examples       none: nothing was written beside the ledger. A larger --radius may do")
        return stopped(out / "ledger.sqlite") if found.interrupted else 0
    print(f"examples       {len(found.examples)} distinct, replayed in float32 and real arithmetic")
    retrained, interrupted = None, found.interrupted
    if retraining.epochs and not interrupted:
        try:
            with progress() as bars:
                bars.stage("retraining", 2 * retraining.epochs)
                retrained = retrain(
                    network,
                    data,
                    examples=found,
                    settings=retraining,
                    radius=radius,
                    done=bars.step,
                )
        except KeyboardInterrupt:  # half a training is of no use; the examples are
            interrupted = True
    if retrained is not None:
        for name, one in (
            ("before", retrained.before),
            ("control", retrained.control),
            ("after", retrained.after),
        ):
            print(f"{name:<14} {accuracies(one)}")
        write_onnx(retrained.network.whole, out / "retrained.onnx")
        print(f"network        {out / 'retrained.onnx'}")
    subject = Subject.of(model_name(network), data)
    write_files(
        out,
        adversarial_files(
            subject,
            inputs=data.flat,
            radius=radius,
            adversarial=found,
            retrained=retrained,
        ),
    )
    print(f"report         {out / 'index.html'}")
    print(f"examples       {out / 'adversarial.npz'}")
    answered(arguments, report=out / "index.html", file=out / "adversarial.npz")
    return stopped(out / "ledger.sqlite") if interrupted else 0
