"""A folder of certificates, one file for each claim, named by the claim's content.

A file that is there is believed only after it was checked, and only for the very statement
that the claim makes.  One that takes longer to check than there is time is not believed either.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from precond.checker.certificate import Certificate
from precond.checker.exact import check
from precond.checker.fast import check_fast
from precond.checker.files import read_certificate, write_certificate
from precond.errors import DataError, OutputError
from precond.proof.certificates.certify import statement_of
from precond.proof.claim import Claim
from precond.proof.deadline import FOREVER, Deadline
from precond.proof.verdict import Status, Verdict

ENGINE = "certificate"  # of a verdict that rests on a file
READ = 5e6  # bytes of a file that are read in a second, at least


def place(folder: Path, claim: Claim) -> Path:
    """Where the certificate of ``claim`` lies in ``folder``."""
    return folder / f"{claim.key[:32]}.certificate"


def keep(folder: Path, claim: Claim, certificate: Certificate) -> Path:
    """Write ``certificate`` whole or not at all; its place.  OutputError where that fails."""
    path = place(folder, claim)
    part = path.with_suffix(f".{os.getpid()}.part")
    write_certificate(certificate, part)
    try:
        part.replace(path)
    except OSError as error:
        raise OutputError(
            f"certificate {path}", expected="a place to write", got=error.strerror or str(error)
        ) from error
    return path


def kept(folder: Path, claim: Claim, deadline: Deadline = FOREVER) -> Verdict | None:
    """The verdict that a file in ``folder`` proves; None where there is none that is valid and
    states just this claim, or where that is not known by the deadline."""
    path = place(folder, claim)
    begun = time.monotonic()
    try:
        if path.stat().st_size > READ * deadline.left:
            return None
        made = read_certificate(path)
    except (DataError, OSError):
        return None  # none, or damaged: the claim is proved anew
    stated = statement_of(claim, made.statement.vacuous)
    if not made.statement.same(stated):
        return None
    judge = check_fast if made.bits else check
    if not judge(made, claim.network, lambda: deadline.passed).valid:
        return None
    status = Status.VACUOUS if made.statement.vacuous else Status.PROVED
    spent = time.monotonic() - begun
    return Verdict(status, ENGINE, spent, exact=True, certificate=made)
