"""A folder of certificates, one file for each claim, named by the claim's content.

A file that is there is believed only after it was checked, and only for the very statement
that the claim makes.
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
from precond.proof.verdict import Status, Verdict

ENGINE = "certificate"  # of a verdict that rests on a file


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


def kept(folder: Path, claim: Claim) -> Verdict | None:
    """The verdict that a file in ``folder`` proves; None where there is none that is valid and
    states just this claim."""
    path = place(folder, claim)
    if not path.exists():
        return None
    begun = time.monotonic()
    try:
        made = read_certificate(path)
    except DataError:
        return None  # damaged: the claim is proved anew
    stated = statement_of(claim, made.statement.vacuous)
    if not made.statement.same(stated):
        return None
    judge = check_fast if made.bits else check
    if not judge(made, claim.network).valid:
        return None
    status = Status.VACUOUS if made.statement.vacuous else Status.PROVED
    spent = time.monotonic() - begun
    return Verdict(status, ENGINE, spent, exact=True, certificate=made)
