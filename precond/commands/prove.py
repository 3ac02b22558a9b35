"""``precond prove``: the claims of a preconditions.json, proved again."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from precond.basics.counting import how_many
from precond.basics.terminal import fitted, say
from precond.commands.answers import answered
from precond.commands.arguments import Commands, add_settings, output_folder
from precond.commands.exact import add_exact
from precond.commands.given import add_model, read_model
from precond.commands.outputs import with_outputs
from precond.commands.places import add_places, pool_of
from precond.commands.stopped import stopped
from precond.network.device import require_device
from precond.proof.effort import Effort

if TYPE_CHECKING:
    from precond.network.graph import Network
    from precond.study.store import Stored


def add(commands: Commands) -> None:
    again = commands.add_parser("prove", help="prove the claims of preconditions.json again")
    add_model(again)
    again.add_argument("file", type=Path, metavar="PRECONDITIONS.json")
    again.add_argument("--only", metavar="ID", action="append", help="this entry (may be repeated)")
    add_settings(again, Effort, "budget", "device", budget="seconds for each claim")
    again.add_argument(
        "--ledger", type=Path, metavar="FILE", help="keep verdicts here; known ones are not redone"
    )
    again.add_argument(
        "--execution",
        choices=("real", "float64", "float32"),
        default="real",
        help="look for proofs that also hold for the network run in these floats, "
        "in any order of sums",
    )
    add_exact(again)
    add_places(again)
    again.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from precond.basics.progress import progress
    from precond.proof.arithmetic import Arithmetic, words
    from precond.proof.certificates.folder import keep
    from precond.proof.ledger.ledger import Ledger
    from precond.proof.precondition import Precondition
    from precond.proof.verdict import Status, Verdict
    from precond.report import hints
    from precond.study.store import read_preconditions
    from precond.workers.exact import ExactJob
    from precond.workers.pool import ProofJob

    require_device(arguments.device)
    folder = arguments.certificate
    if folder is not None:
        output_folder(folder, "--certificate")
    exact = arguments.exact or folder is not None
    execution = Arithmetic(arguments.execution)
    stored = read_preconditions(arguments.file)
    network = with_outputs(read_model(arguments), "logits")  # which all stored claims are about
    wanted = _wanted(arguments, {entry.id for entry in stored.preconditions})
    asked = [
        (entry, claim)
        for entry in stored.preconditions
        if (not wanted or entry.id in wanted)
        and (claim := stored.claim(entry, network)) is not None
    ]
    settled = {Status.PROVED, Status.REFUTED, Status.VACUOUS}

    def contradicts(entry: Precondition, verdict: Verdict) -> bool:
        then, now = entry.verdict.status, verdict.status
        return then in settled and now in settled and then is not now

    waiting: dict[int, Verdict] = {}
    shown = 0

    def show(index: int, verdict: Verdict) -> None:
        """Print in the order of the file, each line as soon as those before it are known."""
        nonlocal shown
        waiting[index] = verdict
        while shown in waiting:
            (entry, claim), now = asked[shown], waiting.pop(shown)
            mark = "CONTRADICTS the file" if contradicts(entry, now) else ""
            trust = "" if now.confirmed else " (unconfirmed)"
            trust = " (exact)" if exact and now.exact else trust
            path = None
            if folder is not None and now.certificate is not None:
                path = keep(folder, claim, now.certificate)
            say(
                f"{fitted(entry.id, 24)} {now.status.value}{trust:<14} {now.engine:<18} "
                f"{now.seconds:8.3f} s   file: {entry.verdict.status.value} {mark}".rstrip()
            )
            if execution is not Arithmetic.REAL and now.holds_in:
                why = "" if execution in now.holds_in else f" ({now.reason})"
                say(f"  holds in {', '.join(words(now.holds_in))}{why}")
            if path is not None:
                print(f"  certificate {path}", flush=True)
            elif exact and now.status is Status.UNKNOWN:
                say(f"  {now.reason}")
            if tip := hints.of_verdict(now, arguments.budget):
                say(f"  to try: {tip}")
            shown += 1
        bars.step()

    with ExitStack() as stack:
        ledger = None if arguments.ledger is None else stack.enter_context(Ledger(arguments.ledger))
        bars = stack.enter_context(progress())
        pool = stack.enter_context(pool_of(arguments, ledger))
        bars.stage("claims", len(asked))
        claims = [claim for _, claim in asked]
        kind: Callable[..., ProofJob] = partial(ExactJob, folder=folder) if exact else ProofJob
        jobs = (
            kind(claim, arguments.budget, device=arguments.device, execution=execution)
            for claim in claims
        )
        try:
            verdicts = pool.map(jobs, show)
        except KeyboardInterrupt:
            return stopped(arguments.ledger, f"{shown} of {len(asked)} claims are answered above")
    for line in _remarks(stored, network, asked=len(asked)):
        say(line)
    changed = [contradicts(entry, v) for (entry, _), v in zip(asked, verdicts, strict=True)]
    answered(
        arguments,
        claims=[
            {"id": entry.id, "verdict": verdict.to_json(), "contradicts_the_file": against}
            for (entry, _), verdict, against in zip(asked, verdicts, changed, strict=True)
        ],
    )
    return 1 if any(changed) else 0


def _remarks(stored: Stored, network: Network, asked: int) -> Iterator[str]:
    """What of the file was not asked again, and why."""
    for rule in stored.channel_rules:
        rule.pattern.check(network)
    if stored.channel_rules:
        yield (
            f"{how_many(len(stored.channel_rules), 'rule')} over channels: counted on data, no "
            "claim that could be proved again"
        )
    if not asked:
        yield _nothing(len(stored.preconditions))


def _nothing(entries: int) -> str:
    """Why there is nothing to prove, and what to do."""
    if not entries:
        return (
            "the file has no preconditions: nothing to prove.  'precond analyze' with a larger "
            "--budget, or a lower --precision or --support, finds some"
        )
    return (
        "no entry of the file makes a claim that could be proved: they tell right predictions from "
        "wrong ones, and that is no property of outputs.  'precond analyze --property "
        "predicted' (the default) looks for what implies a class"
    )


def _wanted(arguments: argparse.Namespace, known: set[str]) -> set[str]:
    """The entries of --only, which must be there."""
    from precond.errors import QueryError

    wanted = set(arguments.only or ())
    if missing := wanted - known:
        raise QueryError(
            f"--only {', '.join(sorted(missing))}",
            expected=f"an id of {arguments.file}",
            got="none of that name",
        )
    return wanted
