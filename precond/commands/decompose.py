"""``precond decompose``: prove a query in two halves, through patterns over a layer."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precond.apply.decomposition.settings import DecompositionSettings
from precond.basics.terminal import say
from precond.basics.whole_files import write_whole
from precond.commands.answers import answered
from precond.commands.arguments import Commands, add_settings, output_folder, settings_of
from precond.commands.given import add_model, read_model
from precond.commands.outputs import add_outputs, with_outputs
from precond.commands.stopped import stopped
from precond.errors import DataError, OutputError, QueryError

if TYPE_CHECKING:
    from precond.apply.decomposition.answer import Decomposition
    from precond.apply.decomposition.query import DecompositionAnswer
    from precond.network.graph import Network
    from precond.vnnlib.query import Query


def add(commands: Commands) -> None:
    parts = commands.add_parser(
        "decompose", help="prove a query in two halves, through patterns over a layer"
    )
    add_model(parts)
    parts.add_argument(
        "queries",
        nargs="+",
        type=Path,
        metavar="QUERY",
        help=".vnnlib or .vnnlib.gz; several share what is proved of the second half",
    )
    parts.add_argument("--layer", metavar="L", help="where to cut (default: a short search)")
    each = "seconds for each query; the direct proof beside it, and --check, take as much again"
    add_settings(parts, DecompositionSettings, "budget", "device", "seed", budget=each)
    parts.add_argument("--out", type=Path, metavar="FILE.json", help="write all of it there")
    parts.add_argument(
        "--patterns",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.json",
        help="try the patterns of an earlier --out first (may be repeated)",
    )
    parts.add_argument(
        "--ledger", type=Path, metavar="FILE", help="keep verdicts there, and take them from it"
    )
    parts.add_argument(
        "--no-direct", action="store_true", help="do not time the whole proof beside it"
    )
    parts.add_argument(
        "--check",
        action="store_true",
        help="then prove both halves again by other engines, and try 100,000 random inputs",
    )
    add_outputs(parts)
    parts.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from precond.apply.decomposition.lemmas import Lemmas
    from precond.apply.decomposition.query import decompose_query, proposed_boxes, to_json
    from precond.apply.decomposition.requirements import check_layer
    from precond.network.device import require_device
    from precond.proof.ledger.ledger import Ledger

    require_device(arguments.device)
    network = read_model(arguments)
    if arguments.outputs == "logits":
        network = network.logits
    if arguments.layer is not None:
        check_layer(network, arguments.layer)
    queries = _queries(arguments, network)
    network = with_outputs(network, "logits")  # which the queries' claims are about
    proposed = [
        box
        for path in arguments.patterns
        for box in proposed_boxes(_read(path), arguments.layer, str(path))
    ]
    if arguments.out is not None:
        output_folder(arguments.out.parent)
        if arguments.out.is_dir():
            raise OutputError(f"--out {arguments.out}", expected="a file", got="a folder")
    ledger = None if arguments.ledger is None else Ledger(arguments.ledger)
    settings = settings_of(arguments, DecompositionSettings, direct=not arguments.no_direct)
    lemmas = Lemmas()
    layer = arguments.layer
    written = []
    interrupted = False
    try:
        for path, query in zip(arguments.queries, queries, strict=True):
            answer = decompose_query(
                query, layer, settings, lemmas=lemmas, proposed=proposed, ledger=ledger
            )
            layer = answer.layer  # the queries share it, as they share what is proved behind it
            _show(path.name, answer)
            written.append(to_json(answer, network, path.name))
            if answer.interrupted:
                raise KeyboardInterrupt
            if arguments.check and answer.status.value == "proved":
                written[-1]["check"] = [_check(part, arguments) for part in answer.parts]
    except KeyboardInterrupt:
        interrupted = True
    finally:
        if ledger is not None:
            ledger.close()
    if arguments.out is not None and written:
        whole = written[0] if len(written) == 1 else _together(written)
        write_whole(arguments.out, json.dumps(whole, indent=1), name=f"--out {arguments.out}")
        print(f"written        {arguments.out}")
    answered(arguments, queries=written, file=arguments.out, interrupted=interrupted)
    return _stopped(arguments, len(written)) if interrupted else 0


def _queries(arguments: argparse.Namespace, network: Network) -> list[Query]:
    """The queries, each of a kind that can be decomposed."""
    from precond.apply.decomposition.query import check_query
    from precond.vnnlib.read import read_vnnlib

    queries = [read_vnnlib(path, network) for path in arguments.queries]
    for path, query in zip(arguments.queries, queries, strict=True):
        try:
            check_query(query)
        except QueryError as error:
            problem = f"{path}: {error.problem}"
            raise QueryError(
                problem, expected=error.expected, got=error.got, fix=error.fix
            ) from error
    return queries


def _stopped(arguments: argparse.Namespace, begun: int) -> int:
    known = f"{begun} of {len(arguments.queries)} queries shown"
    if arguments.ledger is None:
        known += "; with --ledger FILE verdicts are kept, and a second run goes on"
    return stopped(arguments.ledger, known)


def _together(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Several queries in one file, in the form of one."""
    claims = [{"query": w["query"], **claim} for w in answers for claim in w["claims"]]
    statuses = {str(w["query"]): w["status"] for w in answers}
    first = answers[0]
    kept = {key: first[key] for key in ("format", "network", "layer")}
    checks = [check for w in answers for check in w.get("check", ())]
    return {**kept, "statuses": statuses, "claims": claims, "check": checks}


