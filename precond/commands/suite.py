"""``precond verify LIST.csv --out RESULTS.csv``: many queries in one run."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from precond.commands.answers import answered
from precond.commands.arguments import output_folder
from precond.commands.places import add_places, pool_of
from precond.commands.stopped import AGAIN, stopped
from precond.errors import QueryError

if TYPE_CHECKING:
    from precond.vnnlib.suite.instances import Instance
    from precond.vnnlib.suite.results import ResultRow

SUFFIX = ".csv"
WORDS = ("unsat", "sat", "unknown", "timed-out", "error")
CONTRADICTED = 1  # exit status where a known answer is another one


def add_suite(verify: argparse.ArgumentParser) -> None:
    """Options of ``verify`` that a list of queries takes."""
    group = verify.add_argument_group("a list of queries (QUERY is a .csv file)")
    group.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the answers, one row a query as it is known; a run that finds the file goes on",
    )
    group.add_argument(
        "--ledger", type=Path, metavar="FILE", help="keep verdicts there, and take them from it"
    )
    add_places(verify)


def is_suite(arguments: argparse.Namespace) -> bool:
    """Whether a list of queries is asked for; refuses options that do not go together."""
    listed = bool(arguments.query.suffix.lower() == SUFFIX)
    if listed and arguments.network:
        raise QueryError("--network", expected="none, the list names them", got="--network")
    if listed and arguments.out is None:
        raise QueryError(
            f"{arguments.query}",
            expected="--out RESULTS.csv with a list of queries",
            got="no --out",
        )
    if listed and arguments.serialise_assignments is not None:
        raise QueryError(
            "--serialise-assignments", expected="one query", got=f"the list {arguments.query}"
        )
    if not listed and not arguments.network:
        raise QueryError("--network", expected="NAME=MODEL or MODEL", got="none")
    more = arguments.out, arguments.ledger, arguments.memory, arguments.scheduler
    if not listed and (any(more) or arguments.workers != 1):
        raise QueryError(
            "--out, --ledger, --memory, --workers, --scheduler",
            expected=f"a list of queries (a {SUFFIX} file)",
            got=f"one query, {arguments.query}",
        )
    return listed


def run_suite(arguments: argparse.Namespace) -> int:
    """Answer the list; exit status."""
    from precond.basics.progress import progress
    from precond.proof.ledger.ledger import Ledger
    from precond.vnnlib.suite.instances import read_instances
    from precond.vnnlib.suite.results import ResultsFile
    from precond.vnnlib.suite.run import Asked, answer_all, unanswered

    instances = read_instances(arguments.query)
    results = ResultsFile(arguments.out)
    if arguments.certificate is not None:
        output_folder(arguments.certificate, "--certificate")
    asked = Asked(
        limit=math.inf if arguments.timeout is None else arguments.timeout,
        device=arguments.device,
        seed=arguments.seed,
        as_real=arguments.as_real,
        outputs=arguments.outputs,
        exact=arguments.exact or arguments.certificate is not None,
        certificates=arguments.certificate,
        input_shape=arguments.input_shape,
        activation=arguments.activation,
        output=arguments.output,
    )
    open_ = unanswered(instances, asked, results)
    with ExitStack() as stack:
        ledger = None if arguments.ledger is None else stack.enter_context(Ledger(arguments.ledger))
        pool = stack.enter_context(pool_of(arguments, ledger))
        bars = stack.enter_context(progress())
        bars.stage("queries", len(open_))
        try:
            answer_all(pool, instances=open_, asked=asked, results=results, done=bars.step)
        except KeyboardInterrupt:
            _say(arguments, instances, results.rows)
            return stopped(ledger=None, known=AGAIN)
    results.in_order(instances)
    return _say(arguments, instances, results.rows)


def _say(
    arguments: argparse.Namespace,
    instances: Sequence[Instance],
    rows: dict[tuple[str, str], ResultRow],
) -> int:
    """The answers counted; exit status."""
    known = [(one, rows[one.name]) for one in instances if one.name in rows]
    counts = Counter(row.result for _, row in known)
    said = ", ".join(f"{counts[word]} {word}" for word in WORDS if counts[word])
    spent = sum(row.cpu_seconds for _, row in known if math.isfinite(row.cpu_seconds))
    print(f"{len(known)} of {len(instances)} queries answered: {said or 'none'}")
    print(f"CPU seconds    {spent:.1f}")
    print(f"answers        {arguments.out}")
    against = [one for one, row in known if row.contradicts(one)]
    for one in against:
        print(f"contradicts the list's {one.answer}: {one.network} {one.query}")
    answered(
        arguments,
        queries=len(instances),
        answers=counts,
        cpu_seconds=spent,
        file=arguments.out,
        against=[f"{one.network} {one.query}" for one in against],
    )
    return CONTRADICTED if against else 0
