"""The pages that a notebook shows: one for each kind of result.

A result does not know where its inputs came from: the page names the network's file, and draws
inputs as pictures where the network reads some.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution.show.explain import Explained
from precond.apply.certification.answers import Robustness
from precond.apply.clustering.medoids import Clustering
from precond.apply.debugging.findings import Debugged
from precond.errors import ArgumentError
from precond.network.graph import Network
from precond.report.analysis.write import render
from precond.report.cluster import cluster_files
from precond.report.debug.index import debug_files
from precond.report.evidence import Subject
from precond.report.explain import explain_page
from precond.report.robustness import robustness_files
from precond.report.whole_space.page import whole_space_files
from precond.study.analysis import Analysis
from precond.study.whole_space.result import WholeSpace


def page_of(result: object) -> str:
    """The page of a result, as one HTML document."""
    draw = PAGES.get(type(result))
    if draw is None:
        known = ", ".join(kind.__name__ for kind in PAGES)
        raise ArgumentError("result", expected=f"one of {known}", got=type(result).__name__)
    return draw(result)


def _subject(network: Network, inputs: NDArray[np.floating]) -> Subject:
    shape = network.input_shape
    picture = shape if len(shape) == 3 and shape[0] in (1, 3) else None
    low, high = float(inputs.min(initial=0.0)), float(inputs.max(initial=1.0))
    return Subject(Path(network.origin).name, f"{len(inputs)} inputs", picture, natural=(low, high))


def _robustness(found: Robustness) -> str:
    subject = _subject(found.network, found.inputs)
    return robustness_files(subject, labels=None, robustness=found)["index.html"]


def _debugged(found: Debugged) -> str:
    subject = _subject(found.book.network, found.book.inputs)
    return str(debug_files(subject, found)["index.html"])


def _clustering(found: Clustering) -> str:
    subject = _subject(found.book.network, found.book.inputs)
    return cluster_files(subject, found)["index.html"]


def _whole_space(found: WholeSpace) -> str:
    return whole_space_files(found, found.study.network.origin)["report.html"]


PAGES: dict[type, Callable[[Any], str]] = {
    Analysis: render,
    Clustering: _clustering,
    Debugged: _debugged,
    Explained: explain_page,
    Robustness: _robustness,
    WholeSpace: _whole_space,
}
