"""What several commands are given: a model, with what its file leaves open, and data."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from precond.commands.arguments import InputShapes, sizes
from precond.commands.outputs import add_threshold, classifier
from precond.errors import DataError, QueryError
from precond.formats.lowering.stated import Activation, Pools

if TYPE_CHECKING:
    from precond.data.datasets import Dataset
    from precond.network.graph import Network
    from precond.study.analysis import Domain


def add_model(command: argparse.ArgumentParser) -> None:
    """MODEL, the options for what its file does not say, and how max-pools are read."""
    command.add_argument(
        "model", metavar="MODEL", help=".onnx, .nnet, .pt2, or weights in .pt, .pth or .safetensors"
    )
    add_unsaid(command)
    command.add_argument(
        "--pools",
        choices=[item.value for item in Pools],
        default=Pools.WINDOWS.value,
        help="comparisons: read a max-pool as decisions that say which entry of a window leads, so "
        "that patterns reach through it (default: windows, without decisions)",
    )


def add_unsaid(command: argparse.ArgumentParser) -> None:
    """--input-shape, --output and --activation: what a model file may leave open."""
    command.add_argument(
        "--input-shape",
        type=sizes,
        action=InputShapes,
        metavar="N,N,…",
        help="sizes of one input, without the batch axis, where the file leaves them open; of "
        "several inputs NAME=N,N,…, once for each",
    )
    command.add_argument(
        "--output",
        metavar="NAME",
        help="of a model of several outputs: read this one alone (by its name, or its number from "
        "0), instead of all side by side",
    )
    command.add_argument(
        "--activation",
        choices=[item.value for item in Activation],
        help="what stands between the linear layers of a state dict, which does not say it",
    )


def read_model(arguments: argparse.Namespace) -> Network:
    """The network of MODEL; what the user stated about it is in its ``origin``."""
    from precond.formats.load import load

    return load(
        arguments.model,
        arguments.input_shape,
        activation=arguments.activation,
        output=arguments.output,
        pools=arguments.pools,
    )


LABELS = "a file with one whole number per input"


def add_given(command: argparse.ArgumentParser, labels: str = LABELS) -> None:
    """MODEL, the options of ``add_data`` and --threshold."""
    add_model(command)
    add_data(command, labels)
    add_threshold(command)


def add_data(command: argparse.ArgumentParser, labels: str | None = LABELS) -> None:
    """--inputs and what says how to read it; ``labels``: what --labels are for, if for anything."""
    command.add_argument(
        "--inputs",
        required=True,
        metavar="DATA",
        help="digits, mnist-5k, fashion-mnist; a .npy, .npz, .pt, .csv, .parquet or IDX file "
        "(FILE.npz:NAME is one array of it); or a folder of pictures, one folder a class",
    )
    if labels is not None:
        command.add_argument(
            "--labels",
            metavar="Y",
            help=f"{labels}; of pictures also a CSV of file names and labels",
        )
        command.add_argument(
            "--test", metavar="DATA", help="held-out data (default: one in five inputs)"
        )
        command.add_argument("--test-labels", metavar="Y", help="the labels of --test")
    command.add_argument(
        "--divide",
        type=float,
        default=1.0,
        help="divide a file's values by this (255 for bytes; default: 1)",
    )
    add_columns(command)


def add_columns(command: argparse.ArgumentParser) -> None:
    """--label-column, --drop and --classes: what the columns of a table mean."""
    command.add_argument("--label-column", metavar="NAME", help="the column of a table with labels")
    command.add_argument(
        "--drop",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="columns of a table that are no inputs",
    )
    command.add_argument(
        "--classes",
        type=lambda text: tuple(name.strip() for name in text.split(",")),
        default=(),
        metavar="NAME,NAME,…",
        help="names of the classes, in the order of the network's outputs",
    )


def read_data(
    arguments: argparse.Namespace, network: Network, labels: str | None = None
) -> Dataset:
    """The data of --inputs, with ``labels`` of another file if there is one, and of --test;
    what is odd about it is said on stderr, and in its ``notes``."""
    from precond.data.dataset import joined
    from precond.study.fitting import require_fitting, strange

    dataset = _read(arguments, network, spec=arguments.inputs, labels=labels)
    if getattr(arguments, "test", None) is not None:
        dataset = joined(
            dataset, _read(arguments, network, spec=arguments.test, labels=arguments.test_labels)
        )
    elif getattr(arguments, "test_labels", None) is not None:
        raise DataError("--test-labels", expected="--test DATA", got="no such data")
    require_fitting(dataset, network, arguments.model)
    dataset = replace(dataset, notes=(*dataset.notes, *strange(network, dataset)))
    for note in dataset.notes:
        print(f"precond: note: {note}", file=sys.stderr)
    return dataset


def read_more(arguments: argparse.Namespace, network: Network, spec: str) -> Dataset:
    """Other data, ``spec``, read by the options that --inputs are read by."""
    from precond.study.fitting import require_fitting

    dataset = _read(arguments, network, spec, labels=None)
    require_fitting(dataset, network, arguments.model)
    return dataset


def _read(
    arguments: argparse.Namespace, network: Network, spec: str, labels: str | None
) -> Dataset:
    """One data set, by the options that say what its values and columns mean."""
    from precond.data.columns import TableColumns
    from precond.data.datasets import load_dataset

    columns = TableColumns(
        arguments.label_column,
        drop=tuple(arguments.drop),
        classes=arguments.classes,
        parts=network.input_parts,
    )
    if columns.classes and len(columns.classes) != max(network.output_size, 2):
        raise DataError(
            "--classes",
            expected=f"a name for each of {network.output_size} outputs",
            got=", ".join(columns.classes),
        )
    return load_dataset(
        spec, labels, divide=arguments.divide, columns=columns, picture=network.input_shape
    )


def domain_of(text: str, data: Dataset, *, balls: bool = True, held_out: bool = False) -> Domain:
    """Where claims are made, as every command reads it: ``data`` is the box of the training inputs
    (``held_out``: of all), and a ball's radius may be a share of each value's range."""
    from precond.region.value_ranges import ValueRanges
    from precond.study.analysis import Domain, DomainKind

    rows = data.flat if held_out else data.flat[data.train]
    domain = Domain.parse(text, rows, ValueRanges.of(data))
    if not balls and domain.kind is DomainKind.BALL:
        raise QueryError("--domain", expected="data, unit or LO:HI", got=text)
    return domain


def read_given(arguments: argparse.Namespace) -> tuple[Network, Dataset]:
    """The network, read as a classifier, and the data, checked to fit each other."""
    network, dataset = read_both(arguments)
    return classifier(network, arguments.threshold), dataset


def read_both(arguments: argparse.Namespace) -> tuple[Network, Dataset]:
    """The network as the file gives it, and the data, checked to fit each other."""
    from precond.network.device import require_device

    require_device(arguments.device)
    network = read_model(arguments)
    dataset = read_data(arguments, network, arguments.labels)
    return network, dataset
