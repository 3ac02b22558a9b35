"""Whether data looks like what a network was trained on.

A network answers any numbers, also bytes where it learned from values in [0, 1], or classes in
another order than its outputs.  Nothing is changed here: what looks odd is said, with the option
that would mend it.  What is said rests on counts over a sample of inputs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from precond.basics.evenly import evenly
from precond.data.dataset import Dataset
from precond.errors import DataError
from precond.network.evaluate import outputs
from precond.network.graph import Network

SAMPLE = 500  # inputs that are looked at
GAIN = 0.2  # share of them that another reading must win to be worth a word
BYTES = 255.0
Classes = NDArray[np.int64]


def require_fitting(dataset: Dataset, network: Network, model: str) -> None:
    """DataError unless a row has as many values as the network has inputs, and there is an
    output for every class."""
    width = int(np.prod(dataset.inputs.shape[1:]))
    if width != network.input_size:
        raise DataError(
            f"inputs {dataset.name} for {model}",
            expected=f"rows of {network.input_size} values",
            got=f"rows of {width}" + _shapes(dataset),
            fix=_mend(dataset, network, width),
        )
    count = network.classes.count
    if dataset.classes is not None and dataset.labels is not None and len(dataset.classes) < count:
        raise DataError(
            f"classes of {dataset.name}",
            expected=f"{count}, which the network tells apart",
            got=f"{len(dataset.classes)}: {', '.join(dataset.classes[:8])}",
            fix="Name all classes, in the order of the outputs: --classes NAME,NAME,…",
        )


def _shapes(dataset: Dataset) -> str:
    return f" ({' × '.join(map(str, dataset.image_shape))})" if dataset.image_shape else ""


def _mend(dataset: Dataset, network: Network, width: int) -> str:
    if dataset.features is not None and width > network.input_size:
        last = dataset.features[-1]
        return (
            "Name the columns that are no inputs: --label-column NAME for labels, --drop NAME… "
            f"for others (the first is {dataset.features[0]!r}, the last {last!r})"
        )
    if dataset.image_shape is not None and len(network.input_shape) == 3:
        wanted = " × ".join(map(str, network.input_shape))
        return f"The network reads {wanted}: resize the pictures as its training did"
    return "Choose data of the network's input width"


def strange(network: Network, dataset: Dataset) -> tuple[str, ...]:
    """What is odd about the data, each in one sentence; empty where nothing is."""
    rows = evenly(len(dataset), SAMPLE)
    flat = np.asarray(dataset.inputs[rows], dtype=np.float64).reshape(len(rows), -1)
    labels = None if dataset.labels is None else dataset.labels[rows]
    notes = _parts(dataset)
    if network.output_size == 1 and labels is None:
        return notes  # perhaps no classes at all
    if labels is None:
        return (*notes, *_without_labels(network, flat))
    if labels.max() >= network.classes.count:
        return notes  # refused elsewhere, where labels are read as classes
    return (*notes, *_with_labels(network, flat, labels, dataset=dataset))


def _parts(dataset: Dataset) -> tuple[str, ...]:
    """Training and held-out data of very different ranges."""
    if dataset.parts is None:
        return ()
    highs = [float(np.abs(dataset.inputs[rows[:SAMPLE]]).max()) for rows in dataset.parts]
    if min(highs) * 10 >= max(highs):
        return ()
    return (
        f"values reach {highs[0]:g} in the training part and {highs[1]:g} in the held-out part: "
        "they seem to be scaled differently",
    )


def _predicted(network: Network, flat: NDArray[np.float64]) -> Classes:
    return network.classes.predicted(outputs(network.logits, flat))


def _other_scales(flat: NDArray[np.float64]) -> tuple[tuple[float, str], ...]:
    """Factors that would bring the values where bytes or shares of bytes lie."""
    high = float(flat.max())
    if flat.min() >= 0 and 2.0 < high <= BYTES:
        return ((1 / BYTES, "divided by 255"),)
    if flat.min() >= 0 and high <= 1.0:
        return ((BYTES, "multiplied by 255"),)
    return ()


def _with_labels(
    network: Network, flat: NDArray[np.float64], labels: Classes, dataset: Dataset
) -> tuple[str, ...]:
    predicted = _predicted(network, flat)
    right = float((predicted == labels).mean())
    said = f"the network gives {100 * right:.0f} % of {len(flat)} inputs their label"
    bar, found = right + GAIN, ""
    for factor, words in _other_scales(flat):
        then = float((_predicted(network, flat * factor) == labels).mean())
        if then >= bar:
            bar = then
            found = (
                f"values reach {flat.max():g}, and {said}; {words} it would be "
                f"{100 * then:.0f} %: --divide {1 / factor:.4g} is probably meant"
            )
    count = network.classes.count
    order, then = _best_order(predicted, labels, count)
    if then > bar and len(flat) >= 10 * count:
        names = dataset.classes or tuple(map(str, range(count)))
        wanted = ", ".join(f"output {o} {names[k]}" for o, k in enumerate(order))
        found = (
            f"{said}; with the classes in another order it would be {100 * then:.0f} % "
            f"({wanted}): --classes names them in the order of the outputs"
        )
    if found:
        return (found,)
    most = np.bincount(labels, minlength=count).max() / len(labels)
    if right <= most + 0.02 and right < 0.9:
        return (
            f"{said}, and always to say one class would give {100 * most:.0f} %: does the network "
            "know these classes, in this order, and does it see values as in its training "
            "(--divide; a mean and deviation belong into the network)?",
        )
    return ()


def _best_order(predicted: Classes, labels: Classes, count: int) -> tuple[list[int], float]:
    """Which class each output would have to be for most labels to be met, and their share."""
    from scipy.optimize import linear_sum_assignment

    table = np.zeros((count, count))
    np.add.at(table, (predicted, labels), 1)
    said, meant = linear_sum_assignment(-table)
    return meant.tolist(), float(table[said, meant].sum() / len(labels))


def _without_labels(network: Network, flat: NDArray[np.float64]) -> tuple[str, ...]:
    predicted = _predicted(network, flat)
    for factor, words in _other_scales(flat):
        changed = float((_predicted(network, flat * factor) != predicted).mean())
        if factor < 1 and changed >= GAIN:
            return (
                f"values reach {flat.max():g}; {words} the network says another class for "
                f"{100 * changed:.0f} % of {len(flat)} inputs: give --divide 255 if it was "
                "trained on values from 0 to 1",
            )
    if len(flat) >= 50 and (predicted == predicted[0]).all():
        return (
            f"the network says class {predicted[0]} of all {len(flat)} inputs looked at: "
            "does it see values as in its training (--divide)?",
        )
    return ()
