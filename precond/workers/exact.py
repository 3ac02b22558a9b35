"""``ExactJob``: the verdict of one claim with a certificate, wherever a pool runs it.

The certificate travels with the verdict; who asked for it writes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from precond.proof.certificates.folder import kept, place
from precond.proof.deadline import Deadline
from precond.proof.ledger.ledger import Ledger
from precond.proof.verdict import Verdict
from precond.workers.pool import ProofJob

SHARE = 0.5  # of the budget, to check a file
FIRST = 1.0  # seconds at most, where it is looked at before the job is given away


@dataclass(frozen=True, eq=False)
class ExactJob(ProofJob):
    """``prove(claim, exact=True)``, unless ``folder`` has a certificate that is valid."""

    exact: ClassVar[bool] = True
    folder: Path | None = None

    def known(self, ledger: Ledger) -> Verdict | None:
        return self._kept(min(FIRST, SHARE * self.budget)) or super().known(ledger)

    def run(self, ledger: Ledger | None) -> Verdict:
        whole = Deadline.after(self.budget)
        found = self._kept(SHARE * self.budget)
        if found is not None:
            return found
        if self.folder is None or not place(self.folder, self.claim).exists():
            return super().run(ledger)
        return ProofJob.run(replace(self, budget=whole.left), ledger)

    def _kept(self, seconds: float) -> Verdict | None:
        if self.folder is None:
            return None
        return kept(self.folder, self.claim, Deadline.after(seconds))
