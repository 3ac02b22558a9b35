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
    from precond.proof.prover.rule_logic import BoxedRule as BoxedRule
    from precond.proof.prover.rule_logic import RuleAnswer as RuleAnswer
    from precond.proof.prover.rule_logic import Truth as Truth
    from precond.proof.prover.rule_logic import complete as complete
    from precond.proof.prover.rule_logic import contradicts as contradicts
    from precond.proof.prover.rule_logic import equivalent as equivalent
    from precond.proof.prover.rule_logic import implies as implies
    from precond.proof.prover.rule_logic import overlaps as overlaps
    from precond.proof.prover.rule_logic import rule_of as rule_of
    from precond.proof.verdict import Status as Status
    from precond.proof.verdict import Verdict as Verdict

_HOMES = {
    "BoxedRule": "precond.proof.prover.rule_logic",
    "Claim": "precond.proof.claim",
    "Kind": "precond.proof.precondition",
    "Ledger": "precond.proof.ledger.ledger",
    "Precondition": "precond.proof.precondition",
    "RuleAnswer": "precond.proof.prover.rule_logic",
    "Status": "precond.proof.verdict",
    "Support": "precond.proof.precondition",
    "Truth": "precond.proof.prover.rule_logic",
    "Verdict": "precond.proof.verdict",
    "complete": "precond.proof.prover.rule_logic",
    "contradicts": "precond.proof.prover.rule_logic",
    "equivalent": "precond.proof.prover.rule_logic",
    "implies": "precond.proof.prover.rule_logic",
    "overlaps": "precond.proof.prover.rule_logic",
    "prove": "precond.proof.prover.prove",
    "rule_of": "precond.proof.prover.rule_logic",
}
__getattr__, __dir__, __all__ = door(__name__, _HOMES)
