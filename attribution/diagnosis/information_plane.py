"""The information plane by decoders (Darlow, Storkey 2020, "What information does a ResNet
compress?").

For inputs x, classes y and a layer's values h, any decoder q gives a lower bound (Barber, Agakov
2003), here in nats:

    I(x; h) ≥ H(x) + E log q(x | h),   I(y; h) ≥ H(y) + E log q(y | h)

The decoders are fitted on some inputs and the means taken over others, so that a decoder that has
learned its inputs by heart gains nothing.  q(x | h) is normal around an affine function of h, with
one covariance (shrunk as Ledoit, Wolf 2004 say), instead of the published PixelCNN++; q(y | h) is
logistic regression.  H(y) is counted.  H(x) is a differential entropy that must be known for a
bound; of pictures it is not known.  There the figure is what h adds to the same decoder without h,

    gain = E log q(x | h) − E log q(x)

which is a change of fit, and **no bound**: it exceeds I(x; h) by as much as q(x) misses H(x).
Through training, figures of one decoder on the same inputs compare all the same.

For normal x and h = W x + noise the bound is the information itself, ½ log det(1 + W Σ Wᵀ / σ²).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.errors import DataError, QueryError

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
FEWEST = 20
RIDGE = 1e-6


@dataclass(frozen=True, kw_only=True)
class PlanePoint:
    """In nats: ``about_classes``, the bound on I(y; h); ``about_inputs``: the bound on I(x; h)
    where ``is_bound``, else the gain; each a mean over held-out inputs, with its standard error
    (``inputs_error``, ``classes_error``), by which a tight bound may exceed the information.
    ``class_entropy``: H(y)."""

    about_inputs: float
    inputs_error: float
    about_classes: float
    classes_error: float
    class_entropy: float
    is_bound: bool


@dataclass(frozen=True, eq=False)
class PlaneData:
    """``inputs`` (N, …), ``labels`` (N,), the ``entropy`` of inputs in nats where it is known, and
    the numbers of inputs that decoders may not see, ``held_out`` (default: one in four)."""

    inputs: NDArray[np.floating]
    labels: Ints
    entropy: float | None = None
    held_out: Ints | None = None

    def __post_init__(self) -> None:
        count = len(self.inputs)
        if self.labels.shape != (count,):
            raise DataError(
                "labels", expected=f"one for each of {count} inputs", got=str(self.labels.shape)
            )
        if len(self.told) < FEWEST or len(self.fitted) < FEWEST:
            raise DataError(
                "inputs of an information plane",
                expected=f"{FEWEST} or more for the decoders and as many held out",
                got=f"{len(self.fitted)} and {len(self.told)}",
            )
        if len(np.unique(self.labels[self.fitted])) < 2:
            raise DataError("labels", expected="two classes or more", got="one class")

    @property
    def told(self) -> Ints:
        """Numbers of the inputs that the figures are about."""
        return np.arange(0, len(self.inputs), 4) if self.held_out is None else self.held_out

    @property
    def fitted(self) -> Ints:
        """Numbers of the inputs that decoders are fitted on."""
        return np.setdiff1d(np.arange(len(self.inputs)), self.told)


def plane_point(data: PlaneData, values: NDArray[np.floating]) -> PlanePoint:
    """The place of one layer, from its ``values`` (N, …) on the inputs of ``data``."""
    if len(values) != len(data.inputs):
        raise DataError(
            "values of a layer",
            expected=f"one row for each of {len(data.inputs)} inputs",
            got=str(len(values)),
        )
    h = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    x = np.asarray(data.inputs, dtype=np.float64).reshape(len(values), -1)
    inputs = _normal_likelihood(data, x, h)
    if data.entropy is None:
        inputs = inputs - _normal_likelihood(data, x, h[:, :0])
    else:
        inputs = inputs + data.entropy
    entropy = _entropy(data.labels[data.told])
    classes = entropy + _class_likelihood(data, h)
    root = float(np.sqrt(len(data.told)))
    return PlanePoint(
        about_inputs=float(inputs.mean()),
        inputs_error=float(inputs.std(ddof=1)) / root,
        about_classes=float(classes.mean()),
        classes_error=float(classes.std(ddof=1)) / root,
        class_entropy=entropy,
        is_bound=data.entropy is not None,
    )


def information_plane(
    data: PlaneData,
    snapshots: Sequence[Callable[[], NDArray[np.floating]]],
    *,
    done: Callable[[], None] = lambda: None,
) -> tuple[PlanePoint, ...]:
    """A point for each of ``snapshots``, functions that give a layer's values (N, …), such as those
    of a network after more and more training; ``done`` is called after each."""
    if not snapshots:
        raise QueryError("snapshots", expected="one or more", got="none")
    points = []
    for snapshot in snapshots:
        points.append(plane_point(data, snapshot()))
        done()
    return tuple(points)


def normal_entropy(covariance: Array) -> float:
    """Differential entropy of a normal distribution, in nats."""
    sign, logarithm = np.linalg.slogdet(2 * np.pi * np.e * np.atleast_2d(covariance))
    if sign <= 0:
        raise DataError("covariance", expected="positive definite", got="one that is not")
    return float(logarithm) / 2


def _entropy(labels: Ints) -> float:
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    return float(-(shares * np.log(shares)).sum())


def _normal_likelihood(data: PlaneData, x: Array, h: Array) -> Array:
    """log q(x | h) of each held-out input."""
    from sklearn.covariance import LedoitWolf

    mean, spread = h[data.fitted].mean(0), h[data.fitted].std(0)
    unit = (h - mean) / np.where(spread > 0, spread, 1.0)
    centre = x[data.fitted].mean(0)
    design, target = unit[data.fitted], x[data.fitted] - centre
    gram = design.T @ design + RIDGE * len(design) * np.eye(h.shape[1])
    weights = np.linalg.solve(gram, design.T @ target)
    rest = x - centre - unit @ weights
    fitted = LedoitWolf(assume_centered=True).fit(rest[data.fitted])
    _, logarithm = np.linalg.slogdet(2 * np.pi * fitted.covariance_)
    return np.asarray(-0.5 * (logarithm + fitted.mahalanobis(rest[data.told])))


def _class_likelihood(data: PlaneData, h: Array) -> Array:
    """log q(y | h) of each held-out input; a class that was not fitted has the share 1 / N."""
    from scipy.special import log_softmax
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    model.fit(h[data.fitted], data.labels[data.fitted])
    scores = np.asarray(model.decision_function(h[data.told]))
    if scores.ndim == 1:  # of two classes scikit-learn gives the second one's logit alone
        scores = np.stack([np.zeros_like(scores), scores], 1)
    logarithms = log_softmax(scores, axis=1)
    places = {label: k for k, label in enumerate(model.classes_)}
    unseen = -float(np.log(len(data.fitted)))
    found = [
        logarithms[row, places[label]] if label in places else unseen
        for row, label in enumerate(data.labels[data.told])
    ]
    return np.array(found)
