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


@dataclass(frozen=True, kw_only=True)
class ExplainSettings:
    """What is explained, and how.

    ``method`` integrated-gradients attributes the input, or, with ``layer``, shows that layer's
    most influential units on the line from ``baseline``; influence does so at the input itself.
    ``quantity``: as ``parse_quantity`` reads it.  ``exact`` follows every linear piece, of a
    network without last activation (or of its ``logits``).
    """

    method: str = METHODS[0]
    layer: str | None = None
    quantity: str | None = None
    exact: bool = False
    baseline: float = 0.0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise QueryError("--method", expected=" or ".join(METHODS), got=self.method)
        if self.exact and self.method == "influence":
            expected = "--method integrated-gradients"
            raise QueryError("--exact", expected=expected, got="influence at one point")


@dataclass(frozen=True, kw_only=True)
class Display:
    """How a row is shown: as a picture of ``image_shape`` in the ``natural`` range of values, or
    with the names of its ``features``."""

    image_shape: tuple[int, ...] | None = None
    natural: tuple[float, float] | None = None
    features: Sequence[str] | None = None


def explain(
    network: Network,
    inputs: NDArray[np.floating],
    index: int,
    out: str | Path,
    settings: ExplainSettings | None = None,
    *,
    display: Display | None = None,
) -> Explained:
    """Explain row ``index`` of ``inputs`` (N, …) and write ``out`` (.png, .html or .npz)."""
    settings, display = settings or ExplainSettings(), display or Display()
    path, layer = Path(out), settings.layer
    if path.suffix not in SUFFIXES:
        raise OutputError("--out", expected=f"a name ending in {', '.join(SUFFIXES)}", got=str(out))
    if not 0 <= index < len(inputs):
        raise QueryError("--index", expected=f"0 to {len(inputs) - 1}", got=str(index))
    row = check_inputs(network, inputs[index : index + 1]).astype(np.float64)
    cut = Slice(network, layer)
    scores = outputs(Slice(network), row)[0]
    predicted = int(network.classes.predicted(outputs(Slice(network.logits), row))[0])
    quantity = parse_quantity(settings.quantity, predicted, network.classes)
    found = _attribution(cut, row, quantity, settings)
    names = tuple(display.features or ()) if layer is None else ()
    lines = _lines(found, scores=scores, quantity=quantity, predicted=predicted, names=names)
    shape = display.image_shape or _image(network)
    if path.suffix == ".npz":
        found.save(path)
    elif shape is None:
        values = row[0] if layer is None else _active(cut, row)
        if not names:
            units = range(found.flat().size)
            names = tuple(f"input[{i}]" if layer is None else found.unit_name(i) for i in units)
        _write(path, table_html(names, inputs=values, values=found.flat(), title=lines[0]))
    else:
        picture = Panel(grey_image(row.reshape(shape), display.natural), f"input {index}")
        if layer is None:
            panels = [picture, _map(found, shape, quantity)]
        else:
            panels = [picture, *_units(found, cut, row, shape)]
        if path.suffix == ".png":
            save_png(panels, path)
        else:
            _write(path, panels_html(panels, f"Input {index}: {quantity.name}", lines))
    return Explained(found, path, lines)


def _attribution(
    cut: Slice, row: NDArray[np.float64], quantity: Quantity, settings: ExplainSettings
) -> Attribution:
    network, device = cut.model, settings.device
    assert isinstance(network, Network)
    if settings.method == "influence":
        return influence(cut, quantity, distribution=Point(), inputs=row, device=device)
    plain = network.output_activation is OutputActivation.NONE
    rule = Rule.EXACT if settings.exact else Rule.SECANT if plain else Rule.GAUSS
    if settings.layer is not None:
        path = LinearPath(settings.baseline, rule=rule)
        return influence(cut, quantity, distribution=path, inputs=row, device=device)
    start = settings.baseline
    return integrated_gradients(
        network,
        inputs=row,
        baseline=start,
        quantity=quantity,
        method=rule,
        steps="auto",
        device=device,
    )


def _map(found: Attribution, shape: tuple[int, ...], quantity: Quantity) -> Panel:
    values = found.flat().reshape(shape)
    limit = limit_of(values, Clip.MASS)
    text = f"{found.method}, {quantity.name} (± {limit:.3g} = {Clip.MASS.value})"
    return Panel(signed_map(values, limit), text)


def _units(
    found: Attribution, cut: Slice, row: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[Panel, ...]:
    """The most influential units of a layer, as pictures of their gradients."""
    units = evidence(cut, input_row=row, influences=found.flat(), units=UNITS_SHOWN)
    texts = [
        f"{found.unit_name(one.index)}: influence {one.influence:+.3g}, "
        + (f"value {one.activation:.3g}" if one.picture.any() else "no gradient (off) here")
        for one in units
    ]
    return compared([one.picture.reshape(shape) for one in units], texts)


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
