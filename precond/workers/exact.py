"""``ExactJob``: the verdict of one claim with a certificate, wherever a pool runs it.

The certificate travels with the verdict; who asked for it writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from precond.proof.certificates.folder import kept
from precond.proof.ledger.ledger import Ledger
from precond.proof.verdict import Verdict
from precond.workers.pool import ProofJob


@dataclass(frozen=True, eq=False)
class ExactJob(ProofJob):
    """``prove(claim, exact=True)``, unless ``folder`` has a certificate that is valid."""

    exact: ClassVar[bool] = True
    folder: Path | None = None

    def known(self, ledger: Ledger) -> Verdict | None:
        return self._kept() or super().known(ledger)

    def run(self, ledger: Ledger | None) -> Verdict:
        return self._kept() or super().run(ledger)

    def _kept(self) -> Verdict | None:
        return None if self.folder is None else kept(self.folder, self.claim)
