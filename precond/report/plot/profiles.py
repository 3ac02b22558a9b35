"""Profiles: the influences of one input beside the usual ones of two classes."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from precond.apply.debugging.profiles import Profile
from precond.report.plot.labels import figure

Array = NDArray[np.float64]
UNITS = 40  # of a profile that are drawn


def profile_chart(profile: Profile, label: str, predicted: str) -> Markup:
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
    words = (
        f"Influences of {profile.layer} beside the usual ones of classes {predicted} and {label}"
    )
    return figure(parts, width=left + width + 8, height=height + 20, words=words)
