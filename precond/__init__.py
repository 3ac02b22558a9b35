"""precond: say why a ReLU network does what it does, and prove it.

The names below are the whole public interface for Python; each is imported when it is
first used, so that ``import precond`` costs nothing and needs no solver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from precond.errors import PrecondError as PrecondError
    from precond.formats.load import load as load
    from precond.mine.boxes.largest_box import underapproximation_box as underapproximation_box
    from precond.mine.input_preconditions.relax import input_precondition as input_precondition
    from precond.mine.layer_rules.learn import layer_preconditions as layer_preconditions
    from precond.network.graph import Network as Network
    from precond.proof.arithmetic import Arithmetic as Arithmetic
    from precond.proof.claim import Claim as Claim
    from precond.proof.precondition import Precondition as Precondition
    from precond.proof.prover.prove import prove as prove
    from precond.proof.verdict import Status as Status
    from precond.proof.verdict import Verdict as Verdict
    from precond.property import Property as Property
    from precond.region.box import Box as Box
    from precond.region.pattern import DecisionPattern as DecisionPattern
    from precond.region.signature import Signatures as Signatures
    from precond.region.signature import record as record

_HOME = {
    "PrecondError": "precond.errors",
    "input_precondition": "precond.mine.input_preconditions.relax",
    "layer_preconditions": "precond.mine.layer_rules.learn",
    "underapproximation_box": "precond.mine.boxes.largest_box",
    "Network": "precond.network.graph",
    "load": "precond.formats.load",
    "Arithmetic": "precond.proof.arithmetic",
    "Claim": "precond.proof.claim",
    "Precondition": "precond.proof.precondition",
    "prove": "precond.proof.prover.prove",
    "Status": "precond.proof.verdict",
    "Verdict": "precond.proof.verdict",
    "Property": "precond.property",
    "Box": "precond.region.box",
    "DecisionPattern": "precond.region.pattern",
    "Signatures": "precond.region.signature",
    "record": "precond.region.signature",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'precond' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
