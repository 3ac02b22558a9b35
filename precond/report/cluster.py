"""``Clustering`` → a page and two CSV tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from precond.apply.clustering.medoids import Cluster, Clustering
from precond.report.evidence import Given, Thumb
from precond.report.header import Figure
from precond.report.pages import render_page
from precond.report.plot.labels import percent
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


def cluster_files(given: Given, found: Clustering, notes: tuple[str, ...] = ()) -> dict[str, str]:
    """File name → content: the page, one line per cluster, one line per input."""
    book = found.book
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
        for position, c in enumerate(found.clusters, 1)
    ]
    rows = [
        (
            row,
            int(found.labels[row]),
            int(book.signatures.predicted[row]),
            k + 1 if k >= 0 else None,
        )
        for row, k in enumerate(found.assigned.tolist())
    ]
    return {
        "index.html": render_page("cluster.html", _page(given, found, notes), SHEETS),
        "clusters.csv": csv_text((*head, "held_out_purity", "medoid", "spread"), lines),
        "inputs.csv": csv_text(("row", "label", "predicted", "cluster"), rows),
    }


def _page(given: Given, found: Clustering, notes: tuple[str, ...]) -> ClusterPage:
    total = len(found.assigned)
    inside = total - len(found.rest)
    return ClusterPage(
        f"Clusters of {given.model}",
        (
            ("Model", given.model),
            ("Data", f"{given.data}: {total} inputs"),
            ("Rules", f"{len(found.book.rules)}, mined on {len(found.book.train)} training inputs"),
        ),
        notes,
        (
            Figure("Clusters", str(len(found.clusters)), "one for each rule that keeps members"),
            Figure("Clustered", percent(inside / total), f"{inside} of {total} inputs"),
            Figure("Purity", percent(found.purity), "share with their cluster's commonest label"),
            Figure("Left over", str(len(found.rest)), "inputs that satisfy no rule"),
        ),
        tuple(_card(given, found, k, c) for k, c in enumerate(found.clusters[:SHOWN], 1)),
        max(0, len(found.clusters) - SHOWN),
    )


def _card(given: Given, found: Clustering, number: int, one: Cluster) -> ClusterCard:
    book = found.book
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
        f"{number}. label {one.label}",
        tuple(words),
        _pictures(given, found, one),
        tuple(
            t
            for row in one.odd[:ODD].tolist()
            if (t := _thumb(given, found, row, str(int(found.labels[row]))))
        ),
    )


def _pictures(given: Given, found: Clustering, one: Cluster) -> tuple[Thumb, ...]:
    """The medoid, the mean, and members from the nearest to the furthest."""
    shape = given.image_shape
    if shape is None:
        return ()
    inputs = found.book.inputs
    members = one.members[found.labels[one.members] == one.label]
    points = np.asarray(inputs[members], dtype=np.float64)
    away = np.linalg.norm(points - points[members == one.medoid][0], axis=1)
    order = members[np.argsort(away, kind="stable")]
    places = np.linspace(0, len(order) - 1, min(MEMBERS, len(order))).astype(int)
    mean = row_picture(points.mean(axis=0), shape, given.natural)
    thumbs = [
        _thumb(given, found, one.medoid, "medoid"),
        Thumb(mean, "mean", "mean of the members"),
        *(_thumb(given, found, int(row), f"#{row}") for row in order[places]),
    ]
    return tuple(t for t in thumbs if t is not None)


def _thumb(given: Given, found: Clustering, row: int, caption: str) -> Thumb | None:
    if given.image_shape is None:
        return None
    picture = row_picture(found.book.inputs[row], given.image_shape, given.natural)
    return Thumb(picture, caption, f"input {row}, label {int(found.labels[row])}")
