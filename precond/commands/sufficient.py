"""``precond explain … --sufficient``: which features of one input suffice for its prediction."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from precond.basics.counting import how_many
from precond.basics.options import positive
from precond.basics.terminal import say
from precond.commands.answers import answered
from precond.commands.arguments import count
from precond.commands.given import domain_of
from precond.errors import OutputError, QueryError
from precond.region.radius import FORMS, radius_option

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from precond.data.datasets import Dataset
    from precond.mine.sufficient_features.sufficient import SufficientFeatures
    from precond.mine.sufficient_features.units import Units
    from precond.network.graph import Network
    from precond.region.box import Box
    from precond.report.sufficient.words import InputAnswer

    Array = NDArray[np.float64]

SUFFIXES = (".html", ".json")
SHOWN = 10
BUDGET, EACH = 30.0, 3.0


def add_sufficient(explain: argparse.ArgumentParser) -> None:
    """The options of the question."""
    group = explain.add_argument_group("which features suffice (--sufficient)")
    group.add_argument(
        "--sufficient",
        action="store_true",
        help="a small set of features that keeps the prediction whatever the others are, proved",
    )
    group.add_argument(
        "--radius",
        type=radius_option,
        metavar="R",
        help=f"free features move by up to R: {FORMS}",
    )
    group.add_argument(
        "--free", choices=("full",), help="free features move over the whole --domain"
    )
    group.add_argument(
        "--domain",
        metavar="D",
        help="data, unit, or LO:HI (default: the range of pixels, or of each column of the data)",
    )
    group.add_argument(
        "--within", type=positive, metavar="T", help="regression: outputs stay within ± T"
    )
    group.add_argument(
        "--contrast", metavar="CLASS", help="also: few features whose change gives this class"
    )
    units = group.add_mutually_exclusive_group()
    units.add_argument("--patch", type=count, metavar="N", help="keep or free N×N pixels as one")
    units.add_argument(
        "--superpixels", type=count, metavar="N", help="about N areas of like pixels as one each"
    )
    units.add_argument(
        "--group",
        action="append",
        default=[],
        metavar="NAME=COLUMN,COLUMN,…",
        help="columns as one (may be repeated)",
    )
    group.add_argument(
        "--budget",
        type=positive,
        default=BUDGET,
        metavar="SECONDS",
        help=f"for the search and its lower bound together (default: {BUDGET:g})",
    )
    group.add_argument(
        "--each",
        type=positive,
        default=EACH,
        metavar="SECONDS",
        help=f"for one proof at most (default: {EACH:g})",
    )
    group.add_argument(
        "--certificate", type=Path, metavar="DIR", help="write the certificate of the set here"
    )


def explain_sufficient(arguments: argparse.Namespace, network: Network, dataset: Dataset) -> int:
    """Find the set, print it, and write the page."""
    import numpy as np

    from precond.commands.outputs import classifier
    from precond.data.dataset import class_name
    from precond.mine.sufficient_features.sufficient import (
        SufficientSettings,
        sufficient_features,
    )

    _check(arguments, dataset)
    if arguments.within is None:
        network = classifier(network, threshold=None)
    x = np.asarray(dataset.flat[arguments.index], dtype=np.float64)
    reach, free = _reach(arguments, dataset, x)
    contrast = _contrast(arguments, dataset, network)
    settings = SufficientSettings(
        budget=arguments.budget,
        each=arguments.each,
        device=arguments.device,
        within=arguments.within,
        contrast=contrast,
    )
    found = sufficient_features(
        network,
        x,
        reach,
        units=_units(arguments, dataset, network, x=x),
        settings=settings,
    )
    answer = _input_answer(arguments, dataset, network, x=x, free=free)
    _print(found, answer, None if contrast is None else class_name(contrast, dataset.classes))
    answered(
        arguments,
        features=found.names,
        at_least=found.least,
        verdict=found.verdict.to_json(),
        proofs=found.proofs,
        file=arguments.out,
    )
    _write(arguments, dataset, network, found=found, answer=answer)
    return 0


def _check(arguments: argparse.Namespace, dataset: Dataset) -> None:
    if arguments.out.suffix not in SUFFIXES:
        got = str(arguments.out)
        raise OutputError("--out", expected=f"a name ending in {' or '.join(SUFFIXES)}", got=got)
    if not 0 <= arguments.index < len(dataset):
        raise QueryError("--index", expected=f"0 to {len(dataset) - 1}", got=str(arguments.index))
    if (arguments.radius is None) == (arguments.free is None):
        got = "neither" if arguments.radius is None else "both"
        raise QueryError("--sufficient", expected="--radius R or --free full", got=got)


def _reach(arguments: argparse.Namespace, dataset: Dataset, x: Array) -> tuple[Box, str]:
    """Where free features may be, and the same in words."""
    import numpy as np

    from precond.region.value_ranges import ValueRanges

    ranges = ValueRanges.of(dataset)
    box = ranges.box
    words = "within the data's range" if ranges.columns else f"within {ranges.cut}"
    if arguments.domain is not None:
        domain = domain_of(arguments.domain, dataset, balls=False)
        box, words = domain.box, f"within {domain}"
    if not box.contains(x[None])[0]:
        column = int(np.argmax((x < box.lower) | (x > box.upper)))
        ends = f"[{box.lower[column]:g}, {box.upper[column]:g}]"
        got = f"{x[column]:g} in column {column}, beside {ends}"
        fix = "Leave --domain away: it is then what all rows of the data show"
        raise QueryError("--domain", expected="one that holds the input", got=got, fix=fix)
    if arguments.radius is None:
        return box, words
    radius = ranges.plain(arguments.radius)
    moves = f"within ± {radius} of their values"
    if radius.of_range:
        moves = f"within ± {radius} of their columns' ranges"
    return ranges.ball(x, radius, within=box), f"{moves} and {words}"


def _contrast(arguments: argparse.Namespace, dataset: Dataset, network: Network) -> int | None:
    text = arguments.contrast
    if text is None:
        return None
    names = dataset.classes or ()
    if text in names:
        return names.index(text)
    if text.isdecimal() and int(text) < network.classes.count:
        return int(text)
    known = ", ".join(names) or f"0 to {network.classes.count - 1}"
    raise QueryError("--contrast", expected=f"a class: {known}", got=text)


def _units(arguments: argparse.Namespace, dataset: Dataset, network: Network, x: Array) -> Units:
    from precond.apply.debugging.sufficient_part import units_of
    from precond.mine.sufficient_features.units import Units

    shape, size = dataset.image_shape, network.input_size
    if arguments.patch is not None or arguments.superpixels is not None:
        if shape is None:
            option = "--patch" if arguments.patch is not None else "--superpixels"
            raise QueryError(option, expected="pictures", got=f"{dataset.name}, which has none")
        if arguments.patch is not None:
            return Units.patches(shape, arguments.patch)
        return Units.superpixels(x, shape, arguments.superpixels)
    alone = units_of(dataset)
    if not arguments.group:
        return alone
    groups = dict(_group(text, dataset, size) for text in arguments.group)
    return Units.groups(groups, size, alone.names)


def _group(text: str, dataset: Dataset, size: int) -> tuple[str, list[int]]:
    name, _, columns = text.partition("=")
    features = list(dataset.features or ())
    members = []
    for column in columns.split(","):
        word = column.strip()
        if word in features:
            members.append(features.index(word))
        elif word.isdecimal() and int(word) < size:
            members.append(int(word))
        else:
            known = ", ".join(features[:6]) + ", …" if features else f"0 to {size - 1}"
            raise QueryError(f"--group {name}", expected=f"columns: {known}", got=word or "none")
    return name.strip(), members


def _input_answer(
    arguments: argparse.Namespace, dataset: Dataset, network: Network, x: Array, free: str
) -> InputAnswer:
    from precond.network.evaluate import outputs
    from precond.report.sufficient.words import InputAnswer, input_answer

    values = outputs(network, x.reshape(1, *network.input_shape))
    if arguments.within is None:
        label = int(network.classes.predicted(values)[0])
        return input_answer(dataset, arguments.index, label, free=free)
    parts = [f"y{k} = {y:.6g} ± {arguments.within:g}" for k, y in enumerate(values[0])]
    return InputAnswer(arguments.index, ", ".join(parts), free)


def _print(found: SufficientFeatures, answer: InputAnswer, contrast: str | None) -> None:
    from precond.report.sufficient.words import (
        bound_words,
        conditions,
        contrast_words,
        needed_words,
        sentence,
    )

    verdict = found.verdict
    exact = ", certificate checked in exact arithmetic" if verdict.exact else ""
    say(f"sufficient     {sentence(found, answer)}")
    say(f"verdict        {verdict.status.value} by {verdict.engine}{exact}")
    say(f"smallest       {bound_words(found)}")
    say(f"needed         {needed_words(found)}")
    said = conditions(found)
    if said:
        more = f" … and {len(said) - SHOWN} more" if len(said) > SHOWN else ""
        say(f"matter most    {'; '.join(said[:SHOWN])}{more}")
    if contrast is not None:
        say(f"contrast       {contrast_words(found, contrast)}")
    print(
        f"time           {found.seconds:.1f} s, {how_many(found.proofs, 'claim')} put to the prover"
    )


def _write(
    arguments: argparse.Namespace,
    dataset: Dataset,
    network: Network,
    found: SufficientFeatures,
    answer: InputAnswer,
) -> None:
    from precond.basics.whole_files import write_whole
    from precond.commands.arguments import output_folder
    from precond.commands.outputs import model_name
    from precond.proof.certificates.folder import keep
    from precond.report.evidence import Subject
    from precond.report.sufficient.page import sufficient_json, sufficient_page

    if arguments.out.suffix == ".json":
        text = sufficient_json(found, answer)
    else:
        subject = Subject.of(model_name(network), dataset)
        text = sufficient_page(subject, found, answer, classes=dataset.classes)
    write_whole(arguments.out, text)
    print(f"written        {arguments.out}")
    if arguments.certificate is None:
        return
    if found.verdict.certificate is None:
        print("certificate    none: the set was not proved with one")
        return
    folder = output_folder(arguments.certificate, "--certificate")
    print(f"certificate    {keep(folder, found.claim, found.verdict.certificate)}")
