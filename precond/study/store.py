"""``preconditions.json``: written from an analysis, read back to prove again.

Format 1, documented in ``docs/format.md``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from precond.basics.plain import FOREIGN, once, plain_numbers
from precond.basics.whole_files import write_whole
from precond.errors import QueryError
from precond.network.graph import Network
from precond.network.pools import pools_as_comparisons
from precond.printable import printable
from precond.proof.claim import Claim
from precond.proof.precondition import Kind, Precondition
from precond.region.box import Box
from precond.study.analysis import Analysis
from precond.study.channel_rules import ChannelPrecondition

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Stored:
    """What a file holds: the network's path and hash, the domain's box, the entries, rules over
    channels, and what the data calls classes and columns (nothing where it has no names)."""

    network_path: str
    network_hash: str
    domain: Box
    preconditions: tuple[Precondition, ...]
    channel_rules: tuple[ChannelPrecondition, ...] = ()
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    def claim(self, entry: Precondition, network: Network) -> Claim | None:
        """The claim of an entry on ``network``, or on its logits or the comparisons of its
        max-pools where the file is about these; None where it makes none (no property)."""
        network = self._meant(network)
        if network.hash != self.network_hash:
            raise QueryError(
                f"preconditions for {self.network_path}",
                expected=f"the network with hash {self.network_hash[:12]}…",
                got=f"{network.origin} with hash {network.hash[:12]}…",
                fix="Give the model the file was made from",
            )
        if entry.property is None:
            return None
        return Claim(
            network, box=entry.domain or self.domain, pattern=entry.pattern, property=entry.property
        )

    def _meant(self, network: Network) -> Network:
        """The view of ``network`` that the file is about; itself where it is about none."""
        readings = (read(network) for read in (lambda same: same, pools_as_comparisons))
        views = (view for reading in readings for view in (reading.logits, reading))
        return next((view for view in views if view.hash == self.network_hash), network)


def to_json(analysis: Analysis) -> dict[str, Any]:
    """The file's content."""
    network, data, domain = analysis.network, analysis.data, analysis.domain
    accuracy = None
    if data.labels is not None:
        correct = analysis.signatures.predicted == data.labels
        accuracy = {
            "train": float(correct[data.train].mean()),
            "held_out": float(correct[data.held_out].mean()) if len(data.held_out) else None,
        }
    return {
        "format": FORMAT,
        "network": {
            "path": str(analysis.model),
            "hash": network.hash,
            "inputs": network.input_size,
            "outputs": network.output_size,
            **({"outputs_are": network.output_words} if network.output_words else {}),
        },
        "domain": {
            "kind": domain.kind.value,
            "text": str(domain),
            "claimed": {kind.value: domain.claimed(kind) for kind in Kind},
            "radius": None if domain.radius is None else domain.radius.size,
            "of_range": domain.radius is not None and domain.radius.of_range,
            "lower": domain.box.lower.tolist(),
            "upper": domain.box.upper.tolist(),
        },
        "data": {
            "name": data.name,
            "inputs": len(data.inputs),
            "train": len(data.train),
            "held_out": len(data.held_out),
            "accuracy": accuracy,
            **{
                key: list(names)
                for key, names in (("classes", data.classes), ("columns", data.features))
                if names
            },
        },
        "property": analysis.property,
        "seconds": round(analysis.seconds, 3),
        "interrupted": analysis.interrupted,
        "notes": list(analysis.notes),
        "curve": [
            {
                "threshold": p.threshold,
                "rules": p.rules,
                "coverage": p.coverage,
                "precision": p.precision,
            }
            for p in analysis.curve
        ],
        "preconditions": [entry.to_json() for entry in analysis.preconditions],
        **_channels(analysis),
    }


def _channels(analysis: Analysis) -> dict[str, Any]:
    """Rules over channels; nothing where there are none."""
    result = analysis.channels
    if result is None:
        return {}
    return {
        "channel_rules": [rule.to_json() for rule in result.rules],
        "channel_coverage": {"all": result.every.to_json(), "surest": result.surest.to_json()},
    }


def write_preconditions(analysis: Analysis, path: Path) -> None:
    """Write ``path`` whole or not at all."""
    write_whole(
        path,
        json.dumps(to_json(analysis), indent=1),
        name=f"preconditions {path}",
        fix="Choose another --out folder",
    )


def read_preconditions(path: Path) -> Stored:
    """Read a file that ``write_preconditions`` wrote; QueryError on anything else."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
    except IsADirectoryError as error:
        raise QueryError(
            f"preconditions {path}",
            expected="a file",
            got="a folder",
            fix="Name the preconditions.json that 'precond analyze' wrote",
        ) from error
    except OSError as error:
        raise QueryError(
            f"preconditions {path}", expected="a file", got=error.strerror or "none"
        ) from error
    except (ValueError, RecursionError) as error:
        raise QueryError(f"preconditions {path}", expected="JSON", got=str(error)) from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        got = data.get("format") if isinstance(data, dict) else type(data).__name__
        raise QueryError(
            f"preconditions {path}",
            expected=f"format {FORMAT}",
            got=repr(got),
            fix="See docs/format.md",
        )
    try:
        sides = (plain_numbers(data["domain"][side]) for side in ("lower", "upper"))
        domain = Box(*map(np.array, sides))
        entries = tuple(Precondition.from_json(entry) for entry in data["preconditions"])
        model, digest = (printable(str(data["network"][key])) for key in ("path", "hash"))
        channels = tuple(map(ChannelPrecondition.from_json, data.get("channel_rules", ())))
        classes, columns = (_names(data, key) for key in ("classes", "columns"))
        return Stored(
            model,
            digest,
            domain=domain,
            preconditions=entries,
            channel_rules=channels,
            classes=classes,
            columns=columns,
        )
    except QueryError as error:
        raise QueryError(f"preconditions {path}: {error}") from error
    except FOREIGN as error:
        raise QueryError(
            f"preconditions {path}",
            expected="the fields docs/format.md lists",
            got=repr(error),
        ) from error


def _names(data: dict[str, Any], key: str) -> tuple[str, ...]:
    """What the data calls its classes or columns; none in files of earlier versions."""
    about = data.get("data", {})
    given = about.get(key, []) if isinstance(about, dict) else None
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise TypeError("names of classes and columns are lists of texts")
    return tuple(map(printable, given))
