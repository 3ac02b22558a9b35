"""Claims, verdicts, and everything that answers one with the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from precond.basics.exports import door

if TYPE_CHECKING:
    from precond.proof.claim import Claim as Claim
    from precond.proof.ledger.ledger import Ledger as Ledger
    from precond.proof.precondition import Kind as Kind
    from precond.proof.precondition import Precondition as Precondition
    from precond.proof.precondition import Support as Support
    from precond.proof.prover.prove import prove as prove
    from precond.proof.verdict import Status as Status
    from precond.proof.verdict import Verdict as Verdict

_HOMES = {
    "Claim": "precond.proof.claim",
    "Kind": "precond.proof.precondition",
    "Ledger": "precond.proof.ledger.ledger",
    "Precondition": "precond.proof.precondition",
    "Status": "precond.proof.verdict",
    "Support": "precond.proof.precondition",
    "Verdict": "precond.proof.verdict",
    "prove": "precond.proof.prover.prove",
}
__getattr__, __dir__, __all__ = door(__name__, _HOMES)
