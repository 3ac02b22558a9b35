"""``precond cluster``: inputs grouped by the layer preconditions they share."""

from __future__ import annotations

import argparse
from pathlib import Path

from precond.commands.arguments import Commands, count, output_folder, seed, share
from precond.commands.given import add_given, read_given
from precond.commands.outputs import model_name


def add(commands: Commands) -> None:
    cluster = commands.add_parser("cluster", help="group inputs by the layer rules they share")
    add_given(cluster, "labels to measure purity by (default: the data's, else predicted classes)")
    cluster.add_argument("--out", required=True, type=Path, metavar="DIR")
    cluster.add_argument("--layer", metavar="NAME", help="rules of this layer only")
    cluster.add_argument(
        "--precision", type=share, default=1.0, help="least training precision of a rule"
    )
    cluster.add_argument(
        "--support",
        type=count,
        help="least training support of a rule (default: 10, or 1 in 500 training inputs)",
    )
    cluster.add_argument("--seed", type=seed, default=0)
    cluster.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    from precond.apply.clustering.medoids import cluster
    from precond.apply.debugging.findings import DebugSettings, check_classes, mined
    from precond.apply.debugging.rule_book import RuleBook
    from precond.data.datasets import split
    from precond.errors import DataError
    from precond.region.signature import record
    from precond.report.cluster import cluster_files
    from precond.report.evidence import Given
    from precond.report.pages import write_files

    network, dataset = read_given(chosen)
    if chosen.layer is not None:
        network.require_decisions(chosen.layer)
    flat = dataset.inputs.reshape(len(dataset), -1)
    layers = None if chosen.layer is None else [chosen.layer]
    signatures = record(network, flat, layers, device=chosen.device)
    labels = signatures.predicted
    notes: tuple[str, ...] = ()
    if dataset.labels is not None:
        labels = check_classes(dataset.labels, len(flat), network)
    else:
        notes = ("no labels were given: purity is by the predicted class",)
    train, held_out = split(dataset)
    settings = DebugSettings(
        minimum_precision=chosen.precision,
        minimum_support=chosen.support or max(10, len(train) // 500),
        device=chosen.device,
        seed=chosen.seed,
    )
    book, said = mined(RuleBook(network, (), flat, signatures, train), settings)
    if not book.rules:
        raise DataError(
            f"clusters of {dataset.name}",
            expected="a layer rule or more",
            got="none",
            fix="Allow a lower --precision or --support, or give more inputs. " + "; ".join(said),
        )
    found = cluster(book, labels, held_out, seed=chosen.seed)
    out = output_folder(chosen.out)
    given = Given(model_name(network), dataset.name, dataset.image_shape, dataset.natural)
    write_files(out, cluster_files(given, found, (*notes, *said)))
    inside = len(flat) - len(found.rest)
    print(f"rules          {len(book.rules)}")
    print(f"clusters       {len(found.clusters)}, of {inside} of {len(flat)} inputs")
    print(f"purity         {100 * found.purity:.1f} %")
    print(f"report         {out / 'index.html'}")
    return 0
