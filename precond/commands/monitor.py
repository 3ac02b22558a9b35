"""``precond monitor``: what the rules say of every prediction."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from precond.basics.counting import percent
from precond.basics.terminal import say
from precond.commands.answers import answered
from precond.commands.arguments import Commands, add_settings, output_folder
from precond.commands.given import add_data, add_model, read_data, read_model, read_more
from precond.commands.outputs import add_threshold, classifier
from precond.proof.effort import Effort

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from precond.apply.monitoring.summary import Separation, Summary
    from precond.apply.monitoring.watch import Monitor, Watched


def add(commands: Commands) -> None:
    monitor = commands.add_parser(
        "monitor", help="check every prediction against the rules: in pattern, correct or wrong"
    )
    monitor.add_argument("file", type=Path, metavar="PRECONDITIONS.json")
    add_model(monitor)
    add_data(monitor)
    monitor.add_argument(
        "--rows",
        choices=("all", "held-out"),
        default="all",
        help="held-out: only the rows that 'precond analyze' learns nothing from",
    )
    monitor.add_argument(
        "--outside", metavar="DATA", help="inputs from elsewhere, which should be out of pattern"
    )
    add_threshold(monitor)
    add_settings(monitor, Effort, "device")
    monitor.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write monitor.csv (a row an input) and monitor.json",
    )
    monitor.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    import numpy as np

    from precond.apply.monitoring.summary import separate, summarise
    from precond.apply.monitoring.watch import Monitor
    from precond.apply.true_classes import check_classes
    from precond.errors import QueryError
    from precond.network.device import require_device
    from precond.network.evaluate import check_inputs
    from precond.study.store import read_preconditions

    require_device(arguments.device)
    stored = read_preconditions(arguments.file)
    network = classifier(read_model(arguments), arguments.threshold)
    if not stored.preconditions:
        raise QueryError(f"rules {arguments.file}", expected="one or more", got="an empty rule set")
    stored.claim(stored.preconditions[0], network)  # the hash is this network's
    monitor = Monitor(network, stored.preconditions, stored.domain).to(arguments.device)
    dataset = read_data(arguments, network, arguments.labels)
    rows = np.arange(len(dataset))
    if arguments.rows == "held-out":
        rows = dataset.held_out
    inputs = check_inputs(network, dataset.inputs)[rows]
    labels = None
    if dataset.labels is not None:
        labels = check_classes(dataset.labels, len(dataset), network)[rows]
    other = None
    if arguments.outside is not None:
        other = check_inputs(network, read_more(arguments, network, arguments.outside).inputs)
    out = None if arguments.out is None else output_folder(arguments.out)
    watched = monitor.watch(inputs)
    summary = summarise(monitor, watched, labels)
    apart = None
    if other is not None:
        apart = separate(watched, monitor.watch(other), arguments.outside)
    say("\n".join(lines(arguments, monitor, summary, apart=apart)))
    for what, names in dataset.legend():
        say(f"{what:<14} {names}")
    answered(
        arguments,
        summary=summary.to_json(),
        outside=None if apart is None else apart.to_json(),
        folder=out,
    )
    if out is not None:
        write_rows(
            out / "monitor.csv", monitor=monitor, watched=watched, rows=rows.tolist(), labels=labels
        )
        content = {
            "preconditions": str(arguments.file),
            "model": network.origin,
            "summary": summary.to_json(),
            "outside": None if apart is None else apart.to_json(),
        }
        (out / "monitor.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
        print(f"inputs         {out / 'monitor.csv'}")
        print(f"summary        {out / 'monitor.json'}")
    return 0


def lines(
    arguments: argparse.Namespace, monitor: Monitor, summary: Summary, apart: Separation | None
) -> list[str]:
    """The summary in words."""
    proved = int(monitor.proved.sum())
    count = summary.inputs
    found = [
        f"rules          {len(monitor.entries)}, {proved} proved"
        + (f"; {monitor.left_out} of no use" if monitor.left_out else ""),
        f"inputs         {count} of {arguments.inputs}"
        + (f", accuracy {percent(summary.accuracy)}" if summary.accuracy is not None else ""),
        f"in pattern     {summary.in_pattern} ({percent(summary.in_pattern / count)}), "
        f"{summary.proved} in a proved one, {summary.contradicted} against it; "
        f"{summary.outside} outside a rule's box",
        "verdicts       "
        + ", ".join(f"{number} {name}" for name, number in summary.verdicts.items()),
    ]
    for group in summary.groups:
        found.append(
            f"layers         {group.layers}: {group.rules} rules, vote on {percent(group.votes)}, "
            f"for the prediction on {percent(group.agrees)}"
        )
    for one in summary.detections:
        found.append(
            f"as {one.verdict:<18} {one.predictions} predictions, "
            f"precision {percent(one.precision)}, recall {percent(one.recall)} of {one.present}"
        )
    if apart is not None:
        found.append(
            f"outside        {apart.inputs} inputs of {apart.name}: in pattern "
            f"{percent(apart.in_pattern)} (here {percent(apart.in_pattern_home)}), "
            f"judged correct {percent(apart.correct)} (here {percent(apart.correct_home)})"
        )
        found.append(
            f"told apart     area under ROC: by strength {apart.by_strength:.3f}, "
            f"by pattern or not {apart.by_pattern:.3f}, by softmax alone {apart.by_softmax:.3f}"
        )
    return found


def write_rows(
    path: Path,
    monitor: Monitor,
    watched: Watched,
    rows: list[int],
    labels: NDArray[np.integer] | None,
) -> None:
    """One line an input: what was predicted, what the rules say, which rules hold."""
    import csv

    from precond.apply.monitoring.watch import NO_VOTE, Opinion
    from precond.errors import OutputError

    names = [entry.id for entry in monitor.entries]
    classes = watched.outputs.shape[1]
    words = {NO_VOTE: "", classes: "correct", classes + 1: "misclassified"}
    truth = None if labels is None else list(labels)
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            groups = ["vote " + "+".join(layers) for layers in monitor.groups]
            out.writerow(
                ["row", "label", "predicted", "verdict", "in pattern", "strength", *groups, "rules"]
            )
            for k, row in enumerate(rows):
                out.writerow(
                    [
                        row,
                        "" if truth is None else int(truth[k]),
                        int(watched.predicted[k]),
                        Opinion(int(watched.opinion[k])).name.lower(),
                        "yes" if bool(watched.holds[k].any()) else "no",
                        f"{float(watched.strength[k]):.4f}",
                        *(words.get(int(v), int(v)) for v in watched.votes[k]),
                        " ".join(names[r] for r in watched.holds[k].nonzero().flatten().tolist()),
                    ]
                )
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
