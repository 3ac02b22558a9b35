"""What a monitor is worth: its verdicts against labels, and against inputs from elsewhere.

With labels, the verdict WRONG is a claim that the prediction is wrong: its precision is the
share of flagged predictions that are wrong, its recall the share of wrong predictions that
are flagged; likewise CORRECT.  Against another data set, out of pattern should be commoner
there; how well a score tells the two apart is the area under the ROC curve, the chance that
an outside input scores higher than an inside one (ties count half; Hanley, McNeil 1982).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from precond.apply.monitoring.watch import NO_VOTE, Monitor, Opinion, Watched


@dataclass(frozen=True)
class Agreement:
    """One group of rules: of all inputs, the shares with a vote, and with a vote for what the
    network predicts."""

    layers: str
    rules: int
    votes: float
    agrees: float


@dataclass(frozen=True)
class Detection:
    """A verdict as a claim about predictions: how many it was given, how many of those were
    what it says (``hits``) and how many such predictions there are (``present``)."""

    verdict: str
    predictions: int
    hits: int
    present: int

    @property
    def precision(self) -> float | None:
        return self.hits / self.predictions if self.predictions else None

    @property
    def recall(self) -> float | None:
        return self.hits / self.present if self.present else None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Of ``inputs``: how many are in pattern, hold a proved rule, contradict one (float
    rounding, or a proof that is none), satisfy a rule outside its box; verdicts; groups; with
    labels ``accuracy`` and ``detections``."""

    inputs: int
    in_pattern: int
    proved: int
    contradicted: int
    outside: int
    verdicts: dict[str, int]
    groups: tuple[Agreement, ...]
    accuracy: float | None = None
    detections: tuple[Detection, ...] = ()

    def to_json(self) -> dict[str, Any]:
        found = asdict(self)
        for entry, own in zip(found["detections"], self.detections, strict=True):
            entry |= {"precision": own.precision, "recall": own.recall}
        return found


@dataclass(frozen=True, kw_only=True)
class Separation:
    """Inputs from elsewhere: in pattern and judged CORRECT there, beside the same at home, and
    the area under the ROC curve of three scores: lack of strength, out of pattern (yes or no), and
    one minus the largest softmax output."""

    name: str
    inputs: int
    in_pattern: float
    in_pattern_home: float
    correct: float
    correct_home: float
    by_strength: float
    by_pattern: float
    by_softmax: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def summarise(
    monitor: Monitor, watched: Watched, labels: NDArray[np.int64] | None = None
) -> Summary:
    """Counts over all watched inputs."""
    predicted, opinion = watched.predicted.numpy(), watched.opinion.numpy()
    votes = watched.votes.numpy()
    count, classes = len(predicted), watched.outputs.shape[1]
    agrees = (votes == predicted[:, None]) | (votes == classes)
    groups = tuple(
        Agreement(
            "+".join(layers),
            sum(entry.pattern.layers == layers for entry in monitor.entries),
            float((votes[:, k] != NO_VOTE).mean()),
            float(agrees[:, k].mean()),
        )
        for k, layers in enumerate(monitor.groups)
    )
    proved = monitor.proved_holds(watched)
    own = monitor.label_of_rule() == predicted[:, None]
    broken = proved & ~own & (monitor.label_of_rule() < classes)
    detections: tuple[Detection, ...] = ()
    accuracy = None
    if labels is not None:
        wrong = predicted != labels
        accuracy = float(1 - wrong.mean())
        flags = {
            "wrong": (opinion == Opinion.WRONG, wrong),
            "wrong or uncertain": (opinion != Opinion.CORRECT, wrong),
            "correct": (opinion == Opinion.CORRECT, ~wrong),
        }
        detections = tuple(
            Detection(name, int(flag.sum()), int((flag & truth).sum()), int(truth.sum()))
            for name, (flag, truth) in flags.items()
        )
    return Summary(
        inputs=count,
        in_pattern=int(watched.in_pattern.sum()),
        proved=int(proved.any(1).sum()),
        contradicted=int(broken.any(1).sum()),
        outside=int((watched.outside > 0).sum()),
        verdicts={o.name.lower(): int((opinion == o).sum()) for o in Opinion},
        groups=groups,
        accuracy=accuracy,
        detections=detections,
    )


def separate(home: Watched, other: Watched, name: str) -> Separation:
    """How well the monitor tells ``other`` inputs from those at ``home``."""
    inside, outside = home.in_pattern.numpy(), other.in_pattern.numpy()

    def unsure(watched: Watched) -> NDArray[np.float64]:
        return np.asarray(1.0 - watched.outputs.double().softmax(1).amax(1).numpy())

    return Separation(
        name=name,
        inputs=len(outside),
        in_pattern=float(outside.mean()),
        in_pattern_home=float(inside.mean()),
        correct=float((other.opinion == Opinion.CORRECT).double().mean()),
        correct_home=float((home.opinion == Opinion.CORRECT).double().mean()),
        by_strength=area(-home.strength.numpy(), -other.strength.numpy()),
        by_pattern=area(~inside, ~outside),
        by_softmax=area(unsure(home), unsure(other)),
    )


def area(low: NDArray[Any], high: NDArray[Any]) -> float:
    """The chance that a score in ``high`` exceeds one in ``low``, ties counting half."""
    ranks = rankdata(np.concatenate([low, high]).astype(np.float64))
    total = ranks[len(low) :].sum() - len(high) * (len(high) + 1) / 2
    return float(total / (len(low) * len(high)))
