"""``Clustering`` → a page and two CSV tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from precond.apply.clustering.medoids import Cluster, Clustering
from precond.basics.counting import percent
from precond.basics.evenly import evenly
from precond.data.dataset import class_name, class_words
from precond.report.evidence import Subject, Thumb
from precond.report.header import Figure
from precond.report.pages import render_page
from precond.report.plot.pictures import row_picture
from precond.report.tables import csv_text

SHOWN = 60
MEMBERS = 8
ODD = 4
SHEETS = ("report.css", "debug.css")


@dataclass(frozen=True)
class ClusterCard:
    """A cluster as the page shows it."""

    title: str
    words: tuple[str, ...]
    pictures: tuple[Thumb, ...]
    odd: tuple[Thumb, ...]


@dataclass(frozen=True)
class ClusterPage:
    """Everything the page shows."""

    title: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    figures: tuple[Figure, ...]
    cards: tuple[ClusterCard, ...]
    more: int


def cluster_files(
    subject: Subject, clustering: Clustering, notes: tuple[str, ...] = ()
) -> dict[str, str]:
    """File name → content: the page, one line per cluster, one line per input."""
    book = clustering.book
    head = ("cluster", "rule", "layer", "pattern", "members", "satisfying", "label", "purity")
    lines = [
        (
            position,
            book.name(c.rule),
            book.rules[c.rule].layer,
            book.rules[c.rule].pattern,
            len(c.members),
            c.satisfying,
            c.label,
            f"{c.purity:.6g}",
            None if c.held_out_purity is None else f"{c.held_out_purity:.6g}",
            c.medoid,
            f"{c.spread:.6g}",
        )
        for position, c in enumerate(clustering.clusters, 1)
    ]
    rows = [
        (
            row,
            int(clustering.labels[row]),
            int(book.signatures.predicted[row]),
            k + 1 if k >= 0 else None,
        )
        for row, k in enumerate(clustering.assigned.tolist())
    ]
    return {
        "index.html": render_page("cluster.html", _page(subject, clustering, notes), SHEETS),
        "clusters.csv": csv_text((*head, "held_out_purity", "medoid", "spread"), lines),
        "inputs.csv": csv_text(("row", "label", "predicted", "cluster"), rows),
    }


def _page(subject: Subject, clustering: Clustering, notes: tuple[str, ...]) -> ClusterPage:
    book, total = clustering.book, len(clustering.assigned)
    inside = total - len(clustering.rest)
    return ClusterPage(
        f"Clusters of {subject.model}",
        facts=(
            ("Model", subject.model),
            ("Data", f"{subject.data}: {total} inputs"),
            (
                "Rules",
                f"{len(book.rules)}, mined on {len(book.train)} training inputs",
            ),
        ),
        notes=notes,
        figures=(
            Figure(
                "Clusters", str(len(clustering.clusters)), "one for each rule that keeps members"
            ),
            Figure("Clustered", percent(inside / total), f"{inside} of {total} inputs"),
            Figure(
                "Purity", percent(clustering.purity), "share with their cluster's commonest label"
            ),
            Figure("Left over", str(len(clustering.rest)), "inputs that satisfy no rule"),
        ),
        cards=tuple(
            _card(subject, clustering, number=k, one=c)
            for k, c in enumerate(clustering.clusters[:SHOWN], 1)
        ),
        more=max(0, len(clustering.clusters) - SHOWN),
    )


def _card(subject: Subject, clustering: Clustering, number: int, one: Cluster) -> ClusterCard:
    book = clustering.book
    rule = book.rules[one.rule]
    words = [
        f"{len(one.members)} members, purity {percent(one.purity)}"
        + (
            f" ({percent(one.held_out_purity)} held out)" if one.held_out_purity is not None else ""
        ),
        f"{book.name(one.rule)} at {rule.layer}, which {one.satisfying} inputs satisfy: "
        f"{rule.pattern}",
    ]
    return ClusterCard(
        f"{number}. label {class_words(one.label, subject.classes)}",
        words=tuple(words),
        pictures=_pictures(subject, clustering, one),
        odd=tuple(
            t
            for row in one.odd[:ODD].tolist()
            if (t := _thumb(subject, clustering, row, caption=_label(subject, clustering, row)))
        ),
    )


def _pictures(subject: Subject, clustering: Clustering, one: Cluster) -> tuple[Thumb, ...]:
    """The medoid, the mean, and members from the nearest to the furthest."""
    shape = subject.image_shape
    if shape is None:
        return ()
    inputs = clustering.book.inputs
    members = one.members[clustering.labels[one.members] == one.label]
    points = np.asarray(inputs[members], dtype=np.float64)
    away = np.linalg.norm(points - points[members == one.medoid][0], axis=1)
    order = members[np.argsort(away, kind="stable")]
    places = evenly(len(order), MEMBERS)
    mean = row_picture(points.mean(axis=0), shape, subject.natural)
    thumbs = [
        _thumb(subject, clustering, row=one.medoid, caption="medoid"),
        Thumb(mean, "mean", "mean of the members"),
        *(_thumb(subject, clustering, row=int(row), caption=f"#{row}") for row in order[places]),
    ]
    return tuple(t for t in thumbs if t is not None)


def _label(subject: Subject, clustering: Clustering, row: int) -> str:
    return class_name(int(clustering.labels[row]), subject.classes)


def _thumb(subject: Subject, clustering: Clustering, row: int, caption: str) -> Thumb | None:
    if subject.image_shape is None:
        return None
    picture = row_picture(clustering.book.inputs[row], subject.image_shape, subject.natural)
    return Thumb(picture, caption, f"input {row}, label {_label(subject, clustering, row)}")
