"""One class of a search over a whole domain: cut after cut, in whichever process it runs.

``ClassJob`` is a job for a pool: everything the work needs is in it and everything it finds in
``ClassPatterns``, so the answer is the same in this process and in another.  Every verdict of the
search is in the ledger at once, and so is what a second proof said of a pattern; a search that
was killed is done again, and takes them from there.
"""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from precond.mine.whole_space.class_pattern import ClassPattern
from precond.mine.whole_space.search import whole_space_patterns
from precond.mine.whole_space.settings import Search
from precond.network.evaluate import outputs, values_at
from precond.network.graph import INPUT, Network
from precond.proof.attempt import SecondProof
from precond.proof.certificates.folder import keep, kept
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.confirm import certified, confirm
from precond.proof.prover.prove import REVISION
from precond.proof.restate.tail import Tail
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.literals import literals_of
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures
from precond.study.whole_space.result import CutTrial, Forced

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
CONFIRMING = 0.25  # share of a class's time that is kept for second proofs
CERTIFYING = 0.15  # the same, where claims about the whole network get certificates
LEAST = 8.0  # seconds a second proof may take beyond its share of the class's time
FIRST = 0.6  # share of the time left that a cut may take, but for the last
BOTH = "twice"  # in a ledger: the verdict with its second proof, beside the first one's
SHOWN = 24  # forced literals kept for a pattern


@dataclass(frozen=True, eq=False)
class ClassJob:
    """``signatures``: of the class's training inputs, with pre-activations.  ``cuts``: in the
    order they are tried.  ``seconds``: for all of it.  ``certificates``: a folder in which those
    of the whole network are kept, which a ledger has no room for.  ``note``: told what is going
    on, where the job runs in the process that made it."""

    network: Network
    box: Box
    property: Property
    signatures: Signatures
    cuts: tuple[str, ...]
    search: Search
    seconds: float
    certificates: Path | None = None
    note: Callable[[str], None] | None = None

    @builtins.property  # here ``property`` is a field
    def budget(self) -> float:
        """Seconds after which it hangs."""
        return self.seconds + LEAST

    def known(self, ledger: Ledger) -> ClassPatterns | None:  # noqa: ARG002  as jobs of a pool
        """None: the proofs are in the ledger, the search among them is done again."""
        return None

    def run(self, ledger: Ledger | None) -> ClassPatterns:
        return search_class(self, ledger)

    def failed(self, reason: str) -> ClassPatterns:
        return ClassPatterns(
            self.cuts[0],
            patterns=(),
            moments=(),
            cuts=(),
            rounds=0,
            proofs=0,
            seconds=self.seconds,
            failed=reason,
        )


@dataclass(frozen=True, eq=False)
class ClassPatterns:
    """``patterns``: those of the best cut, proved twice where a second engine could.
    ``moments``: when each was proved, in seconds since the epoch.  ``failed``: why a worker
    could not finish, if none could."""

    cut: str
    patterns: tuple[ClassPattern, ...]
    moments: tuple[float, ...]
    cuts: tuple[CutTrial, ...]
    rounds: int
    proofs: int
    seconds: float
    failed: str = ""


def search_class(job: ClassJob, ledger: Ledger | None = None) -> ClassPatterns:
    """The patterns of one class: at each cut in turn, until one has recall enough."""
    began, wall = time.monotonic(), time.time()
    reserved = CERTIFYING if job.cuts == (INPUT,) else CONFIRMING
    limit = Deadline.after(job.seconds * (1 - reserved))
    best: tuple[float, str, list[ClassPattern], list[float]] = (-1.0, job.cuts[0], [], [])
    trials: list[CutTrial] = []
    rounds = proofs = 0
    for turn, cut in enumerate(job.cuts):
        if turn and limit.passed:
            break
        started = time.monotonic()
        last = turn == len(job.cuts) - 1  # earlier cuts are likelier: see FIRST
        share = limit if last else limit.earlier(FIRST * limit.left)
        patterns = whole_space_patterns(
            Tail(job.network, job.box, cut, deadline=share),
            job.property,
            job.signatures,
            search=job.search,
            deadline=share,
            note=None if job.note is None else _at(job.note, cut),
            ledger=ledger,
        )
        covered = (
            np.any([f.inside for f in patterns], axis=0) if patterns else np.zeros(1, np.bool_)
        )
        recall = float(covered.mean())
        trials.append(
            CutTrial(cut, patterns=len(patterns), recall=recall, seconds=time.monotonic() - started)
        )
        rounds += sum(f.rounds for f in patterns)
        proofs += sum(f.proofs for f in patterns)
        if recall > best[0]:
            ends = np.cumsum([f.seconds for f in patterns]) + (started - began) + wall
            best = (recall, cut, patterns, ends.tolist())
        if recall >= job.search.enough:
            break
    _, cut, patterns, moments = best
    end = Deadline.after(job.seconds - (time.monotonic() - began))
    return ClassPatterns(
        cut,
        patterns=tuple(_confirmed(job, cut, patterns, end=end, ledger=ledger)),
        moments=tuple(moments),
        cuts=tuple(trials),
        rounds=rounds,
        proofs=proofs,
        seconds=time.monotonic() - began,
    )


