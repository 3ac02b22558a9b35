"""Certificates as data, their files, and a checker that stands on exact arithmetic alone.

Nothing here imports the prover: what is written twice is written twice on purpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from precond.basics.exports import door

if TYPE_CHECKING:
    from precond.checker.certificate import Certificate as Certificate
    from precond.checker.exact import check as check
    from precond.checker.files import read_certificate as read_certificate
    from precond.checker.files import write_certificate as write_certificate

_HOMES = {
    "Certificate": "precond.checker.certificate",
    "check": "precond.checker.exact",
    "read_certificate": "precond.checker.files",
    "write_certificate": "precond.checker.files",
}
__getattr__, __dir__, __all__ = door(__name__, _HOMES)
