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
from attribution.show.panels import SIZE, four_panels, picture_shape, pixel_names, unit_panels
from attribution.show.visualise import Panel, save_png
from attribution.slices import Slice
from precond.basics.notebook import NotebookPage, page_of
from precond.basics.whole_files import write_whole
from precond.errors import OutputError, QueryError
from precond.network.activation import OutputActivation
from precond.network.classes import Classes
from precond.network.evaluate import check_inputs
from precond.network.graph import Network

METHODS = ("integrated-gradients", "influence")
SUFFIXES = (".png", ".html", ".npz")
LINES = 5  # parts that are printed


@dataclass(frozen=True)
class Contribution:
    """An input or unit with its value here and what it adds to the quantity."""

    name: str
    value: float
    attribution: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Explained(NotebookPage):
    """What moved one output: ``headline`` and ``lines`` say it in words.

    ``parts`` are all inputs, or all units of a layer, largest magnitude first; ``panels`` the
    pictures, where an input is one (``columns`` of them in a row).
    """

    attribution: Attribution
    headline: str
    lines: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    parts: tuple[Contribution, ...]
    panels: tuple[Panel, ...] = ()
    columns: int = 2
    path: Path | None = None

    def __repr__(self) -> str:
        return f"Explained({self.headline}: {self.lead})"

    @property
    def lead(self) -> str:
        """The largest parts, in a sentence."""
        top = ", ".join(f"{part.name} ({part.attribution:+.3g})" for part in self.parts[:3])
        return f"Moved most by {top}."

    def write(self, path: Path) -> None:
        """A picture, a page or the numbers, by the name's ending."""
        if path.suffix == ".npz":
            self.attribution.save(path)
        elif path.suffix == ".html":
            write_whole(path, page_of(self))
        elif self.panels:
            save_png(self.panels, path, size=SIZE, columns=self.columns)
        else:
            raise OutputError(
                f"--out {path}",
                expected=".html or .npz for inputs that are no pictures",
                got=".png",
                fix=f"Give --out {path.with_suffix('.html')}",
            )


def parse_quantity(text: str | None, predicted: int, classes: Classes) -> Quantity:
    """``class:K`` or ``compare:A,B``; None: the predicted class, or the one output there is."""
    if text is None:
        if classes.binary:
            return replace(class_score(0), name="y0, the only output")
        return class_score(predicted)
    kind, _, rest = text.partition(":")
    try:
        numbers = [int(part) for part in rest.split(",")]
    except ValueError:
        numbers = []
    if classes.binary and (kind, numbers) in (("class", [0]), ("compare", [0, 1])):
        return _one_output(rising=False)
    if classes.binary and (kind, numbers) in (("class", [1]), ("compare", [1, 0])):
        return _one_output(rising=True)
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
    with the names of its ``features``; and the names of the ``classes``."""

    image_shape: tuple[int, ...] | None = None
    natural: tuple[float, float] | None = None
    features: Sequence[str] | None = None
    classes: Sequence[str] | None = None


def explain(
    network: Network,
    inputs: NDArray[np.floating],
    index: int,
    out: str | Path | None = None,
    settings: ExplainSettings | None = None,
    *,
    display: Display | None = None,
) -> Explained:
    """Explain row ``index`` of ``inputs`` (N, …), and write ``out`` (.png, .html or .npz)."""
    settings, display = settings or ExplainSettings(), display or Display()
    path = None if out is None else Path(out)
    if path is not None and path.suffix not in SUFFIXES:
        raise OutputError("--out", expected=f"a name ending in {', '.join(SUFFIXES)}", got=str(out))
    if not 0 <= index < len(inputs):
        raise QueryError("--index", expected=f"0 to {len(inputs) - 1}", got=str(index))
    cut = Slice(network, settings.layer)
    row = check_inputs(network, inputs[index : index + 1]).astype(np.float64)
    scores = outputs(Slice(network), row)[0]
    predicted = int(network.classes.predicted(outputs(Slice(network.logits), row))[0])
    quantity = parse_quantity(settings.quantity, predicted, network.classes)
    found = _attribution(cut, row, quantity, settings=settings)
    shape = display.image_shape or picture_shape(network)
    names = None
    if settings.layer is None:
        names = pixel_names(shape) if shape is not None else tuple(display.features or ())
    parts = _parts(found, cut, row, names=names)
    of_class = _class_words(predicted, display.classes)
    said = f"{of_class}, score {scores.max():.4g}"
    if network.classes.binary:
        said = f"y0 = {scores[0]:.4g}, or {of_class}"
    by_class = settings.quantity is None and not network.classes.binary
    explained = Explained(
        attribution=found,
        headline=f"Why input {index} is {of_class}"
        if by_class
        else f"Input {index}: {quantity.name}",
        lines=_lines(
            found, f"{quantity.name}; predicted {said}", parts, baseline=settings.baseline
        ),
        facts=(
            ("Model", Path(network.origin).name),
            ("Predicted", said),
            ("Explained", quantity.name),
            ("Method", f"{found.method}; {found.rule}"),
            *((("Sum", _sum_words(found, settings.baseline)),) if found.change is not None else ()),
        ),
        parts=parts,
        panels=_panels(found, cut, row, shape=shape, natural=display.natural),
        columns=2 if settings.layer is None else 3,
        path=path,
    )
    if path is not None:
        explained.write(path)
    return explained


def _panels(
    found: Attribution,
    cut: Slice,
    row: NDArray[np.float64],
    *,
    shape: tuple[int, ...] | None,
    natural: tuple[float, float] | None,
) -> tuple[Panel, ...]:
    if shape is None:
        return ()
    if cut.sites:
        return unit_panels(cut, row, found, shape=shape, natural=natural)
    return four_panels(row.reshape(shape), found.flat().reshape(shape), natural)


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
    return integrated_gradients(
        network,
        inputs=row,
        baseline=settings.baseline,
        quantity=quantity,
        method=rule,
        steps="auto",
        device=device,
    )


def _parts(
    found: Attribution, cut: Slice, row: NDArray[np.float64], names: Sequence[str] | None
) -> tuple[Contribution, ...]:
    """All parts, largest magnitude first."""
    flat = found.flat()
    values = (values_at(cut, row) if cut.sites else row).reshape(-1)
    order = np.argsort(-np.abs(flat), kind="stable").tolist()
    return tuple(
        Contribution(
            names[i] if names and names[i] else found.unit_name(i),
            float(values[i]),
            float(flat[i]),
        )
        for i in order
    )


def _class_words(label: int, names: Sequence[str] | None) -> str:
    named = names is not None and label < len(names) and names[label] != str(label)
    return f"class {label} ({names[label]})" if named and names is not None else f"class {label}"


def _sum_words(found: Attribution, baseline: float) -> str:
    assert found.change is not None and found.completeness is not None
    return (
        f"attributions sum to {found.values.sum():.6g}, the score changed by "
        f"{found.change[0]:.6g} from a baseline of {baseline:g} (error {found.completeness[0]:.2g})"
    )


def _lines(
    found: Attribution, what: str, parts: Sequence[Contribution], baseline: float
) -> tuple[str, ...]:
    lines = [f"{found.method}: {what}; {found.rule}"]
    if found.completeness is not None and found.change is not None:
        lines.append(_sum_words(found, baseline))
    lines += [f"{one.name} {one.attribution:+.4g}" for one in parts[:LINES]]
    return (*lines, *found.notes)
