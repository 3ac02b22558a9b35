"""A simplified network → a page: what became less, what it rests on, what it saves."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from precond.apply.simplification.measured import Difference, Latency
from precond.apply.simplification.simplify import Simplified
from precond.basics.counting import percent
from precond.basics.rounded import at_most
from precond.report.evidence import Table
from precond.report.header import Figure
from precond.report.pages import render_page
from precond.report.plot.fixed import LayerRow, fixed_chart

SHEETS = ("report.css", "simplify.css")
Certificates = Mapping[str, Path | None]


@dataclass(frozen=True)
class Measured:
    """What onnxruntime says of both files."""

    latencies: Sequence[Latency]
    difference: Difference


@dataclass(frozen=True, kw_only=True)
class SimplifyPage:
    """Everything the page shows."""

    title: str
    headline: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    figures: tuple[Figure, ...]
    chart: Markup
    tables: tuple[Table, ...]


def headline(found: Simplified, measured: Measured | None) -> str:
    """What became less, in one sentence."""
    if not found.removed or measured is None:
        return "Nothing to remove: no neuron was proved to be fixed over the domain"
    shares = (
        f"{percent(_less(found, 'connections'))} of connections and "
        f"{percent(_less(found, 'multiplications'))} of multiplications are removed"
    )
    return f"{shares}; {_speeds(measured)}; outputs {_same(found)}"


def _speeds(measured: Measured) -> str:
    return ", ".join(
        f"{one.ratio:.2f} times as fast at batch {one.batch}" for one in measured.latencies
    )


def remarks(measured: Measured | None) -> tuple[str, ...]:
    """Why fewer multiplications may save no time."""
    slower = [one for one in measured.latencies if one.ratio < 1] if measured is not None else []
    if not slower:
        return ()
    where = " and ".join(str(one.batch) for one in slower)
    return (
        f"not faster than the original at batch {where}: a runtime computes in blocks (onnxruntime "
        "has 8 or 16 channels in one), so fewer multiplications need not take less time; what is "
        "gained is a smaller file, and fewer neurons for proofs",
    )


def outputs_words(found: Simplified) -> str:
    """How the outputs of both networks compare over the domain."""
    if found.deviation == 0:
        return "the same real numbers for every input of the domain, proved"
    if math.isfinite(found.deviation):
        most = at_most(found.deviation, 2)
        return f"within {most} of each other for every input of the domain, proved"
    return "no bound is known of how far they differ"


def _same(found: Simplified) -> str:
    if found.deviation == 0:
        return "identical on the domain, proved"
    return f"{outputs_words(found)}"


def layer_rows(found: Simplified) -> list[LayerRow]:
    """By layer of the original, how many neurons are fixed and how many went."""
    rows = []
    for layer, neurons in found.fixed.items():
        left = found.network.width(layer) if layer in found.network.shapes else 0
        off = int(neurons.off.sum())
        on = int((neurons.on & ~neurons.off).sum())
        size = len(neurons.on)
        rows.append(LayerRow(layer, size, off, on=on, gone=size - left))
    return rows


def _less(found: Simplified, part: str) -> float:
    """Which share of a size went."""
    before, after = getattr(found.before, part), getattr(found.after, part)
    return float((before - after) / before) if before else 0.0


def simplify_page(
    facts: Sequence[tuple[str, str]],
    found: Simplified,
    measured: Measured | None,
    certificates: Certificates | None,
    notes: Sequence[str],
) -> str:
    figures = [
        Figure(f"{part} removed", percent(_less(found, part)), f"{_sizes(found, part)}")
        for part in ("neurons", "connections", "multiplications")
    ]
    if measured is not None:
        figures += [
            Figure(
                f"speed at batch {one.batch}", f"× {one.ratio:.2f}", "in onnxruntime, one thread"
            )
            for one in measured.latencies
        ]
    rows = layer_rows(found)
    page = SimplifyPage(
        title="Simplified network",
        headline=headline(found, measured),
        lead=f"Outputs: {outputs_words(found)}. This holds in real arithmetic; "
        "a run in floats may round differently, as the table says.",
        facts=tuple(facts),
        notes=(*notes, *remarks(measured)),
        figures=tuple(figures),
        chart=fixed_chart(rows),
        tables=tuple(_tables(rows, measured, certificates)),
    )
    return render_page("simplify.html", page, SHEETS)


def _sizes(found: Simplified, part: str) -> str:
    return f"{getattr(found.before, part):,} before, {getattr(found.after, part):,} after"


def _tables(
    rows: Sequence[LayerRow], measured: Measured | None, certificates: Certificates | None
) -> list[Table]:
    head: tuple[str, ...] = ("layer", "neurons", "always off", "always on", "free", "removed")
    body: list[tuple[str, ...]] = [
        (r.layer, f"{r.neurons:,}", f"{r.off:,}", f"{r.on:,}", f"{r.free:,}", f"{r.gone:,}")
        for r in rows
    ]
    if certificates is not None:
        head = (*head, "certificate")
        body = [(*line, _place(certificates, line[0])) for line in body]
    tables = [Table("Layers", "of the original", head, rows=tuple(body))]
    if measured is None:
        return tables
    speeds = tuple(
        (str(one.batch), f"{one.before:.3f}", f"{one.after:.3f}", f"{one.ratio:.2f}")
        for one in measured.latencies
    )
    tables.append(
        Table(
            "Time of a call",
            "milliseconds, onnxruntime, one thread, medians of calls in turns",
            ("batch", "original", "simplified", "ratio"),
            rows=speeds,
        )
    )
    away = measured.difference
    tables.append(
        Table(
            "Outputs in floats",
            f"of both files on {away.inputs:,} inputs of the data",
            ("largest difference", "classes that differ"),
            rows=((f"{away.largest:.2g}", str(away.classes)),),
        )
    )
    return tables


def _place(certificates: Certificates, layer: str) -> str:
    if layer not in certificates:
        return "not needed"
    path = certificates[layer]
    return "none in time" if path is None else path.name


def simplify_json(
    found: Simplified,
    measured: Measured | None,
    certificates: Certificates | None,
    domain: str,
) -> str:
    """The same as the page, for programs."""
    document = {
        "model": found.original.origin,
        "hash": found.original.hash,
        "simplified_hash": found.network.hash,
        "domain": domain,
        "deviation": found.deviation if math.isfinite(found.deviation) else None,
        "before": asdict(found.before),
        "after": asdict(found.after),
        "fixed": {
            layer: {
                "on": np.flatnonzero(neurons.on).tolist(),
                "off": np.flatnonzero(neurons.off).tolist(),
            }
            for layer, neurons in found.fixed.items()
        },
        "certificates": None
        if certificates is None
        else {
            layer: None if path is None else {"file": str(path), "up_to": source}
            for layer, path in certificates.items()
            for source in (found.original.pre_activation(layer),)
        },
        "latency": None if measured is None else [asdict(one) for one in measured.latencies],
        "difference": None if measured is None else asdict(measured.difference),
    }
    return json.dumps(document, indent=1) + "\n"
