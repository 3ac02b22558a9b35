"""The command line: parse, call, print.  Errors are one line on stderr and exit status 2."""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from precond.device import require_device
from precond.errors import OutputError, PrecondError

T = TypeVar("T", int, float)
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 2 for a user's error, 130 after Ctrl-C."""
    begun = time.monotonic()
    chosen = _parser().parse_args(arguments)
    chosen.begun = begun
    try:
        return int(chosen.run(chosen))
    except PrecondError as error:
        print(f"precond: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("precond: stopped", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="precond",
        description="Say why a ReLU network does what it does, and prove it.",
    )
    parser.add_argument("--version", action="version", version=version("precond"))
    parser.add_argument(
        "--name", action="version", version="precond", help="print the name of this program"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    analyze = commands.add_parser(
        "analyze", help="mine and prove preconditions; write a report and preconditions.json"
    )
    analyze.add_argument("model", metavar="MODEL", help=".onnx, .nnet, or .pt/.pth")
    analyze.add_argument(
        "--inputs",
        required=True,
        metavar="DATA",
        help="digits, mnist-5k, fashion-mnist, or a .npy, .npz, .csv or IDX file",
    )
    analyze.add_argument("--labels", metavar="Y", help="a file with one whole number per input")
    analyze.add_argument(
        "--divide", type=float, default=1.0, help="divide a file's values by this (255 for bytes)"
    )
    analyze.add_argument(
        "--property",
        default="predicted",
        metavar="P",
        help="predicted (default), label:K, misclassified, or a .vnnlib file",
    )
    analyze.add_argument(
        "--layer", action="append", metavar="NAME", help="mine this layer (may be repeated)"
    )
    analyze.add_argument(
        "--domain",
        default="ball:0.1",
        metavar="D",
        help="where claims are made: ball:EPS around each source input (default ball:0.1), "
        "data, unit, or LO:HI (write --domain=-1:1 for a negative LO)",
    )
    analyze.add_argument("--budget", type=_seconds, default=120.0, metavar="SECONDS")
    analyze.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    analyze.add_argument("--out", required=True, type=Path, metavar="DIR")
    analyze.add_argument(
        "--precision", type=_share, default=1.0, help="least training precision of a layer rule"
    )
    analyze.add_argument(
        "--support",
        type=_count,
        help="least training support of a layer rule (default: 10, or 1 in 500 training inputs)",
    )
    analyze.add_argument(
        "--values", action="store_true", help="mine value thresholds beside on/off decisions"
    )
    analyze.add_argument(
        "--per-class", type=_count, default=5, help="input preconditions wanted for each class"
    )
    analyze.add_argument("--order", choices=("magnitude", "index"), default="magnitude")
    analyze.add_argument("--seed", type=_seed, default=0)
    analyze.set_defaults(run=_analyze)

    again = commands.add_parser("prove", help="prove the claims of preconditions.json again")
    again.add_argument("model", metavar="MODEL")
    again.add_argument("file", type=Path, metavar="PRECONDITIONS.json")
    again.add_argument("--only", metavar="ID", action="append", help="this entry (may be repeated)")
    again.add_argument("--budget", type=_seconds, default=60.0, help="seconds for each claim")
    again.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    again.set_defaults(run=_prove)

    verify = commands.add_parser("verify", help="decide a VNN-LIB query: sat, unsat or unknown")
    verify.add_argument("query", type=Path, metavar="QUERY", help=".vnnlib or .vnnlib.gz")
    verify.add_argument(
        "--network",
        action="append",
        required=True,
        metavar="NAME=MODEL",
        help="the model file of a network by its name in the query; one alone needs no name",
    )
    verify.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="for everything, loading included"
    )
    verify.add_argument(
        "--serialise-assignments",
        type=Path,
        metavar="DIR",
        help="write a counterexample as one ONNX tensor per variable, instead of printing it",
    )
    verify.add_argument(
        "--as-real", action="store_true", help="read floating-point types as real numbers"
    )
    verify.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    verify.add_argument("--seed", type=_seed, default=0)
    verify.set_defaults(run=_verify)

    # With another prefix a capability, which starts with "--", is an argument, not an option.
    asked = commands.add_parser(
        "supports",
        help="what verify can decide, e.g. precond supports --onnx-operators",
        prefix_chars="+",
        add_help=False,
    )
    asked.add_argument("capability", metavar="CAPABILITY")
    asked.set_defaults(run=_supports)

    explain = commands.add_parser(
        "explain", help="attribute one input's output to inputs or internal units; write a picture"
    )
    explain.add_argument("model", metavar="MODEL")
    explain.add_argument("--inputs", required=True, metavar="DATA")
    explain.add_argument("--divide", type=float, default=1.0, help="divide a file's values by this")
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
    explain.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    explain.add_argument(
        "--out", required=True, type=Path, metavar="FILE", help=".png, .html or .npz"
    )
    explain.set_defaults(run=_explain)

    info = commands.add_parser("info", help="layers, neurons, shapes and hash of a network")
    info.add_argument("model", metavar="MODEL")
    info.set_defaults(run=_info)
    return parser


