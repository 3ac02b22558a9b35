"""Certificate files changed and forged: is any called valid that is not what it was, or was true?

``--changes`` files are made from good certificates of small networks by changes of raw bytes
(resealed with a digest that fits), of the arrays and of the header; then come those forged by
hand.  Counted are files that both checkers are given and

    same        valid, with the content that the good file had: the change had no meaning
    other       valid, of another content that holds too: ``certificate_oracle`` says so of the
                proof, in fractions, and no point that was tried contradicts the statement
    WRONG       valid in any other case
    traceback   whatever is raised but the one-line error of a file that cannot be read
    slow        more than two seconds of CPU time
    large       more than ten times the file's bytes, above what the good file takes and two MiB

Exit status 1 if there is any of the last four.

    python benchmarks/trust_fuzz.py --changes 5000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "proof"))

from certificate_damage import is_false
from certificate_damage_proof import holds, small_certificates
from certificate_files import changed, same
from certificate_forged import bombs, frauds, loads
from multiplier_damage import PROGRAM_SEEDS, by_programs
from small_networks import layered
from step_damage import STEP_SEEDS, by_steps

from precond.checker.certificate import Certificate
from precond.checker.exact import CheckResult, check
from precond.checker.fast import check_fast
from precond.checker.files import read_certificate, write_certificate
from precond.errors import DataError
from precond.network.graph import Network

Checker = Callable[[Certificate, Network], CheckResult]
SECONDS, TIMES, BESIDES = 2.0, 10, 1 << 21
BAD = ("WRONG", "traceback", "slow", "large")


@dataclass(frozen=True)
class Outcome:
    """``valid``: what was read, if either checker accepts it."""

    word: str
    valid: Certificate | None
    seconds: float
    peak: int


def judged(raw: bytes, network: Network, path: Path) -> Outcome:
    """Read, print and check a file, and measure that."""
    path.write_bytes(raw)
    words: dict[str, Certificate | None] = {}
    seconds, peaks = [], []
    for checker in (check, check_fast):
        for traced in (False, True):
            if traced:
                tracemalloc.start()
            begun = time.process_time()
            words |= taken(path, network, checker)
            if traced:
                peaks.append(tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()
            else:
                seconds.append(time.process_time() - begun)
    word = next(name for name in ("traceback", "valid", "not valid", "refused") if name in words)
    return Outcome(word, words[word], max(seconds), max(peaks))


def taken(path: Path, network: Network, checker: Checker) -> dict[str, Certificate | None]:
    """What becomes of a file, and what was read of it if it is valid."""
    try:
        given = read_certificate(path)
        for line in islice(given.statement.lines(), 40):
            assert line.isprintable(), line
        return {"valid": given} if checker(given, network).valid else {"not valid": None}
    except DataError as error:
        return {"refused" if str(error).isprintable() else "traceback": None}
    except Exception:
        traceback.print_exc()
        return {"traceback": None}


def meaning(
    found: Certificate, good: Certificate, network: Network, rng: np.random.Generator
) -> str:
    """What a valid certificate that came of a good one is."""
    s = found.statement
    if same(found, good):
        return "same"
    points = s.lower + (s.upper - s.lower) * rng.uniform(size=(40, s.lower.size))
    true = not is_false(s, network, points) and holds(found, network)
    return "other" if true else "WRONG"


class Count:
    """Outcomes, by what was done to a file."""

    def __init__(self) -> None:
        self.words: Counter[str] = Counter()
        self.bad: list[str] = []
        self.longest, self.largest = 0.0, 0.0

    def enter(self, name: str, word: str, outcome: Outcome, size: int, base: int) -> None:
        self.words[word] += 1
        self.longest = max(self.longest, outcome.seconds)
        self.largest = max(self.largest, (outcome.peak - base - BESIDES) / size)
        found = [word] if word in BAD else []
        found += ["slow"] if outcome.seconds > SECONDS else []
        found += ["large"] if outcome.peak > TIMES * size + base + BESIDES else []
        if found:
            figures = f"{outcome.seconds:.2f} s, {outcome.peak} of {size} bytes"
            self.bad.append(f"{name}: {', '.join(found)} ({figures})")
            print(self.bad[-1], flush=True)

    def __str__(self) -> str:
        words = ", ".join(f"{n} {word}" for word, n in sorted(self.words.items()))
        return f"{words}; {self.longest:.2f} s, {max(self.largest, 0):.1f} times the file at most"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--changes", type=int, default=5000)
    parser.add_argument("--certificates", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for files that were taken wrongly")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(chosen.seed)
    counts = {name: Count() for name in ("changed", "forged", "costly", "long")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "certificate"
        good = []
        steps = [by_programs(PROGRAM_SEEDS[0]), by_steps(STEP_SEEDS[0]), by_steps(STEP_SEEDS[-1])]
        for claim, made in (*small_certificates(rng, chosen.certificates), *steps):
            write_certificate(made, path)
            raw = path.read_bytes()
            first = judged(raw, claim.network, path)
            assert first.word == "valid"
            good.append((claim.network, made, raw, first.peak))
        for k in range(chosen.changes):
            network, made, raw, base = good[k % len(good)]
            name, other = changed(raw, rng)
            outcome = judged(other, network, path)
            word = outcome.word
            if outcome.valid is not None:
                word = meaning(outcome.valid, made, network, rng)
            counts["changed"].enter(f"{k} {name}", word, outcome, len(other), base)
            if word in BAD and chosen.keep is not None:
                chosen.keep.mkdir(parents=True, exist_ok=True)
                (chosen.keep / f"{k}").write_bytes(other)
            if k % 500 == 499:
                print(f"{k + 1} changes: {counts['changed']}", flush=True)
        network = layered(([[1.0]], [0.0]), ([[1.0]], [0.0]))
        base = judged(next(frauds(network))[1], network, path).peak
        for name, raw in frauds(network):
            outcome = judged(raw, network, path)
            word = "WRONG" if outcome.valid is not None else outcome.word
            counts["forged"].enter(name, word, outcome, len(raw), base)
        for what, files in (("costly", bombs), ("long", loads)):
            for name, raw in files(network):
                outcome = judged(raw, network, path)
                figures = f"{outcome.seconds:.2f} s, {outcome.peak >> 10} KiB"
                print(f"{name}: {len(raw)} bytes, {outcome.word}, {figures}", flush=True)
                counts[what].enter(name, outcome.word, outcome, len(raw), base)
    for what, count in counts.items():
        print(f"{what}: {count}")
    return 1 if any(count.bad for count in counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
