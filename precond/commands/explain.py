"""``precond explain``: attribute one output to inputs or internal units, as a picture."""

from __future__ import annotations

import argparse
from pathlib import Path

from precond.basics.terminal import say
from precond.commands.answers import answered
from precond.commands.arguments import Commands, add_settings
from precond.commands.given import add_data, add_model, read_data, read_model
from precond.commands.outputs import add_outputs, add_threshold, with_outputs
from precond.commands.sufficient import add_sufficient, explain_sufficient
from precond.proof.effort import Effort


def add(commands: Commands) -> None:
    explain = commands.add_parser(
        "explain", help="attribute one input's output to inputs or internal units; write a picture"
    )
    add_model(explain)
    add_data(explain, labels=None)
    explain.add_argument("--index", required=True, type=int, metavar="I", help="row of DATA")
    explain.add_argument(
        "--method",
        choices=("integrated-gradients", "influence"),
        default="integrated-gradients",
    )
    explain.add_argument("--slice", metavar="LAYER", help="explain by this layer's units")
    explain.add_argument(
        "--quantity", metavar="Q", help="class:K or compare:A,B (default: the predicted class)"
    )
    explain.add_argument("--exact", action="store_true", help="follow every linear piece")
    add_outputs(explain)
    add_threshold(explain)
    add_settings(explain, Effort, "device")
    explain.add_argument(
        "--out", required=True, type=Path, metavar="FILE", help=".png, .html or .npz"
    )
    add_sufficient(explain)
    explain.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from attribution.show.explain import Display, ExplainSettings, explain
    from precond.logit_property import with_threshold
    from precond.network.device import require_device

    require_device(arguments.device)
    network = with_outputs(read_model(arguments), arguments.outputs)
    if arguments.threshold is not None:
        network = with_threshold(network, arguments.threshold)
    dataset = read_data(arguments, network)
    if arguments.sufficient:
        return explain_sufficient(arguments, network, dataset)
    found = explain(
        network,
        dataset.inputs,
        arguments.index,
        out=arguments.out,
        settings=ExplainSettings(
            method=arguments.method,
            layer=arguments.slice,
            quantity=arguments.quantity,
            exact=arguments.exact,
            device=arguments.device,
        ),
        display=Display(
            image_shape=dataset.image_shape,
            natural=dataset.natural,
            features=dataset.features,
            classes=dataset.classes,
        ),
    )
    say("\n".join(found.lines))
    answered(arguments, lines=found.lines, file=found.path)
    print(f"picture  {found.path}")
    return 0