def _seconds(text: str) -> float:
    return _checked(text, float, lambda v: 0 < v < float("inf"), "seconds above 0")


def _share(text: str) -> float:
    return _checked(text, float, lambda v: 0 < v <= 1, "a share in (0, 1]")


def _count(text: str) -> int:
    return _checked(text, int, lambda v: v >= 1, "a whole number of 1 or more")


def _seed(text: str) -> int:
    return _checked(text, int, lambda v: 0 <= v < 2**32, "a whole number from 0 to 2³² − 1")


def _checked(text: str, kind: type[T], fits: Callable[[T], bool], expected: str) -> T:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not fits(value):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return value


def _analyze(chosen: argparse.Namespace) -> int:
    from precond.analysis import Data, Domain
    from precond.datasets import load_dataset, split
    from precond.errors import DataError
    from precond.formats.load import load
    from precond.goals import Goal, class_goal, correctness_goal, property_goal
    from precond.mine.input import Order
    from precond.pipeline import Options, analyze, record_all
    from precond.progress import progress
    from precond.proof.ledger import Ledger
    from precond.report.html import write_report
    from precond.store import write_preconditions
    from precond.summary import summary
    from precond.vnnlib.query import read_vnnlib

    require_device(chosen.device)
    network = load(chosen.model)
    dataset = load_dataset(chosen.inputs, chosen.labels, divide=chosen.divide)
    for layer in chosen.layer or ():
        network.require_decisions(layer)
    train, held_out = split(dataset, 0.2, 0)
    data = Data(
        dataset.name,
        dataset.inputs,
        dataset.labels,
        train,
        held_out,
        dataset.image_shape,
        dataset.natural,
    )
    flat = dataset.inputs.reshape(len(dataset.inputs), -1)
    if flat.shape[1] != network.input_size:
        raise DataError(
            f"inputs {dataset.name} for {chosen.model}",
            expected=f"rows of {network.input_size} values",
            got=f"rows of {flat.shape[1]}",
            fix="Choose data of the network's input width",
        )
    if dataset.labels is not None and chosen.property == "predicted":
        most = int(dataset.labels.max())
        if most >= network.output_size:
            raise DataError(
                f"labels of {dataset.name}",
                expected=f"classes 0..{network.output_size - 1}, the network's outputs",
                got=str(most),
                fix="Give the labels of this network's classes",
            )
    domain = Domain.parse(chosen.domain, flat[train], dataset.natural)
    out = _folder(chosen.out)
    options = Options(
        budget=chosen.budget,
        per_class=chosen.per_class,
        minimum_precision=chosen.precision,
        minimum_support=chosen.support or max(10, len(train) // 500),
        values=chosen.values,
        order=Order(chosen.order),
        device=chosen.device,
        seed=chosen.seed,
    )
    signatures = record_all(network, data, options)
    goal: Goal
    if chosen.property == "predicted":
        goal = class_goal(network, signatures)
    elif chosen.property == "misclassified":
        goal = correctness_goal(signatures, dataset.labels)
    elif chosen.property.startswith("label:"):
        goal = class_goal(network, signatures, _label(chosen.property))
    elif chosen.property.endswith((".vnnlib", ".vnnlib.gz")):
        query = read_vnnlib(chosen.property, network)
        goal = property_goal(chosen.property, query, signatures, flat)
    else:
        raise DataError(
            "--property",
            expected="predicted, label:K, misclassified or a .vnnlib file",
            got=chosen.property,
        )
    with Ledger(out / "ledger.sqlite") as ledger, progress() as bars:
        analysis = analyze(
            Path(chosen.model),
            network,
            data,
            domain,
            signatures,
            goal,
            options,
            ledger,
            layers=chosen.layer,
            progress=bars,
        )
    write_preconditions(analysis, out / "preconditions.json")
    write_report(analysis, out / "report.html")
    print(summary(analysis))
    print(f"report         {out / 'report.html'}")
    print(f"preconditions  {out / 'preconditions.json'}")
    if analysis.interrupted:
        print(
            "precond: stopped early; what was proved is in "
            f"{out / 'ledger.sqlite'}. Run the same command again to go on",
            file=sys.stderr,
        )
        return EXIT_INTERRUPTED
    return 0


def _prove(chosen: argparse.Namespace) -> int:
    from precond.errors import QueryError
    from precond.formats.load import load
    from precond.proof.prove import prove
    from precond.proof.verdict import Status
    from precond.store import read_preconditions

    require_device(chosen.device)
    network = load(chosen.model)
    stored = read_preconditions(chosen.file)
    wanted = set(chosen.only or ())
    missing = wanted - {entry.id for entry in stored.preconditions}
    if missing:
        raise QueryError(
            f"--only {', '.join(sorted(missing))}",
            expected=f"an id of {chosen.file}",
            got="none of that name",
        )
    changed = claims = 0
    for entry in stored.preconditions:
        claim = stored.claim(entry, network)
        if (wanted and entry.id not in wanted) or claim is None:
            continue
        claims += 1
        verdict = prove(claim, budget=chosen.budget, device=chosen.device)
        then, now = entry.verdict.status, verdict.status
        settled = {Status.PROVED, Status.REFUTED, Status.VACUOUS}
        contradicts = then in settled and now in settled and then is not now
        changed += contradicts
        mark = "CONTRADICTS the file" if contradicts else ""
        trust = "" if verdict.confirmed else " (unconfirmed)"
        print(
            f"{entry.id:<24} {now.value}{trust:<14} {verdict.engine:<18} "
            f"{verdict.seconds:8.3f} s   file: {then.value} {mark}".rstrip()
        )
    if not claims:
        print("no entry of the file makes a claim that could be proved")
    return 1 if changed else 0


def _verify(chosen: argparse.Namespace) -> int:
    from precond.verify_process import ask

    folder = chosen.serialise_assignments
    if folder is not None:
        _folder(folder, "--serialise-assignments")
    request = {
        "query": str(chosen.query),
        "networks": chosen.network,
        "assignments": None if folder is None else str(folder),
        "device": chosen.device,
        "seed": chosen.seed,
        "as_real": chosen.as_real,
    }
    limit = math.inf if chosen.timeout is None else chosen.timeout
    reply = ask(request, chosen.begun + limit)
    if reply.error:
        raise PrecondError(reply.error)
    if reply.note:
        print(f"precond: {reply.note}", file=sys.stderr)
    sys.stdout.write(reply.text)
    sys.stdout.flush()
    return reply.status


def _supports(chosen: argparse.Namespace) -> int:
    from precond.verify import capability

    sys.stdout.write(capability(chosen.capability))
    return 0


def _explain(chosen: argparse.Namespace) -> int:
    from attribution.explain import explain
    from precond.datasets import load_dataset
    from precond.device import require_device
    from precond.formats.load import load

    require_device(chosen.device)
    network = load(chosen.model)
    dataset = load_dataset(chosen.inputs, divide=chosen.divide)
    found = explain(
        network,
        dataset.inputs,
        chosen.index,
        chosen.out,
        method=chosen.method,
        layer=chosen.slice,
        quantity=chosen.quantity,
        exact=chosen.exact,
        image_shape=dataset.image_shape,
        natural=dataset.natural,
        device=chosen.device,
    )
    print("\n".join(found.lines))
    print(f"picture  {found.path}")
    return 0


def _info(chosen: argparse.Namespace) -> int:
    from precond.formats.load import load
    from precond.summary import describe

    print(describe(load(chosen.model)))
    return 0


def _label(text: str) -> int:
    from precond.errors import DataError

    number = text.partition(":")[2]
    if not (number.isascii() and number.isdecimal()):
        raise DataError("--property", expected="label:K with a whole number", got=text)
    return int(number)


def _folder(path: Path, option: str = "--out") -> Path:
    """The output folder, made if need be, and checked to be writable before any work."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise OutputError(
            f"{option} {path}",
            expected="a folder that can be written",
            got=error.strerror or type(error).__name__,
            fix="Choose another folder",
        ) from error
    return path


if __name__ == "__main__":
    sys.exit(main())
