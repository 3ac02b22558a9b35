"""``precond simplify``: a smaller model with the same outputs over a domain, proved."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from precond.apply.simplification.settings import SimplifySettings
from precond.basics.terminal import say
from precond.commands.answers import answered
from precond.commands.arguments import (
    EXIT_NOT_WORTH_IT,
    Commands,
    add_settings,
    output_folder,
    settings_of,
)
from precond.commands.budget import BUDGET, deadline_of
from precond.commands.given import add_data, add_model, domain_of, read_data, read_model
from precond.commands.outputs import model_name
from precond.commands.stopped import stopped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from precond.apply.simplification.simplify import Simplified
    from precond.data.datasets import Dataset

MODEL, DATA = "simple.onnx", "simplify.json"


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "simplify",
        help="make a smaller model with the same outputs over a domain, proved",
        description="Neurons that are proved to be always on or always off over the domain are "
        "folded away.  Exit status 3: there is nothing to remove.",
    )
    add_model(command)
    add_data(command, labels=None)
    command.add_argument(
        "--domain", default="data", metavar="D", help="data (default), unit, or LO:HI"
    )
    command.add_argument(
        "--merge",
        action="store_true",
        help="also merge equal neurons, scales and layers that became affine; new weights are "
        "rounded, and what that may move the outputs by is bounded",
    )
    command.add_argument(
        "--certificate",
        type=Path,
        metavar="DIR",
        help="write a certificate for each layer's fixed neurons there, for 'precond check "
        "--up-to'; takes as long again as --budget at most",
    )
    add_settings(command, SimplifySettings, budget=BUDGET)
    command.add_argument("--out", required=True, type=Path, metavar="DIR")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from precond.apply.simplification.measured import difference, latencies
    from precond.apply.simplification.merged import rounded
    from precond.apply.simplification.simplify import certificates, simplify
    from precond.basics.progress import progress
    from precond.formats.onnx.writer import write_onnx
    from precond.report.pages import write_files
    from precond.report.simplify import (
        Measured,
        headline,
        remarks,
        simplify_json,
        simplify_page,
    )

    network = read_model(arguments)
    dataset = read_data(arguments, network)
    domain = domain_of(arguments.domain, dataset, balls=False)
    out = output_folder(arguments.out)
    settings = settings_of(
        arguments, SimplifySettings, budget=deadline_of(arguments).left, merge=arguments.merge
    )
    places: dict[str, Path | None] | None = None
    with progress() as bars:
        try:
            found = simplify(network, domain.box, settings, points=dataset.inputs, progress=bars)
        except KeyboardInterrupt:
            return stopped(ledger=None, known="nothing was written")
        if arguments.certificate is not None and found.removed:
            folder = output_folder(arguments.certificate, "--certificate")
            places = certificates(found, folder, arguments.budget, progress=bars)
    measured = None
    if found.removed:
        small, plain = out / MODEL, out / "plain.onnx"
        write_onnx(found.network, small)
        write_onnx(rounded(network).network, plain)  # the same runtime on both sides
        inputs = _inside(dataset, found)
        measured = Measured(latencies(plain, small, inputs), difference(plain, small, inputs))
        plain.unlink()
    facts = (("Model", model_name(network)), ("Data", dataset.name), ("Domain", str(domain)))
    written = {
        "index.html": simplify_page(
            facts, found, measured, certificates=places, notes=dataset.notes
        ),
        DATA: simplify_json(found, measured, places, domain=str(domain)),
    }
    write_files(out, written)
    say(headline(found, measured))
    for name, value in _lines(found, places):
        say(f"{name:<14} {value}")
    for note in remarks(measured):
        say(f"note           {note}")
    if found.removed and (network.input_parts or network.output_parts):
        say("note           several inputs or outputs are written as one, side by side")
    if found.removed:
        print(f"model          {out / MODEL}")
    print(f"report         {out / 'index.html'}")
    answered(
        arguments,
        headline=headline(found, measured),
        removed=found.removed,
        report=out / "index.html",
        model=out / MODEL if found.removed else None,
        certificates=places,
    )
    return 0 if found.removed else EXIT_NOT_WORTH_IT


def _inside(dataset: Dataset, found: Simplified) -> NDArray[np.float64]:
    """The data's inputs that lie in the box, or points of the box where none does."""
    import numpy as np

    rows = np.asarray(dataset.inputs, dtype=np.float64).reshape(len(dataset), -1)
    rows = rows[found.box.contains(rows)][:2000]
    if not len(rows):
        rows = np.random.default_rng(0).uniform(
            found.box.lower, found.box.upper, size=(200, found.box.size)
        )
    return rows.reshape(-1, *found.original.input_shape)


def _lines(found: Simplified, places: dict[str, Path | None] | None) -> list[tuple[str, str]]:
    from precond.report.simplify import layer_rows, outputs_words

    rows = [("outputs", outputs_words(found))]
    for row in layer_rows(found):
        words = f"{row.neurons} neurons: {row.on} always on, {row.off} always off"
        rows.append((row.layer, words))
    for layer, path in (places or {}).items():
        rows.append(
            (
                "certificate",
                f"{layer}: "
                + ("none in time" if path is None else f"{path} (up to {_source(found, layer)})"),
            )
        )
    return rows


def _source(found: Simplified, layer: str) -> str:
    return found.original.pre_activation(layer)
