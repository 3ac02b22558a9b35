"""Pictures of attributions.

Signed maps are red where positive, blue where negative and grey at 0, and symmetric: equal
magnitudes are equally strong.  The largest magnitude shown is a *limit* that several panels
can share, and the figure says how it was chosen.  Images are uint8 arrays (H, W, 3).
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from precond.errors import DataError, OutputError
from precond.printable import printable_page

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]

GREY = np.array([221.0, 221.0, 221.0])
RED = np.array([178.0, 24.0, 43.0])
BLUE = np.array([33.0, 102.0, 172.0])


class Clip(Enum):
    """How the limit of a map is chosen."""

    NONE = "largest magnitude"
    MASS = "99 % of attribution mass"
    """The smallest magnitude such that values up to it hold 99 % of Σ|value|."""
    PERCENTILE = "99th percentile of magnitude"


def limit_of(values: Array | Sequence[Array], clip: Clip = Clip.MASS) -> float:
    """The magnitude drawn at full strength; of several arrays, one for all."""
    arrays = [values] if isinstance(values, np.ndarray) else list(values)
    size = np.sort(np.abs(np.concatenate([np.asarray(a, np.float64).ravel() for a in arrays])))
    if not size.size or size[-1] == 0:
        return 1.0
    if clip is Clip.MASS:
        total = np.cumsum(size)
        return float(size[np.searchsorted(total, 0.99 * total[-1])])
    if clip is Clip.PERCENTILE:
        return float(np.percentile(size, 99)) or float(size[-1])
    return float(size[-1])


def plane(values: Array) -> Array:
    """An attribution (H, W), (1, H, W) or (C, H, W) as one signed map: channels are summed."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 3:
        array = array.sum(0)
    if array.ndim != 2:
        raise DataError(
            "picture",
            expected="(H, W) or (C, H, W)",
            got=str(np.shape(values)),
            fix="Reshape the row to the image's shape",
        )
    return array


def signed_map(values: Array, limit: float | None = None, clip: Clip = Clip.MASS) -> Picture:
    """Red for +, blue for −, grey for 0; ``limit`` None: by ``clip``."""
    array = plane(values)
    strength = np.clip(array / (limit_of(array, clip) if limit is None else limit), -1, 1)
    colour = np.where(strength[..., None] > 0, RED, BLUE)
    mixed = GREY + np.abs(strength)[..., None] * (colour - GREY)
    return np.asarray(np.round(mixed), dtype=np.uint8)


def grey_image(image: Array, natural: tuple[float, float] | None = None) -> Picture:
    """An input (H, W) or (C, H, W) as (H, W, 3); ``natural``: the values of black and white."""
    array = np.asarray(image, dtype=np.float64)
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.shape[0] not in (1, 3):
        raise DataError(
            "image", expected="(H, W), (1, H, W) or (3, H, W)", got=str(np.shape(image))
        )
    low, high = natural if natural is not None else (array.min(), array.max())
    scaled = np.clip((array - low) / (high - low if high > low else 1.0), 0, 1)
    rgb = np.broadcast_to(scaled, (3, *scaled.shape[1:])).transpose(1, 2, 0)
    return np.asarray(np.round(255 * rgb), dtype=np.uint8)


def scaled_image(
    image: Array, values: Array, limit: float | None = None, clip: Clip = Clip.MASS
) -> Picture:
    """The image, each pixel as bright as its attribution is strong."""
    array = np.abs(plane(values))
    strength = np.clip(array / (limit_of(array, clip) if limit is None else limit), 0, 1)
    return np.asarray(np.round(grey_image(image) * strength[..., None]), dtype=np.uint8)


