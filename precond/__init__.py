"""precond: say why a ReLU network does what it does, and prove it.

The names below, and those of the folders one below (``precond.apply``, ``precond.data``, …), are
the public interface for Python.  Each is loaded when it is first used, so that ``import precond``
costs nothing and needs no solver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from precond.basics.exports import door
from precond.basics.moved import keep_old_names

if TYPE_CHECKING:
    from precond.errors import PrecondError as PrecondError
    from precond.formats.load import load as load
    from precond.mine.boxes.largest_box import underapproximation_box as underapproximation_box
    from precond.mine.input_preconditions.relax import InputPrecondition as InputPrecondition
    from precond.mine.input_preconditions.relax import input_precondition as input_precondition
    from precond.mine.layer_rules.learn import LayerRule as LayerRule
    from precond.mine.layer_rules.learn import layer_preconditions as layer_preconditions
    from precond.network.graph import Network as Network
    from precond.proof.claim import Claim as Claim
    from precond.proof.ledger.ledger import Ledger as Ledger
    from precond.proof.precondition import Precondition as Precondition
    from precond.proof.prover.prove import prove as prove
    from precond.proof.verdict import Status as Status
    from precond.proof.verdict import Verdict as Verdict
    from precond.property import Property as Property
    from precond.region.box import Box as Box
    from precond.region.pattern import DecisionPattern as DecisionPattern
    from precond.region.recording import record as record
    from precond.region.signature import Signatures as Signatures

_HOMES = {
    "Box": "precond.region.box",
    "Claim": "precond.proof.claim",
    "DecisionPattern": "precond.region.pattern",
    "InputPrecondition": "precond.mine.input_preconditions.relax",
    "LayerRule": "precond.mine.layer_rules.learn",
    "Ledger": "precond.proof.ledger.ledger",
    "Network": "precond.network.graph",
    "PrecondError": "precond.errors",
    "Precondition": "precond.proof.precondition",
    "Property": "precond.property",
    "Signatures": "precond.region.signature",
    "Status": "precond.proof.verdict",
    "Verdict": "precond.proof.verdict",
    "input_precondition": "precond.mine.input_preconditions.relax",
    "layer_preconditions": "precond.mine.layer_rules.learn",
    "load": "precond.formats.load",
    "prove": "precond.proof.prover.prove",
    "record": "precond.region.recording",
    "underapproximation_box": "precond.mine.boxes.largest_box",
}
__getattr__, __dir__, __all__ = door(__name__, _HOMES)
keep_old_names()
