"""``Study``: what a run is about; ``Work``: a study with the means to do it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from precond.basics.progress import Progress
from precond.data.datasets import Dataset
from precond.mine.support import wilson
from precond.network.graph import Network
from precond.proof.precondition import Precondition, Support
from precond.region.box import Box
from precond.region.channels import ChannelPattern
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures
from precond.study.analysis import Analysis, CurvePoint, Domain
from precond.study.goals import Goal
from precond.study.options import Options
from precond.workers.pool import Pool


@dataclass(frozen=True, eq=False, kw_only=True)
class Study:
    """A question about a network over a domain, and the data that is looked at.

    ``signatures`` covers all rows of ``data.inputs``.
    """

    network: Network
    data: Dataset
    signatures: Signatures
    domain: Domain
    goal: Goal

    @cached_property
    def within(self) -> NDArray[np.bool_]:
        """Which inputs lie in the domain's box, (N,)."""
        return self.domain.box.contains(self.data.flat)

    def carries(self, label: int) -> NDArray[np.bool_]:
        """Which inputs have ``label``, (N,)."""
        return np.asarray(self.goal.labels == label)

    def analysis(
        self,
        preconditions: tuple[Precondition, ...],
        *,
        model: Path,
        curve: tuple[CurvePoint, ...] = (),
        seconds: float,
        budget: float,
        interrupted: bool,
        notes: tuple[str, ...],
    ) -> Analysis:
        """What a run came to; ``model``: where its file is."""
        return Analysis(
            model=model,
            network=self.network,
            data=self.data,
            domain=self.domain,
            property=self.goal.text,
            goal=self.goal.kind,
            signatures=self.signatures,
            preconditions=preconditions,
            curve=curve,
            seconds=seconds,
            budget=budget,
            interrupted=interrupted,
            notes=notes,
        )

    def support(
        self,
        pattern: DecisionPattern | ChannelPattern,
        label: int,
        box: Box,
        *,
        recalled: Box | None = None,
    ) -> Support:
        """Support of a pattern among the inputs that its claim is about: those in ``box``.

        Recall is a share of the label's inputs: of all, or of those in the box ``recalled``.
        """
        data, carries = self.data, self.carries(label)
        within = self.within if box is self.domain.box else box.contains(data.flat)
        inside = pattern.holds(self.signatures) & within
        wanted = carries if recalled is None else carries & recalled.contains(data.flat)
        held, train = inside[data.held_out], inside[data.train]
        hits = int((held & carries[data.held_out]).sum())
        total = int(wanted[data.held_out].sum())
        covered = int(held.sum())
        return Support(
            int(train.sum()),
            held_out=covered,
            precision=hits / covered if covered else None,
            recall=hits / total if total else None,
            precision_interval=wilson(hits, covered) if covered else None,
            recall_interval=wilson(hits, total) if total else None,
            train_precision=float(carries[data.train][train].mean()) if train.any() else None,
        )


@dataclass(frozen=True, eq=False)
class Work:
    """What the parts of a run share."""

    study: Study
    options: Options
    pool: Pool
    progress: Progress
