"""``precond diagnose``: where the boundary is, which frequencies count, and which parts decide."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from precond.basics.terminal import say
from precond.commands.against import add_against, compare, read_other
from precond.commands.answers import answered
from precond.commands.arguments import Commands, count, output_folder, seconds, seed
from precond.commands.boundary import found_margins, surely_kept
from precond.commands.budget import BUDGET, deadline_of
from precond.commands.given import add_given, read_data, read_model
from precond.commands.outputs import classifier, model_name
from precond.commands.timed import TimedParts
from precond.proof.deadline import FOREVER, OutOfTime

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from attribution.diagnosis.frequency import Frequencies
    from attribution.diagnosis.subspaces import Subspace
    from precond.data.dataset import Dataset
    from precond.network.graph import Network
    from precond.report.consistency import TwoNetworks
    from precond.report.diagnose import HiddenParts

BANDS = 5
MOST = 2000  # inputs of the accuracy by frequency
DRAWN = 1000  # inputs that hidden parts are drawn from
SMALLEST = 4  # pixels a side, for bands and windows to mean anything


def add(commands: Commands) -> None:
    diagnose = commands.add_parser(
        "diagnose", help="where the boundary is, which frequencies count, which parts decide"
    )
    add_given(diagnose)
    diagnose.add_argument(
        "--most", type=count, default=40, metavar="N", help="inputs of the margins (default: 40)"
    )
    diagnose.add_argument(
        "--shown",
        type=count,
        default=3,
        metavar="N",
        help="of these, inputs whose parts are hidden (default: 3)",
    )
    diagnose.add_argument(
        "--window", type=count, default=3, metavar="K", help="K × K pixels hidden (default: 3)"
    )
    diagnose.add_argument(
        "--samples", type=count, default=10, metavar="N", help="draws per window (default: 10)"
    )
    diagnose.add_argument(
        "--certify",
        type=seconds,
        default=30.0,
        metavar="SECONDS",
        help="for certified margins (default: 30)",
    )
    diagnose.add_argument(
        "--budget", type=seconds, metavar="SECONDS", help=f"{BUDGET} (default: no limit)"
    )
    add_against(diagnose)
    diagnose.add_argument("--seed", type=seed, default=0, metavar="N", help="(default: 0)")
    diagnose.add_argument("--out", type=Path, metavar="DIR", help="write a page and tables there")
    diagnose.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    import numpy as np

    from precond.basics.evenly import evenly
    from precond.basics.progress import progress
    from precond.report.diagnose import Diagnosis, diagnose_files, lead_of, size_words
    from precond.report.evidence import Subject
    from precond.report.pages import write_files

    network = classifier(read_model(arguments), arguments.threshold)
    other = read_other(arguments, network)
    data = read_data(arguments, network, arguments.labels)
    out = None if arguments.out is None else output_folder(arguments.out)
    held_out = data.held_out if len(data) > 1 else np.arange(len(data))
    rows = held_out[evenly(len(held_out), arguments.most)]
    inputs = data.flat[rows].reshape(-1, *network.input_shape)
    spaces = _subspaces(network, data)
    deadline = FOREVER if arguments.budget is None else deadline_of(arguments)
    with progress() as bars:
        parts = TimedParts(deadline, bars)
        margins = found_margins(arguments, network, inputs, spaces=spaces, parts=parts)
        rows = rows[: len(margins.predicted)]
        certified = surely_kept(
            arguments, network, inputs[: len(rows)], margins=margins, spaces=spaces, parts=parts
        )
        frequencies = parts.whole(
            "accuracy by frequency",
            lambda: _frequencies(network, data, held_out, parts=parts),
            nothing=None,
        )
        hidden = _hidden(arguments, network, data, rows=rows, parts=parts)
        against: TwoNetworks | None = None
        if other is not None:
            against = parts.whole(
                "what both networks know",
                lambda: compare(arguments, network, other, data=data, parts=parts),
                nothing=None,
            )
    found = Diagnosis(
        margins=margins,
        certified=certified,
        rows=rows,
        frequencies=frequencies,
        hidden=hidden,
        against=against,
        notes=(*data.notes, *parts.left_out),
    )
    say(lead_of(found))
    for k, name in enumerate(margins.subspaces):
        say(
            f"{name:<18} certified {np.median(certified[k]):.2g}, "
            f"found {size_words(margins.medians[k])} (medians)"
        )
    if not _pictures(data):
        print("not looked at  frequencies and windows: the data are no pictures")
    for note in parts.left_out:
        print(f"note           {note}")
    if out is not None:
        write_files(out, diagnose_files(Subject.of(model_name(network), data), found, data.flat))
        print(f"report         {out / 'index.html'}")
    answered(
        arguments,
        lead=lead_of(found),
        margins={
            name: {"certified": np.median(certified[k]), "found": margins.medians[k]}
            for k, name in enumerate(margins.subspaces)
        },
        left_out=parts.left_out,
        report=None if out is None else out / "index.html",
    )
    return 0


def _pictures(data: Dataset) -> bool:
    shape = data.image_shape
    return shape is not None and min(shape[-2:]) >= SMALLEST


def _subspaces(network: Network, data: Dataset) -> tuple[Subspace, ...]:
    from attribution.diagnosis.subspaces import cosine_bands, whole_space

    whole = whole_space(network.input_size)
    if not _pictures(data) or data.image_shape is None:
        return (whole,)
    width = max(2, min(data.image_shape[-2:]) // 4)
    return (whole, *cosine_bands(data.image_shape, width=width, count=BANDS))


def _frequencies(
    network: Network, data: Dataset, held_out: NDArray[np.int64], parts: TimedParts
) -> Frequencies | None:
    """Accuracy by frequency on held-out inputs, where the data are pictures with labels."""
    from attribution.diagnosis.frequency import frequency_accuracy
    from precond.apply.true_classes import check_classes
    from precond.basics.evenly import evenly

    if not _pictures(data) or data.labels is None or data.image_shape is None:
        return None
    labels = check_classes(data.labels, len(data), network)
    rows = held_out[evenly(len(held_out), MOST)]
    side = min(data.image_shape[-2:])
    radii = sorted({max(1, round(side * k / 7)) for k in (1, 2, 3, 4)})
    parts.bars.stage("frequencies", 1 + 2 * len(radii))
    return frequency_accuracy(
        network,
        data.flat[rows].reshape(-1, *network.input_shape),
        labels[rows],
        radii=radii,
        shape=data.image_shape,
        done=parts.step,
    )


def _hidden(
    arguments: argparse.Namespace,
    network: Network,
    data: Dataset,
    rows: NDArray[np.int64],
    parts: TimedParts,
) -> tuple[HiddenParts, ...]:
    """What hiding each window does to the predicted class, for those of some ``rows`` that there
    is time for."""
    from attribution.diagnosis.patches import Marginal, PatchGaussian, windows_of
    from attribution.diagnosis.prediction_difference import Draws, hidden_parts
    from attribution.slices import Slice
    from precond.basics.evenly import evenly
    from precond.network.evaluate import outputs
    from precond.report.diagnose import HiddenParts

    if not _pictures(data) or data.image_shape is None:
        return ()
    if parts.deadline.passed:
        parts.left_out.append("time ran out: hidden parts left out")
        return ()
    train = data.train[evenly(len(data.train), DRAWN)]
    pictures = data.flat[train].reshape(len(train), -1, *data.image_shape[-2:])
    windows = windows_of(data.image_shape, arguments.window)
    side = min(arguments.window + 4, *data.image_shape[-2:])
    gaussian = PatchGaussian.fit(pictures, side, natural=data.natural, seed=arguments.seed)
    shown = rows[evenly(len(rows), arguments.shown)]
    classes = network.classes.predicted(outputs(network, data.flat[shown]))
    draws = Draws(len(train), samples=arguments.samples, seed=arguments.seed)
    cut = Slice(network)
    samplers = (Marginal(data.flat[train]), gaussian)

    def hide(row: int, label: int) -> HiddenParts:
        values = data.flat[row].reshape(1, *network.input_shape)
        found = []
        for sampler in samplers:
            found.append(
                hidden_parts(
                    cut,
                    values,
                    label,
                    parts=windows,
                    sampler=sampler,
                    draws=draws,
                    done=parts.deadline.check,
                )
            )
            parts.bars.step()
        return HiddenParts(row, data.flat[row], *found)

    parts.bars.stage("hidden parts", 2 * len(shown))
    result: list[HiddenParts] = []
    try:
        for row, label in zip(shown.tolist(), classes.tolist(), strict=True):
            parts.deadline.check()
            result.append(hide(row, label))
    except OutOfTime:
        parts.left_out.append(
            f"time ran out: hidden parts of {len(result)} of {len(shown)} inputs only"
        )
    return tuple(result)
