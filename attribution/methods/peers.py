"""Other methods, computed by Captum (``precond[captum]``) and returned as ``Attribution``."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
import torch

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


def captum_attribution(
    cut: Slice,
    inputs: Any,
    targets: Any,
    method: CaptumMethod,
    *,
    window: tuple[int, ...] | None = None,
    samples: int = 50,
    sigma: float = 0.1,
    seed: int = 0,
) -> Attribution:
    """Attributions of the input (rows, *shape) for the score of ``targets`` (a class, or (rows,)).

    ``cut`` names the layer for Grad-CAM and lies at the input for all others.  ``window``
    is occlusion's, without the batch axis; ``samples`` and ``sigma`` are SmoothGrad's and
    LIME's.
    """
    try:
        from captum import attr
    except ImportError as error:
        raise MissingDependency(
            f"{method.value} needs captum", fix="pip install 'precond[captum]'"
        ) from error
    if (method is CaptumMethod.GRAD_CAM) != bool(cut.sites):
        raise QueryError(
            method.value,
            expected="a slice at a layer" if method is CaptumMethod.GRAD_CAM else "no slice",
            got=str(cut),
        )
    model = as_module(cut.model)
    read = Inputs.read(inputs, device=place_of(model), dtype=type_of(model))
    ((name, x),) = read.floats.items()
    chosen = torch.as_tensor(targets, device=x.device)
    target: Any = int(chosen) if chosen.dim() == 0 else chosen
    state = torch.random.get_rng_state()
    with undisturbed(model):
        torch.manual_seed(seed)
        match method:
            case CaptumMethod.SALIENCY:
                found = attr.Saliency(model).attribute(x, target, abs=False)
            case CaptumMethod.INPUT_X_GRADIENT:
                found = attr.InputXGradient(model).attribute(x, target)
            case CaptumMethod.SMOOTH_GRAD:
                found = attr.NoiseTunnel(attr.Saliency(model)).attribute(
                    x, nt_samples=samples, stdevs=sigma, target=target, abs=False
                )
            case CaptumMethod.OCCLUSION:
                size = window or tuple(min(3, n) if n > 3 else 1 for n in x.shape[1:])
                found = attr.Occlusion(model).attribute(x, size, target=target)
            case CaptumMethod.LIME:
                found = torch.cat(
                    [
                        attr.Lime(model).attribute(
                            x[i : i + 1],
                            target=target if isinstance(target, int) else int(target[i]),
                            n_samples=samples,
                        )
                        for i in range(len(x))
                    ]
                )
            case CaptumMethod.GRAD_CAM:
                layer = find_layer(model, cut.sites[0].layer)
                cam = attr.LayerGradCam(model, layer).attribute(x, target)
                found = attr.LayerAttribution.interpolate(cam, tuple(x.shape[2:]))
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
