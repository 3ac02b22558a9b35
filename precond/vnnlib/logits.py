"""Atoms about the outputs of a network with a last activation, as atoms about its logits.

What cannot be carried over exactly (``logit_property``) is refused.  A threshold whose logit is
no rational becomes one on each side of it: a formula that surely holds only of violations, to
judge witnesses by, and one that holds of all of them, to prove that there are none.
"""

from __future__ import annotations

from fractions import Fraction

from precond.logit_property import REMEDY, carried
from precond.network.activation import OutputActivation
from precond.network.graph import Network
from precond.vnnlib.formula import Atom, Formula, UnsupportedQuery, mapped


def formula_on_logits(formula: Formula, network: Network, source: str) -> tuple[Formula, Formula]:
    """(holds only of violations, holds of all violations), both of ``network.logits``."""
    if network.output_activation is OutputActivation.NONE:
        return formula, formula
    surely, maybe = (
        mapped(formula, lambda atom, k=k: _atoms(atom, network, source)[k])  # type: ignore[misc]
        for k in (0, 1)
    )
    return surely, maybe


def _atoms(atom: Atom, network: Network, source: str) -> tuple[Atom, Atom]:
    """The atom on logits, a little narrower and a little wider where its number is rounded."""
    output, activation = network.output, network.output_activation
    terms = {index: -c for (node, index), c in atom.terms if node == output}
    rest = tuple(term for term in atom.terms if term[0][0] != output)
    if not terms:
        return atom, atom
    log = activation is OutputActivation.LOG_SOFTMAX
    if rest and log and sum(terms.values()) == 0:
        return atom, atom
    size = network.output_size
    found = (
        None
        if rest
        else carried(terms, atom.constant, activation, outputs=size, strict=atom.strict)
    )
    if found is None:
        raise UnsupportedQuery(
            f"{source}, line {atom.line}: {network.origin} ends in {activation.value}",
            expected="comparisons of two of its outputs, or what else carries over to logits",
            got="another use of its outputs",
            fix=REMEDY,
        )
    if isinstance(found, bool):
        always = Atom((), Fraction(-1 if found else 1), strict=False, line=atom.line)
        return always, always
    over = tuple(((output, index), -c) for index, c in found.terms.items())
    return (
        Atom(over, found.high, atom.strict, line=atom.line),
        Atom(over, found.low, atom.strict, line=atom.line),
    )
