"""``precond concepts``: what units mean to people, and which concepts move a class."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from precond.basics.options import positive
from precond.basics.terminal import say
from precond.commands.answers import answered
from precond.commands.arguments import Commands, count, output_folder, seed, share
from precond.commands.given import add_given, read_data, read_model
from precond.commands.outputs import classifier, model_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from attribution.concepts.dissection import Dissection
    from attribution.concepts.tcav import ConceptScore, Tcav
    from attribution.slices import Slice
    from precond.data.concepts import ConceptData
    from precond.data.dataset import Dataset
    from precond.network.graph import Network
    from precond.report.concepts import Extremes

Done = Callable[[], None]
SHOWN = 6


def add(commands: Commands) -> None:
    concepts = commands.add_parser(
        "concepts",
        help="concepts that people name, in a layer: which move a class, and which units",
    )
    add_given(concepts)
    concepts.add_argument(
        "--concepts",
        required=True,
        type=Path,
        metavar="PATH",
        help="a folder with a folder of pictures for each concept, or an .npz file with an array "
        "for each: numbers are examples, truth values (N, H, W) masks over DATA",
    )
    concepts.add_argument(
        "--divide-concepts",
        type=positive,
        metavar="D",
        help="divide the examples' values by this (default: what --divide says)",
    )
    concepts.add_argument("--layer", required=True, metavar="L", help="as 'precond info' lists it")
    concepts.add_argument(
        "--most", type=count, default=2000, metavar="N", help="inputs used (default: 2000)"
    )
    concepts.add_argument(
        "--random-sets", type=count, default=20, metavar="N", help="of TCAV (default: 20)"
    )
    concepts.add_argument(
        "--top",
        type=share,
        default=0.005,
        metavar="SHARE",
        help="of a unit's values, those that count as active (default: 0.005)",
    )
    concepts.add_argument("--seed", type=seed, default=0, metavar="N", help="(default: 0)")
    concepts.add_argument("--out", type=Path, metavar="DIR", help="write a page and tables there")
    concepts.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from attribution.slices import Slice
    from precond.basics.progress import progress
    from precond.data.concepts import read_concepts
    from precond.report.concepts import concepts_files, lead_of
    from precond.report.evidence import Subject
    from precond.report.pages import write_files

    network = classifier(read_model(arguments), arguments.threshold)
    data = read_data(arguments, network, arguments.labels)
    cut = Slice(network, arguments.layer)
    given = read_concepts(
        arguments.concepts,
        shape=network.input_shape,
        divide=arguments.divide_concepts or arguments.divide,
    )
    _require_range(given, data)
    out = None if arguments.out is None else output_folder(arguments.out)
    subject = Subject.of(model_name(network), data)
    galleries: tuple[Extremes, ...] = ()
    scores: Tcav | None = None
    dissection: Dissection | None = None
    with progress() as bars:
        if given.examples:
            bars.stage("concepts", len(given.examples))
            scores, galleries = _tcav(arguments, cut, data, given=given, done=bars.step)
        if given.masks:
            bars.stage("units", 4)
            dissection = _dissection(arguments, cut, data, given=given, done=bars.step)
    say(lead_of(scores, dissection))
    if scores is not None:
        for one in scores.table:
            say(_words(one))
    if dissection is not None:
        for unit, name in dissection.names.items():
            say(_unit_words(dissection, unit, name))
    if out is not None:
        write_files(
            out,
            concepts_files(
                subject,
                layer=arguments.layer,
                scores=scores,
                dissection=dissection,
                galleries=galleries,
                notes=data.notes,
            ),
        )
        print(f"report         {out / 'index.html'}")
        if dissection is not None:
            _save_names(out / "units.json", network, arguments.layer, dissection=dissection)
            print(f"unit names     {out / 'units.json'}, for --concepts of analyze and debug")
    answered(
        arguments,
        lead=lead_of(scores, dissection),
        concepts=[] if scores is None else [asdict(one) for one in scores.table],
        units={} if dissection is None else dissection.names,
        report=None if out is None else out / "index.html",
    )
    return 0


def _require_range(given: ConceptData, data: Dataset) -> None:
    """DataError for examples on another scale than the data, such as bytes beside [0, 1]."""
    from precond.errors import DataError

    low, high = data.natural
    slack = high - low
    for name, rows in given.examples.items():
        ends = float(rows.min()), float(rows.max())
        if ends[0] < low - slack or ends[1] > high + slack:
            raise DataError(
                f"examples of {name}",
                expected=f"values like the data's, {low:g} to {high:g}",
                got=f"{ends[0]:g} to {ends[1]:g}",
                fix="Scale them as the data: --divide-concepts 255 for bytes",
            )


def _save_names(path: Path, network: Network, layer: str, dissection: Dissection) -> None:
    """The significant names, for the pages of other commands."""
    from precond.basics.whole_files import write_whole
    from precond.region.unit_names import LayerNames, UnitNames

    names = UnitNames(
        {layer: LayerNames(dissection.significant, dissection.places)}, hash=network.hash
    )
    write_whole(path, json.dumps(names.to_json(), indent=1), name=f"unit names {path}")


def _unit_words(dissection: Dissection, unit: int, name: str) -> str:
    overlap, p = dissection.best(unit)
    words = "significant" if unit in dissection.significant else "not significant"
    return f"unit {unit:<9} {name}, IoU {overlap:.3f}, p {p:.2g}: {words}"


def _words(one: ConceptScore) -> str:
    words = "significant" if one.significant else "not significant"
    return (
        f"{one.concept:<14} class {one.label}: TCAV {one.score:.2f} (random sets "
        f"{one.usual:.2f} ± {one.spread:.2f}), p {one.corrected:.2g}: {words}"
    )


def _tcav(
    arguments: argparse.Namespace, cut: Slice, data: Dataset, given: ConceptData, done: Done
) -> tuple[Tcav, tuple[Extremes, ...]]:
    """The scores, and for pictures the inputs that are most and least like each concept."""
    from attribution.concepts.cav import flat_values, most_like
    from attribution.concepts.tcav import TcavSettings, concept_scores
    from precond.basics.evenly import evenly

    rows = evenly(len(data), arguments.most)
    inputs, labels = data.flat[rows].reshape(-1, *_shape(cut)), _labels(cut, data)[rows]
    found = concept_scores(
        cut,
        inputs,
        labels,
        concepts=given.examples,
        settings=TcavSettings(random_sets=arguments.random_sets, seed=arguments.seed),
        done=done,
    )
    activations = flat_values(cut, inputs)
    galleries = []
    for name, cav in found.vectors.items() if data.image_shape is not None else ():
        order = rows[most_like(cav, activations)]
        galleries.append(_extremes(name, order, data, accuracy=cav.accuracy))
    return found, tuple(galleries)


def _extremes(name: str, order: NDArray[np.int64], data: Dataset, accuracy: float) -> Extremes:
    """The inputs that are most and least like a concept, from the furthest on."""
    from precond.report.concepts import Extremes
    from precond.report.evidence import Gallery, Thumb
    from precond.report.plot.pictures import row_picture

    def gallery(rows: NDArray[np.int64], title: str, remark: str) -> Gallery:
        assert data.image_shape is not None
        thumbs = tuple(
            Thumb(
                row_picture(data.flat[row], data.image_shape, data.natural),
                caption=f"input {row}",
                title=f"input {row}, {title}",
            )
            for row in rows[:SHOWN]
        )
        return Gallery(title, remark, thumbs)

    remark = f"its examples are told from random inputs with {100 * accuracy:.0f} % accuracy"
    return Extremes(
        most=gallery(order, f"most like {name}", remark),
        least=gallery(order[::-1], f"least like {name}", ""),
    )


def _dissection(
    arguments: argparse.Namespace, cut: Slice, data: Dataset, given: ConceptData, done: Done
) -> Dissection:
    from attribution.concepts.dissection import dissect
    from precond.basics.evenly import evenly
    from precond.data.concepts import require_masks

    rows = evenly(len(data), arguments.most)
    require_masks(given.masks, data)
    return dissect(
        cut,
        data.flat[rows].reshape(-1, *_shape(cut)),
        {name: mask[rows] for name, mask in given.masks.items()},
        top=arguments.top,
        seed=arguments.seed,
        done=done,
    )


def _shape(cut: Slice) -> tuple[int, ...]:
    from precond.network.graph import Network

    assert isinstance(cut.model, Network)
    return cut.model.input_shape


def _labels(cut: Slice, data: Dataset) -> NDArray[np.int64]:
    """The class of every input: its label, else what the network says."""
    from precond.apply.true_classes import check_classes
    from precond.network.evaluate import outputs
    from precond.network.graph import Network

    assert isinstance(cut.model, Network)
    if data.labels is not None:
        return check_classes(data.labels, len(data), cut.model)
    return cut.model.classes.predicted(outputs(cut.model, data.flat))