def green_overlay(
    image: Array, values: Array, limit: float | None = None, clip: Clip = Clip.MASS
) -> Picture:
    """The image dimmed, positive attribution on the green channel."""
    array = np.maximum(plane(values), 0)
    strength = np.clip(array / (limit_of(array, clip) if limit is None else limit), 0, 1)
    result = grey_image(image) * 0.6
    result[..., 1] = np.maximum(result[..., 1], 255 * strength)
    return np.asarray(np.round(result), dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class Panel:
    """A picture (H, W, 3) with its caption."""

    picture: Picture
    caption: str


def compared(
    maps: Sequence[Array], captions: Sequence[str], clip: Clip = Clip.MASS
) -> tuple[Panel, ...]:
    """Signed maps with one scale across all."""
    planes = [plane(one) for one in maps]
    limit = limit_of(planes, clip)
    return tuple(
        Panel(signed_map(one, limit), text) for one, text in zip(planes, captions, strict=True)
    )


def save_png(panels: Sequence[Panel], path: str | Path, *, size: int = 168) -> Path:
    """Panels side by side, each enlarged to about ``size`` pixels, captions below."""
    from PIL import Image, ImageDraw, ImageFont

    if not panels:
        raise DataError("picture", expected="at least one panel", got="none")
    font = ImageFont.load_default(size=12)
    tiles = []
    for panel in panels:
        times = max(1, round(size / max(panel.picture.shape[:2])))
        large = panel.picture.repeat(times, 0).repeat(times, 1)
        lines = _wrapped(panel.caption, large.shape[1], font)
        tiles.append((large, lines))
    height = max(t.shape[0] for t, _ in tiles) + 6 + 15 * max(len(lines) for _, lines in tiles)
    width = sum(t.shape[1] + 8 for t, _ in tiles) + 8
    sheet = Image.new("RGB", (width, height + 12), "white")
    draw, x = ImageDraw.Draw(sheet), 8
    for large, lines in tiles:
        sheet.paste(Image.fromarray(large), (x, 8))
        for i, line in enumerate(lines):
            draw.text((x, large.shape[0] + 12 + 15 * i), line, fill="black", font=font)
        x += large.shape[1] + 8
    try:
        sheet.save(path)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write {path}", got=str(error)) from error
    return Path(path)


def _wrapped(text: str, width: int, font: FreeTypeFont | ImageFont) -> list[str]:
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(joined) > width:
            lines.append(word)
        else:
            lines[-1] = joined
    return lines


def data_uri(picture: Picture) -> str:
    """The picture as a PNG inside a ``data:`` address."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def panels_html(panels: Sequence[Panel], title: str, notes: Sequence[str] = ()) -> str:
    """A self-contained page with the panels."""
    figures = "".join(
        f'<figure><img src="{data_uri(p.picture)}" alt="{html.escape(p.caption)}">'
        f"<figcaption>{html.escape(p.caption)}</figcaption></figure>"
        for p in panels
    )
    return _page(title, f'<div class="panels">{figures}</div>', notes)


def _colour(value: float, limit: float) -> str:
    strength = max(-1.0, min(1.0, value / limit))
    base = np.array([255.0, 255.0, 255.0])
    mixed = base + abs(strength) * 0.75 * ((RED if strength > 0 else BLUE) - base)
    return "rgb({}, {}, {})".format(*(round(c) for c in mixed))


def tokens_html(tokens: Sequence[str], values: Array, title: str = "Attribution") -> str:
    """Text with every token on its colour; values (tokens,) (sum embeddings' first)."""
    flat = np.asarray(values, dtype=np.float64)
    if flat.shape != (len(tokens),):
        raise DataError("token values", expected=f"({len(tokens)},)", got=str(flat.shape))
    limit = limit_of(flat, Clip.NONE)
    spans = " ".join(
        f'<span style="background:{_colour(float(v), limit)}" title="{v:+.4g}">'
        f"{html.escape(token)}</span>"
        for token, v in zip(tokens, flat, strict=True)
    )
    return _page(title, f"<p>{spans}</p>", ("Hover over a word for its number.",))


def table_html(
    names: Sequence[str], inputs: Array, values: Array, title: str = "Attribution"
) -> str:
    """A table for tabular inputs, largest magnitude first: feature, value, attribution."""
    flat, given = np.asarray(values, np.float64).ravel(), np.asarray(inputs).ravel()
    if not len(names) == len(flat) == len(given):
        raise DataError(
            "table", expected=f"{len(names)} values", got=f"{len(given)} and {len(flat)}"
        )
    limit = limit_of(flat, Clip.NONE)
    rows = "".join(
        f"<tr><td>{html.escape(names[i])}</td><td>{given[i]:.6g}</td>"
        f'<td style="background:{_colour(float(flat[i]), limit)}">{flat[i]:+.6g}</td></tr>'
        for i in np.argsort(-np.abs(flat), kind="stable")
    )
    head = "<tr><th>feature</th><th>value</th><th>attribution</th></tr>"
    return _page(title, f"<table>{head}{rows}</table>", ())


STYLE = (
    "body{font:15px/1.5 sans-serif;margin:2em auto;max-width:62em;color:#222}"
    ".panels{display:flex;flex-wrap:wrap;gap:1em}figure{margin:0;width:168px}"
    "img{width:168px;image-rendering:pixelated;border:1px solid #ccc}"
    "figcaption{font-size:13px}td,th{padding:.2em .8em;text-align:right}"
    "td:first-child,th:first-child{text-align:left}span{padding:.1em .2em;border-radius:3px}"
)


def _page(title: str, body: str, notes: Sequence[str]) -> str:
    words = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    return printable_page(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>{body}{words}</html>"
    )