def _confirmed(
    job: ClassJob, cut: str, patterns: Sequence[ClassPattern], end: Deadline, ledger: Ledger | None
) -> Iterator[ClassPattern]:
    """Each with its second proof, or its certificate."""
    weight = np.array([1.0 + one.verdict.seconds for one in patterns])
    for turn, one in enumerate(patterns):
        claim = Claim(job.network, job.box, one.pattern, property=job.property)
        share = float(weight[turn] / weight[turn:].sum())
        half = end.earlier(end.left * share / 2)
        verdict = _remembered(job, cut, claim, first=one.verdict, ledger=ledger, deadline=half)
        if verdict is None and end.passed:
            late = SecondProof(Status.UNKNOWN, engines=(), seconds=0.0, reason="time ran out")
            yield replace(one, verdict=replace(one.verdict, second=late))
            continue
        if verdict is None:
            verdict = confirm(
                claim,
                one.verdict,
                tail=Tail(job.network, job.box, cut, deadline=end),
                budget=min(max(end.left * share, LEAST), end.left),
                device=job.search.device,
            )
            if job.certificates is not None and verdict.certificate is not None:
                job.certificates.mkdir(parents=True, exist_ok=True)
                keep(job.certificates, claim, verdict.certificate)
            if ledger is not None and verdict.is_proved:
                ledger.put(_key(claim), verdict, job.seconds)
                ledger.put(f"{_key(claim)}:{BOTH}", verdict, job.seconds)
        yield replace(one, verdict=verdict)


def _remembered(
    job: ClassJob,
    cut: str,
    claim: Claim,
    first: Verdict,
    ledger: Ledger | None,
    deadline: Deadline,
) -> Verdict | None:
    """What an earlier run came to after the ``first`` proof of ``claim``: its certificate
    where it wants one and checks it by the ``deadline``, else what its second proof said."""
    if cut == INPUT and job.certificates is not None:
        known = kept(job.certificates, claim, deadline)
        if known is not None and known.is_proved:
            return certified(first, known)
    known = None if ledger is None else ledger.get(f"{_key(claim)}:{BOTH}", 0.0)
    if known is None or known.exact or not known.is_proved_twice:
        return None  # of an exact one the certificate is wanted, which no ledger has
    return known


def _key(claim: Claim) -> str:
    """As ``prove`` writes it in a ledger."""
    return f"{REVISION}:{claim.key}"


def _at(note: Callable[[str], None], cut: str) -> Callable[[str], None]:
    return lambda text: note(f"{cut}: {text}")


def forced_literals(
    tail: Tail, pattern: DecisionPattern, witnesses: Array, signatures: Signatures, rows: Rows
) -> tuple[Forced, ...]:
    """For each literal of ``pattern`` the counterexample that asks for it most: one that no
    other literal excludes where there is one, else the one it excludes deepest.

    ``witnesses`` (k, m) are values of the cut layer; ``signatures`` of the training inputs,
    whose row numbers are ``rows``.  Literals that exclude most come first.
    """
    if not len(witnesses) or not len(pattern):
        return ()
    rest = tail.rest
    values = {} if tail.cut == INPUT else {tail.cut: witnesses}
    for layer in rest.decision_layers:
        values[layer] = values_at(rest, witnesses, rest.pre_activation(layer))
    # A literal before the cut excludes no value of it.
    literals = [literal for literal in literals_of(pattern) if literal.layer in tail.layers]
    depth = np.stack([_depth(values[layer][:, i], on) for layer, i, on in literals], axis=1)
    excluded = depth > 0
    alone = excluded & (excluded.sum(1) == 1)[:, None]
    said = rest.classes.predicted(outputs(rest, witnesses))
    seen = _directions(np.maximum(signatures.values(tail.cut), 0.0))
    toward = _directions(witnesses)
    result = []
    for k, literal in enumerate(literals):
        if not excluded[:, k].any():
            continue
        chosen = alone[:, k] if alone[:, k].any() else excluded[:, k]
        w = int(np.argmax(np.where(chosen, depth[:, k], -1.0)))
        likeness = seen @ toward[w]
        near = int(likeness.argmax())
        result.append(
            Forced(
                literal,
                values=witnesses[w],
                output=int(said[w]),
                nearest=int(rows[near]),
                distance=float(np.degrees(np.arccos(min(likeness[near], 1.0)))),
                alone=bool(alone[:, k].any()),
                excluded=int(excluded[:, k].sum()),
            )
        )
    result.sort(key=lambda f: (not f.alone, -f.excluded))
    return tuple(result[:SHOWN])


def _directions(values: Array) -> Array:
    """Rows scaled to length 1 (zero stays zero)."""
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(length > 0, length, 1.0))


def _depth(z: Array, on: bool) -> Array:
    return np.maximum(-z if on else z, 0.0)
