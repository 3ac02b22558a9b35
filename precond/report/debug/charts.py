"""Pictures of the debugging pages: signed maps, scores, and influence profiles."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from precond.apply.debugging.profiles import Profile
from precond.report.pictures import data_uri

Array = NDArray[np.float64]
GREY, RED, BLUE = (
    np.array(c, dtype=np.float64) for c in ((221,) * 3, (178, 24, 43), (33, 102, 172))
)
UNITS = 40  # of a profile that are drawn


def signed_picture(values: Array, shape: tuple[int, ...]) -> str:
    """Attributions (n,) as a picture: red positive, blue negative, grey 0, symmetric.

    The strongest colour is the 99.5th percentile of the magnitudes.  Channels are summed.
    """
    plane = values.reshape(shape)
    plane = plane.sum(axis=0) if plane.ndim == 3 else plane
    limit = float(np.percentile(np.abs(plane), 99.5)) or float(np.abs(plane).max()) or 1.0
    strength = np.clip(plane / limit, -1, 1)[..., None]
    mixed = GREY + np.abs(strength) * (np.where(strength > 0, RED, BLUE) - GREY)
    return data_uri(Image.fromarray(np.rint(mixed).astype(np.uint8)))


def score_chart(outputs: Array, label: int, predicted: int, most: int = 12) -> Markup:
    """The largest outputs as bars from their common zero, true and predicted class marked."""
    order = [int(k) for k in np.argsort(-outputs, kind="stable")[:most]]
    if label not in order:
        order[-1] = label
    low, high = min(0.0, float(outputs[order].min())), max(0.0, float(outputs[order].max()))
    span = (high - low) or 1.0
    left, width, step = 84.0, 220.0, 19.0

    def x(value: float) -> float:
        return left + width * (value - low) / span

    parts = [Markup('<path class="rule" d="M{:.1f} 0V{:.1f}"/>').format(x(0), step * len(order))]
    for row, k in enumerate(order):
        value, y = float(outputs[k]), step * row
        word = {predicted: " predicted", label: " true"}.get(k, "")
        kind = "wrongly" if k == predicted else "truly" if k == label else "other"
        parts.append(
            Markup(
                '<text class="name end" x="{:.1f}" y="{:.1f}">{}{}</text>'
                '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="12" rx="2"/>'
                '<text class="value" x="{:.1f}" y="{:.1f}">{:.3g}</text>'
            ).format(
                left - 6,
                y + 12,
                k,
                word,
                kind,
                min(x(0), x(value)),
                y + 2,
                max(abs(x(value) - x(0)), 1.0),
                left + width + 8,
                y + 12,
                value,
            )
        )
    return Markup(
        '<svg class="small" role="img" aria-label="Outputs" width="{0:.0f}" height="{1:.0f}" '
        'viewBox="0 0 {0:.0f} {1:.0f}">{2}</svg>'
    ).format(left + width + 60, step * len(order) + 2, Markup("").join(parts))


def profile_chart(profile: Profile, label: int, predicted: int) -> Markup:
    """The input's influences as bars, the usual ones of both classes as lines.

    Units in the predicted class's order, its strongest on both ends; each series is divided by
    its own Σ|influence| over all units.
    """
    order = np.argsort(-profile.predicted, kind="stable")
    if len(order) > UNITS:
        order = np.concatenate([order[: UNITS // 2], order[-(UNITS - UNITS // 2) :]])

    def share(values: Array) -> Array:
        return np.asarray(values[order] / (np.abs(values).sum() or 1.0))

    series = [share(profile.input), share(profile.predicted)]
    if profile.true is not None:
        series.append(share(profile.true))
    top = max(float(np.abs(s).max()) for s in series) or 1.0
    left, step, height = 54.0, 12.0, 170.0
    width, middle = step * len(order), height / 2 + 8

    def y(value: float) -> float:
        return middle - value / top * height / 2

    parts = [Markup('<path class="rule" d="M{} {:.1f}h{:.1f}"/>').format(left, middle, width)]
    for tick in (top, -top):
        parts.append(
            Markup('<text class="tick end" x="{}" y="{:.1f}">{:+.0f} %</text>').format(
                left - 6, y(tick) + 4, 100 * tick
            )
        )
    for position, (unit, value) in enumerate(zip(order.tolist(), series[0].tolist(), strict=True)):
        parts.append(
            Markup(
                '<rect class="own" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
                "<title>{}[{}]: {:+.1f} %</title></rect>"
            ).format(
                left + step * position + 2,
                min(y(value), middle),
                step - 4,
                max(abs(y(value) - middle), 0.8),
                profile.layer,
                unit,
                100 * value,
            )
        )
    for name, values in zip(("line-wrong", "line-true"), series[1:], strict=False):
        points = "L".join(
            f"{left + step * (k + 0.5):.1f} {y(v):.1f}" for k, v in enumerate(values.tolist())
        )
        parts.append(Markup('<path class="{}" d="M{}"/>').format(name, points))
    return Markup(
        '<svg class="chart" role="img" aria-label="Influences of {2} beside the usual ones of '
        'classes {3} and {4}" width="{0:.0f}" height="{1:.0f}" viewBox="0 0 {0:.0f} {1:.0f}">'
        "{5}</svg>"
    ).format(left + width + 8, height + 20, profile.layer, predicted, label, Markup("").join(parts))
