"""``precond cluster``: inputs grouped by the layer preconditions they share."""

from __future__ import annotations

import argparse
from pathlib import Path

from precond.basics.terminal import say
from precond.commands.answers import answered
from precond.commands.arguments import Commands, add_settings, output_folder, settings_of
from precond.commands.given import add_given, read_given
from precond.commands.outputs import model_name
from precond.mine.layer_rules.settings import RuleSettings


def add(commands: Commands) -> None:
    cluster = commands.add_parser("cluster", help="group inputs by the layer rules they share")
    add_given(cluster, "labels to measure purity by (default: the data's, else predicted classes)")
    cluster.add_argument("--out", required=True, type=Path, metavar="DIR")
    cluster.add_argument("--layer", metavar="NAME", help="rules of this layer only")
    add_settings(cluster, RuleSettings, "minimum_precision", "minimum_support", "device", "seed")
    cluster.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from precond.apply.clustering.medoids import cluster
    from precond.apply.debugging.mine_rules import mine_rules
    from precond.apply.debugging.rule_book import RuleBook
    from precond.apply.true_classes import check_classes
    from precond.errors import DataError
    from precond.region.recording import record
    from precond.report.cluster import cluster_files
    from precond.report.evidence import Subject
    from precond.report.pages import write_files

    network, data = read_given(arguments)
    if arguments.layer is not None:
        network.require_decisions(arguments.layer)
    flat = data.flat
    layers = None if arguments.layer is None else [arguments.layer]
    signatures = record(network, flat, layers, device=arguments.device)
    labels = signatures.predicted
    notes: tuple[str, ...] = ()
    if data.labels is not None:
        labels = check_classes(data.labels, len(flat), network)
    else:
        notes = ("no labels were given: purity is by the predicted class",)
    settings = settings_of(arguments, RuleSettings)
    book, said = mine_rules(
        RuleBook(network=network, rules=(), inputs=flat, signatures=signatures, train=data.train),
        settings,
    )
    if not book.rules:
        raise DataError(
            f"clusters of {data.name}",
            expected="a layer rule or more",
            got="none",
            fix="Allow a lower --precision or --support, or give more inputs. " + "; ".join(said),
        )
    found = cluster(book, labels, data.held_out, seed=arguments.seed)
    out = output_folder(arguments.out)
    subject = Subject.of(model_name(network), data)
    write_files(out, cluster_files(subject, found, (*notes, *said)))
    inside = len(flat) - len(found.rest)
    print(f"rules          {len(book.rules)}")
    print(f"clusters       {len(found.clusters)}, of {inside} of {len(flat)} inputs")
    print(f"purity         {100 * found.purity:.1f} %")
    for note in (*notes, *said):
        say(f"note           {note}")
    print(f"report         {out / 'index.html'}")
    answered(
        arguments,
        rules=len(book.rules),
        clusters=len(found.clusters),
        inputs=inside,
        purity=found.purity,
        report=out / "index.html",
    )
    return 0