def _show(name: str, answer: DecompositionAnswer) -> None:
    searched = f" (found in {answer.layer_seconds:.2f} s)" if answer.layer_seconds else ""
    searched += f", stopped after {len(answer.parts)} claims" if answer.interrupted else ""
    say(f"{name:<14} {answer.status.value}, cut at {answer.layer}{searched}")
    for part in answer.parts:
        if part.witness is not None:
            values = ", ".join(f"{v:.6g}" for v in part.witness)
            say(f"  counterexample  ({values})")
            continue
        say(
            f"  σ             {len(part.lemmas)} patterns of "
            f"{part.literals / max(1, len(part.patterns)):.0f} literals on average, for "
            f"{len(part.steps)} parts of A; found in {part.search_seconds:.2f} s"
        )
        for word, half in (("A ⇒ σ", part.head), ("σ ⇒ B", part.tail)):
            again = f", {half.reused} of them before" if half.reused else ""
            say(
                f"  {word:<13} {half.proved} of {half.claims} proved{again} "
                f"({', '.join(half.engines) or 'nothing to prove'}), {half.seconds:.2f} s"
            )
        print(f"  together      {part.seconds:.2f} s")
        if part.reason:
            say(f"  open          {part.reason}")
    for part in answer.parts:
        if part.direct is not None:
            said = part.direct
            print(f"  direct        {said.status.value} by {said.engine}, {said.seconds:.2f} s")


def _check(part: Decomposition, arguments: argparse.Namespace) -> dict[str, Any]:
    from precond.apply.decomposition.check import replayed, second_proofs

    points = replayed(part, seed=arguments.seed + 1)
    print(
        f"  replay        {points.points} random inputs of A: {points.outside} outside σ, "
        f"{points.violations} without B"
    )
    halves = second_proofs(part, budget=arguments.budget, device=arguments.device)
    for word, again in zip(("A ⇒ σ again", "σ ⇒ B again"), halves, strict=True):
        say(
            f"  {word:<13} {again.proved} of {again.claims} by {', '.join(again.engines) or '–'}, "
            f"{again.contradicted} contradicted, {again.open} not decided, {again.seconds:.2f} s"
        )
    return {
        "replay": {**vars(points)},
        "second": [{**vars(again)} for again in halves],
    }


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"patterns in {path}", expected="a readable JSON file", got=str(error)
        ) from error
