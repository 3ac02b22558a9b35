"""``precond explain``: one input of a data set, explained, drawn and written to a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from attribution.attribution import Attribution
from attribution.distributions import LinearPath, Point
from attribution.evaluate import outputs, values_at
from attribution.methods.influence import influence
from attribution.methods.integrated import integrated_gradients
from attribution.quantities import Quantity, class_score, comparative
from attribution.rules import Rule
from attribution.show.interpret import evidence
from attribution.show.visualise import (
    Clip,
    Panel,
    compared,
    grey_image,
    limit_of,
    panels_html,
    save_png,
    signed_map,
    table_html,
)
from attribution.slices import Slice
from precond.errors import OutputError, QueryError
from precond.network.activation import OutputActivation
from precond.network.classes import Classes
from precond.network.evaluate import check_inputs
from precond.network.graph import Network

METHODS = ("integrated-gradients", "influence")
SUFFIXES = (".png", ".html", ".npz")
UNITS_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Explained:
    """What was found and where it was written; ``lines`` say it in words."""

    attribution: Attribution
    path: Path
    lines: tuple[str, ...]


def parse_quantity(text: str | None, predicted: int, classes: Classes) -> Quantity:
    """``class:K`` or ``compare:A,B``; None: the predicted class, or the one output there is."""
    if text is None:
        return _one_output(True) if classes.binary else class_score(predicted)
    kind, _, rest = text.partition(":")
    try:
        numbers = [int(part) for part in rest.split(",")]
    except ValueError:
        numbers = []
    if classes.binary and (kind, numbers) in (("class", [0]), ("compare", [0, 1])):
        return _one_output(False)
    if classes.binary and (kind, numbers) in (("class", [1]), ("compare", [1, 0])):
        return _one_output(True)
    if kind == "class" and len(numbers) == 1:
        return class_score(numbers[0])
    if kind == "compare" and len(numbers) == 2:
        return comparative(*numbers)
    raise QueryError("--quantity", expected="class:K or compare:A,B", got=text)


def _one_output(rising: bool) -> Quantity:
    """y0, which speaks for class 1, or −y0, which speaks for class 0."""
    plain = class_score(0)
    if rising:
        return replace(plain, name="y0 (for class 1)")
    assert plain.weights is not None
    weights = plain.weights
    return Quantity(
        name="−y0 (for class 0)",
        score=lambda output, rows: -plain.score(output, rows),
        weights=lambda count, rows: -weights(count, rows),
    )


def explain(
    network: Network,
    inputs: NDArray[np.floating],
    index: int,
    out: str | Path,
    *,
    method: str = "integrated-gradients",
    layer: str | None = None,
    quantity: str | None = None,
    exact: bool = False,
    baseline: float = 0.0,
    image_shape: tuple[int, ...] | None = None,
    natural: tuple[float, float] | None = None,
    features: Sequence[str] | None = None,
    device: str = "cpu",
) -> Explained:
    """Explain row ``index`` of ``inputs`` (N, …) and write ``out`` (.png, .html or .npz).

    ``method`` integrated-gradients attributes the input, or, with ``layer``, shows that
    layer's most influential units on the line from ``baseline``; influence does so at the
    input itself.  ``features`` names the inputs.  ``exact`` follows every linear piece,
    of a network without last activation (or of its ``logits``).
    """
    path = Path(out)
    if path.suffix not in SUFFIXES:
        raise OutputError("--out", expected=f"a name ending in {', '.join(SUFFIXES)}", got=str(out))
    if method not in METHODS:
        raise QueryError("--method", expected=" or ".join(METHODS), got=method)
    if not 0 <= index < len(inputs):
        raise QueryError("--index", expected=f"0 to {len(inputs) - 1}", got=str(index))
    row = check_inputs(network, inputs[index : index + 1]).astype(np.float64)
    cut = Slice(network, layer)
    scores = outputs(Slice(network), row)[0]
    predicted = int(network.classes.predicted(outputs(Slice(network.logits), row))[0])
    chosen = parse_quantity(quantity, predicted, network.classes)
    by_points = Rule.SECANT if network.output_activation is OutputActivation.NONE else Rule.GAUSS
    if method == "influence":
        if exact:
            raise QueryError(
                "--exact", expected="--method integrated-gradients", got="influence at one point"
            )
        found = influence(cut, chosen, Point(), row, device=device)
    elif layer is None:
        rule = Rule.EXACT if exact else by_points
        found = integrated_gradients(
            network, row, baseline, chosen, method=rule, steps="auto", device=device
        )
    else:
        path_rule = LinearPath(baseline, rule=Rule.EXACT if exact else by_points)
        found = influence(cut, chosen, path_rule, row, device=device)
    names = tuple(features or ()) if layer is None else ()
    lines = _lines(found, scores, chosen, predicted, names)
    if path.suffix == ".npz":
        found.save(path)
        return Explained(found, path, lines)
    shape = image_shape or _image(network)
    if shape is None and layer is None:
        inputs_named = names or [f"input[{i}]" for i in range(row.size)]
        _write(path, table_html(inputs_named, row[0], found.flat(), lines[0]))
        return Explained(found, path, lines)
    if shape is None:
        units_named = [found.unit_name(i) for i in range(found.flat().size)]
        active = _active(cut, row)
        _write(path, table_html(units_named, active, found.flat(), lines[0]))
        return Explained(found, path, lines)
    picture = Panel(grey_image(row.reshape(shape), natural), f"input {index}")
    if layer is None:
        values = found.flat().reshape(shape)
        limit = limit_of(values, Clip.MASS)
        text = f"{found.method}, {chosen.name} (± {limit:.3g} = {Clip.MASS.value})"
        panels = [picture, Panel(signed_map(values, limit), text)]
    else:
        units = evidence(cut, row, found.flat(), UNITS_SHOWN)
        maps = [one.picture.reshape(shape) for one in units]
        texts = [
            f"{found.unit_name(one.index)}: influence {one.influence:+.3g}, "
            + (f"value {one.activation:.3g}" if one.picture.any() else "no gradient (off) here")
            for one in units
        ]
        panels = [picture, *compared(maps, texts)]
    if path.suffix == ".png":
        save_png(panels, path)
    else:
        _write(path, panels_html(panels, f"Input {index}: {chosen.name}", lines))
    return Explained(found, path, lines)


def _active(cut: Slice, row: NDArray[np.floating]) -> NDArray[np.float64]:
    return values_at(cut, row).reshape(-1)


def _image(network: Network) -> tuple[int, ...] | None:
    shape = network.input_shape
    return shape if len(shape) == 3 and shape[0] in (1, 3) else None


def _lines(
    attribution: Attribution,
    scores: NDArray[np.float64],
    quantity: Quantity,
    predicted: int,
    names: Sequence[str],
) -> tuple[str, ...]:
    lines = [
        f"{attribution.method}: {quantity.name} (predicted class {predicted}, "
        f"score {scores.max():.4g}); {attribution.rule}"
    ]
    if attribution.completeness is not None and attribution.change is not None:
        lines.append(
            f"attributions sum to {attribution.values.sum():.6g}, the score changed by "
            f"{attribution.change[0]:.6g} (error {attribution.completeness[0]:.2g})"
        )
    top = attribution.top(UNITS_SHOWN)
    if names:
        order = np.argsort(-np.abs(attribution.flat()), kind="stable")[: len(top)]
        top = [(names[i], float(attribution.flat()[i])) for i in order]
    lines += [f"{name} {value:+.4g}" for name, value in top]
    return (*lines, *attribution.notes)


def _write(path: Path, page: str) -> None:
    if path.suffix == ".png":
        raise OutputError(
            str(path),
            expected=".html or .npz for inputs that are no pictures",
            got=".png",
            fix="Give the picture's shape, or another name",
        )
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
