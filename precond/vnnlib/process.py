"""``precond verify`` in a child process, so that it ends in time whatever runs.

Loading, a linear program, a matrix product: none of them can be stopped from within.  The
child does all the work and writes one JSON object, ``{"text": …}`` or ``{"error": …}``, on
its standard output; the parent waits until ``GRACE`` seconds past the deadline, then kills it
and says ``timed-out``.  What libraries print in the child goes to standard error.  The child
ends with its parent.

    python -m precond.vnnlib.process '{"query": …, "at": …}'
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import precond
from precond.basics.quiet import quiet_libraries

GRACE = 0.8
LONGEST = 20 * 86400.0  # seconds that the system can be told to wait
PR_SET_PDEATHSIG = 1
BUG = 1  # exit status of a child that ended by an exception nobody expected


@dataclass(frozen=True)
class VerifyReply:
    """``text`` for stdout, or ``error``, one line; ``note`` for stderr beside a text."""

    text: str = ""
    error: str = ""
    note: str = ""
    status: int = 0


def ask(request: Mapping[str, Any], at: float) -> VerifyReply:
    """Run a request (the fields of ``verify.Request`` as plain values) that should end when
    the monotonic clock, which all processes of a machine share, shows ``at`` (may be inf)."""
    limited = math.isfinite(at)
    asked = json.dumps({"request": dict(request), "at": at if limited else None})
    root = str(Path(precond.__file__).resolve().parents[1])
    path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH")) if p)
    with tempfile.TemporaryDirectory(prefix="precond-", ignore_cleanup_errors=True) as scratch:
        try:
            child = subprocess.run(
                [sys.executable, "-m", "precond.vnnlib.process", asked],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": path, "TMPDIR": scratch},
                timeout=min(max(0.0, at - time.monotonic()), LONGEST) + GRACE if limited else None,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            said = _said(late.output or b"")
            return said or VerifyReply(text="timed-out\n", note="stopped at the time limit")
    said = _said(child.stdout)
    if said is not None:
        return said
    if child.returncode < 0:
        ended = f"the solver was ended by signal {-child.returncode}, perhaps for lack of memory"
        return VerifyReply(text="unknown\n", note=ended)
    return VerifyReply(status=child.returncode or BUG)


def _said(output: bytes) -> VerifyReply | None:
    """The child's answer, if it is whole."""
    try:
        said = json.loads(output)
    except ValueError:
        return None
    return VerifyReply(text=said.get("text", ""), error=said.get("error", ""))


def _work(asked: dict[str, Any]) -> dict[str, str]:
    """The child's part: what ``ask`` reads."""
    from precond.errors import PrecondError
    from precond.proof.deadline import Deadline
    from precond.vnnlib.decide import Request, reply

    fields = dict(asked["request"])
    fields["query"] = Path(fields["query"])
    fields["networks"] = tuple(fields["networks"])
    for folder in ("assignments", "certificates"):
        if fields.get(folder) is not None:
            fields[folder] = Path(fields[folder])
    deadline = Deadline(math.inf if asked["at"] is None else float(asked["at"]))
    try:
        return {"text": reply(Request(**fields), deadline, say)}
    except PrecondError as error:
        return {"error": str(error)}
    except MemoryError:
        say("out of memory")
        return {"text": "unknown\n"}


def say(note: str) -> None:
    """One line on stderr."""
    print(f"precond: {note}", file=sys.stderr, flush=True)


def main() -> None:
    """Answer the request in the only argument."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    target = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with quiet_libraries():
        json.dump(_work(json.loads(sys.argv[1])), target)
    target.close()


if __name__ == "__main__":
    main()
