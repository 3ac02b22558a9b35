"""``precond adversarial``: examples from refuted claims, and what retraining on them does."""

from __future__ import annotations

import argparse
from pathlib import Path

from precond.commands.arguments import Commands, count, output_folder, seconds, seed
from precond.commands.given import add_given, read_given
from precond.commands.outputs import model_name


def add(commands: Commands) -> None:
    adversarial = commands.add_parser(
        "adversarial", help="adversarial examples from refuted claims, and retraining on them"
    )
    add_given(adversarial, "the true classes: a file with one whole number per input")
    adversarial.add_argument("--out", required=True, type=Path, metavar="DIR")
    adversarial.add_argument(
        "--radius", type=seconds, default=0.05, help="of the L∞ balls that claims are about"
    )
    adversarial.add_argument(
        "--most", type=count, default=1000, help="at most so many training inputs"
    )
    adversarial.add_argument(
        "--rules", type=int, default=4, help="layer rules of each class to put to the provers"
    )
    adversarial.add_argument(
        "--budget", type=seconds, default=60.0, metavar="SECONDS", help="for the claims"
    )
    adversarial.add_argument("--each", type=seconds, default=2.0, help="seconds for one claim")
    adversarial.add_argument(
        "--retrain", type=int, default=5, metavar="EPOCHS", help="0 for no retraining"
    )
    adversarial.add_argument("--rate", type=seconds, default=5e-4, help="learning rate")
    adversarial.add_argument("--seed", type=seed, default=0)
    adversarial.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    import numpy as np

    from precond.apply.adversarial_examples.retrain import Retraining, retrain
    from precond.apply.adversarial_examples.search import adversarial
    from precond.apply.debugging.findings import DebugSettings, check_classes, mined
    from precond.apply.debugging.rule_book import RuleBook
    from precond.basics.progress import progress
    from precond.data.datasets import split
    from precond.errors import QueryError
    from precond.formats.onnx.writer import write_onnx
    from precond.proof.ledger.ledger import Ledger
    from precond.region.signature import record
    from precond.report.adversarial import accuracies, adversarial_files
    from precond.report.evidence import Given
    from precond.report.pages import write_files

    network, dataset = read_given(chosen)
    labels = check_classes(dataset.labels, len(dataset), network)
    if chosen.rules < 0 or chosen.retrain < 0:
        raise QueryError("--rules and --retrain", expected="0 or more", got="a negative number")
    train, held_out = split(dataset)
    flat = dataset.inputs.reshape(len(dataset), -1)
    rules = []
    if chosen.rules:
        signatures = record(network, flat, device=chosen.device)
        book = RuleBook(network, (), flat, signatures, train)
        settings = DebugSettings(seed=chosen.seed, device=chosen.device)
        book, _ = mined(book, settings)
        for label in range(network.classes.count):
            rules += [rule for rule in book.rules if rule.label == label][: chosen.rules]
    out = output_folder(chosen.out)
    with Ledger(out / "ledger.sqlite") as ledger, progress() as bars:
        bars.stage("claims", len(rules) + min(chosen.most, len(train)))
        found = adversarial(
            network,
            flat,
            labels,
            train,
            radius=chosen.radius,
            natural=dataset.natural,
            rules=rules,
            most=chosen.most,
            budget=chosen.budget,
            each=chosen.each,
            ledger=ledger,
            device=chosen.device,
            seed=chosen.seed,
            done=bars.step,
        )
    print(f"claims         {found.asked}, {found.refuted} refuted by a witness")
    if not found.examples:
        print(
            "examples       none: nothing was written beside the ledger. A larger --radius may do"
        )
        return 0
    print(f"examples       {len(found.examples)} distinct, replayed in float32 and real arithmetic")
    retrained = None
    if chosen.retrain:
        with progress() as bars:
            bars.stage("retraining", 2 * chosen.retrain)
            retrained = retrain(
                network,
                flat,
                labels,
                train,
                held_out,
                found.inputs(),
                found.labels(),
                np.array([e.anchor for e in found.examples], dtype=np.int64),
                radius=chosen.radius,
                natural=dataset.natural,
                settings=Retraining(chosen.retrain, chosen.rate, chosen.seed),
                device=chosen.device,
                done=bars.step,
            )
        for name, one in (
            ("before", retrained.before),
            ("control", retrained.control),
            ("after", retrained.after),
        ):
            print(f"{name:<14} {accuracies(one)}")
        write_onnx(retrained.network.whole, out / "retrained.onnx")
        print(f"network        {out / 'retrained.onnx'}")
    given = Given(model_name(network), dataset.name, dataset.image_shape, dataset.natural)
    write_files(out, adversarial_files(given, flat, chosen.radius, found, retrained))
    print(f"report         {out / 'index.html'}")
    print(f"examples       {out / 'adversarial.npz'}")
    return 0
