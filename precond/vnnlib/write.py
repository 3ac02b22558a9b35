"""A claim as a VNN-LIB 1.0 query: unsat where the claim is proved, sat where it is refuted.

Every float is written as the decimal that it is, so that a reader of exact decimals gets the
same claim back.  Differences of two outputs are written as comparisons, which is what most
solvers read.
"""

from __future__ import annotations

from decimal import Decimal

from precond.errors import QueryError
from precond.proof.claim import Claim
from precond.region.inequality import Inequality


def claim_text(claim: Claim, title: str = "") -> str:
    """The text of a file; QueryError where VNN-LIB 1.0 cannot say what the claim says."""
    if len(claim.pattern):
        raise QueryError(
            f"claim {title}".strip(),
            expected="a claim without a pattern: VNN-LIB 1.0 knows inputs and outputs alone",
            got=f"one about {len(claim.pattern)} neurons",
            fix="'precond prove' proves it again, with certificates that 'precond check' checks",
        )
    inputs, outputs = claim.network.input_size, claim.network.output_size
    lines = [f"; {line}" for line in title.splitlines()]
    lines += [f"(declare-const X_{i} Real)" for i in range(inputs)]
    lines += [f"(declare-const Y_{i} Real)" for i in range(outputs)]
    for i, (low, high) in enumerate(zip(claim.box.lower, claim.box.upper, strict=True)):
        lines.append(f"(assert (>= X_{i} {decimal(low)}))")
        lines.append(f"(assert (<= X_{i} {decimal(high)}))")
    if claim.halfspaces is not None:
        for row, bound in zip(claim.halfspaces.matrix, claim.halfspaces.bound, strict=True):
            terms = [(float(v), f"X_{i}") for i, v in enumerate(row) if v]
            lines.append(f"(assert (<= {_sum(terms)} {decimal(bound)}))")
    ways = [" ".join(map(_atom, conjunct)) for conjunct in claim.property.negation()]
    cases = "\n".join(f"  (and {way})" for way in ways)
    lines.append(f"(assert (or\n{cases}\n))")
    return "\n".join(lines) + "\n"


def decimal(value: float) -> str:
    """The float as the decimal number that it is."""
    text = format(Decimal(float(value)), "f")
    return text if "." in text else f"{text}.0"


def _atom(inequality: Inequality) -> str:
    sign = ">" if inequality.strict else ">="
    terms = [(v, f"Y_{i}") for i, v in inequality.outputs]
    terms += [(v, f"X_{i}") for i, v in inequality.inputs]
    if not inequality.bound and sorted(v for v, _ in terms) == [-1.0, 1.0]:
        (low,), (high,) = ([n for v, n in terms if v == sign_] for sign_ in (-1.0, 1.0))
        return f"({sign} {high} {low})"
    return f"({sign} {_sum(terms)} {decimal(inequality.bound)})"


def _sum(terms: list[tuple[float, str]]) -> str:
    words = [n if v == 1.0 else f"(* {decimal(v)} {n})" for v, n in terms]
    return words[0] if len(words) == 1 else f"(+ {' '.join(words or ['0.0'])})"
