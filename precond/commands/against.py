"""``precond diagnose --against``: what the network and another one both know of the data."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from precond.commands.outputs import classifier, model_name
from precond.errors import QueryError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from attribution.diagnosis.consistency import Consistency
    from precond.commands.timed import TimedParts
    from precond.data.dataset import Dataset
    from precond.network.graph import Network
    from precond.report.consistency import KnownLayer, TwoNetworks

MOST = 4000


def add_against(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--against",
        metavar="OTHER_MODEL",
        help="another model on the same inputs: how much of a layer of one can be rebuilt from "
        "a layer of the other",
    )
    command.add_argument(
        "--layer", metavar="L", help="the layer compared (default: the last one with neurons)"
    )
    command.add_argument(
        "--other-layer", metavar="L", help="that of OTHER_MODEL (default: likewise)"
    )


def read_other(arguments: argparse.Namespace, network: Network) -> Network | None:
    """The network of --against, checked to take the same inputs and give the same classes."""
    from precond.formats.load import load

    if arguments.against is None:
        for option in ("layer", "other_layer"):
            if getattr(arguments, option) is not None:
                name = f"--{option.replace('_', '-')}"
                raise QueryError(name, expected="--against OTHER_MODEL", got="none")
        return None
    other = load(
        arguments.against,
        arguments.input_shape,
        activation=arguments.activation,
        pools=arguments.pools,
    )
    other = classifier(other, arguments.threshold)
    sizes = [(one.input_size, one.output_size) for one in (network, other)]
    if sizes[0] != sizes[1]:
        words = [f"{inputs} inputs and {outputs} outputs" for inputs, outputs in sizes]
        raise QueryError(f"--against {arguments.against}", expected=words[0], got=words[1])
    _layer(network, arguments.layer)
    _layer(other, arguments.other_layer)
    return other


def compare(
    arguments: argparse.Namespace,
    network: Network,
    other: Network,
    data: Dataset,
    parts: TimedParts,
) -> TwoNetworks:
    """Each network's features rebuilt from the other's, fitted on training inputs and told
    of held-out ones."""
    import numpy as np

    from attribution.diagnosis.consistency import ConsistencySettings, knowledge_consistency
    from attribution.evaluate import values_at
    from attribution.slices import Slice
    from attribution.training import TrainingSchedule
    from precond.basics.evenly import evenly
    from precond.report.consistency import TwoNetworks

    chosen = [part[evenly(len(part), MOST)] for part in (data.train, data.held_out)]
    rows = np.concatenate(chosen)
    held_out = np.arange(len(chosen[0]), len(rows))
    cuts = (
        Slice(network, _layer(network, arguments.layer)),
        Slice(other, _layer(other, arguments.other_layer)),
    )
    inputs = [data.flat[rows].reshape(-1, *one.input_shape) for one in (network, other)]
    features = [values_at(cut, x) for cut, x in zip(cuts, inputs, strict=True)]
    settings = ConsistencySettings(
        training=TrainingSchedule(epochs=30, batch=128, seed=arguments.seed)
    )
    parts.bars.stage("knowledge", 2 * (1 + settings.orders))
    known = [
        knowledge_consistency(
            features[k], features[1 - k], held_out=held_out, settings=settings, done=parts.step
        )
        for k in (0, 1)
    ]
    own, theirs = (
        _side(cut, x, one, labels=None if data.labels is None else data.labels[rows])
        for cut, x, one in zip(cuts, inputs, known, strict=True)
    )
    return TwoNetworks(own, theirs, rows)


def _layer(network: Network, name: str | None) -> str:
    if name is not None:
        return network.require(name)
    if not network.decision_layers:
        raise QueryError(
            f"layer of {model_name(network)}",
            expected="one with neurons",
            got="none",
            fix="Name a layer: --layer, --other-layer",
        )
    return network.decision_layers[-1]


def _side(
    cut: object,
    inputs: NDArray[np.floating],
    known: Consistency,
    labels: NDArray[np.int64] | None,
) -> KnownLayer:
    from attribution.evaluate import outputs, outputs_from
    from attribution.slices import Slice
    from precond.apply.true_classes import check_classes
    from precond.network.graph import Network
    from precond.report.consistency import KnownLayer

    assert isinstance(cut, Slice) and isinstance(cut.model, Network)
    network, rows = cut.model, known.held_out
    side = KnownLayer(model=model_name(network), layer=str(cut), known=known)
    if labels is None:
        return side
    true = check_classes(labels, len(labels), network)[rows]

    def accuracy(values: NDArray[np.float64]) -> float:
        return float((network.classes.predicted(values) == true).mean())

    return KnownLayer(
        model=side.model,
        layer=side.layer,
        known=known,
        accuracy=accuracy(outputs(Slice(network), inputs[rows])),
        rebuilt_accuracy=accuracy(outputs_from(cut, inputs[rows], known.rebuilt)),
    )
