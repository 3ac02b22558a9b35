"""Other methods, computed by Captum (``precond[captum]``) and returned as ``Attribution``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attribution.attribution import Attribution
from attribution.inputs import Inputs
from attribution.model import as_module, place_of, type_of, undisturbed
from attribution.slices import Slice, find_layer
from precond.errors import MissingDependency, QueryError


class CaptumMethod(Enum):
    """What Captum is asked for."""

    SALIENCY = "saliency"
    INPUT_X_GRADIENT = "input-x-gradient"
    SMOOTH_GRAD = "smooth-grad"
    OCCLUSION = "occlusion"
    GRAD_CAM = "grad-cam"
    LIME = "lime"


@dataclass(frozen=True)
class CaptumSettings:
    """``window`` is occlusion's, without the batch axis; ``samples`` are SmoothGrad's and LIME's,
    ``sigma`` SmoothGrad's noise."""

    window: tuple[int, ...] | None = None
    samples: int = 50
    sigma: float = 0.1
    seed: int = 0

    def occlusion(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The window for inputs of ``shape``: three values a side, one where there are few."""
        return self.window or tuple(min(3, n) if n > 3 else 1 for n in shape)


def captum_attribution(
    cut: Slice,
    inputs: Any,
    targets: Any,
    method: CaptumMethod,
    settings: CaptumSettings | None = None,
) -> Attribution:
    """Attributions of the input (rows, *shape) for the score of ``targets`` (a class, or (rows,)).

    ``cut`` names the layer for Grad-CAM and lies at the input for all others.
    """
    settings = settings or CaptumSettings()
    _captum(method)
    if (method is CaptumMethod.GRAD_CAM) != bool(cut.sites):
        raise QueryError(
            method.value,
            expected="a slice at a layer" if method is CaptumMethod.GRAD_CAM else "no slice",
            got=str(cut),
        )
    model = as_module(cut.model)
    read = Inputs.read(inputs, device=place_of(model), dtype=type_of(model))
    ((name, x),) = read.floats.items()
    classes = torch.as_tensor(targets, device=x.device)
    target: Any = int(classes) if classes.dim() == 0 else classes
    state = torch.random.get_rng_state()
    with undisturbed(model):
        torch.manual_seed(settings.seed)
        found = _run(model, cut, x, target=target, method=method, settings=settings)
        torch.random.set_rng_state(state)
    values = np.asarray(found.detach().double().cpu().numpy())
    word = f"class {target}" if isinstance(target, int) else "class its target"
    return Attribution(
        parts=(values,),
        names=(name,),
        quantities=(word,),
        method=f"{method.value} (Captum)",
        rule="",
        evaluated=len(x),
    )


def _captum(method: CaptumMethod) -> Any:
    try:
        from captum import attr
    except ImportError as error:
        raise MissingDependency(
            f"{method.value} needs captum", fix="pip install 'precond[captum]'"
        ) from error
    return attr


def _run(
    model: nn.Module,
    cut: Slice,
    x: Tensor,
    target: Any,
    *,
    method: CaptumMethod,
    settings: CaptumSettings,
) -> Tensor:
    """Captum's own attributions for a class, or one of each row."""
    attr = _captum(method)
    found: Tensor
    match method:
        case CaptumMethod.SALIENCY:
            found = attr.Saliency(model).attribute(x, target, abs=False)
        case CaptumMethod.INPUT_X_GRADIENT:
            found = attr.InputXGradient(model).attribute(x, target)
        case CaptumMethod.SMOOTH_GRAD:
            samples, sigma = settings.samples, settings.sigma
            found = attr.NoiseTunnel(attr.Saliency(model)).attribute(
                x, nt_samples=samples, stdevs=sigma, target=target, abs=False
            )
        case CaptumMethod.OCCLUSION:
            window = settings.occlusion(x.shape[1:])
            found = attr.Occlusion(model).attribute(x, window, target=target)
        case CaptumMethod.LIME:
            targets = [target] * len(x) if isinstance(target, int) else target.tolist()
            rows = [
                attr.Lime(model).attribute(one[None], target=label, n_samples=settings.samples)
                for one, label in zip(x, targets, strict=True)
            ]
            found = torch.cat(rows)
        case CaptumMethod.GRAD_CAM:
            layer = find_layer(model, cut.sites[0].layer)
            cam = attr.LayerGradCam(model, layer).attribute(x, target)
            found = attr.LayerAttribution.interpolate(cam, tuple(x.shape[2:]))
    return found
