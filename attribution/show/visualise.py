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


def signed_overlay(
    image: Array,
    values: Array,
    limit: float | None = None,
    natural: tuple[float, float] | None = None,
) -> Picture:
    """The image, pale, with red on the pixels that count for and blue on those against."""
    array = plane(values)
    strength = np.clip(array / (limit_of(array) if limit is None else limit), -1, 1)[..., None]
    pale = 110 + 0.5 * grey_image(image, natural)
    mixed = pale + np.abs(strength) * (np.where(strength > 0, RED, BLUE) - pale)
    return np.asarray(np.round(mixed), dtype=np.uint8)


def scale_picture(limit: float, size: int) -> Picture:
    """The colours of a signed map from −``limit`` (below) to +``limit``, with their values."""
    from PIL import Image, ImageDraw, ImageFont

    bar = signed_map(np.repeat(np.linspace(limit, -limit, size - 24)[:, None], 28, 1), limit)
    sheet = Image.new("RGB", (size, size), "white")
    sheet.paste(Image.fromarray(bar), (24, 12))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    for place, text in ((12, f"+{limit:.3g}"), (size // 2, "0"), (size - 12, f"-{limit:.3g}")):
        draw.text((62, place), text, fill="black", font=font, anchor="lm")
    return np.asarray(sheet, dtype=np.uint8)


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


def save_png(
    panels: Sequence[Panel], path: str | Path, *, size: int = 168, columns: int | None = None
) -> Path:
    """Panels in rows of ``columns`` (None: one row), each enlarged to about ``size`` pixels,
    captions below."""
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
    across = columns or len(tiles)
    width = 8 + max(large.shape[1] for large, _ in tiles) + 8
    height = 18 + max(large.shape[0] + 15 * len(lines) for large, lines in tiles)
    down = -(-len(tiles) // across)
    sheet = Image.new("RGB", (min(across, len(tiles)) * width, down * height), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (large, lines) in enumerate(tiles):
        x, y = number % across * width + 8, number // across * height + 8
        sheet.paste(Image.fromarray(large), (x, y))
        for i, line in enumerate(lines):
            below = y + large.shape[0] + 4 + 15 * i
            draw.text((x, below), line, fill="black", font=font)
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


STYLE = (
    "body{font:15px/1.5 sans-serif;margin:2em auto;max-width:62em;color:#222}"
    "span{padding:.1em .2em;border-radius:3px}"
)


def _page(title: str, body: str, notes: Sequence[str]) -> str:
    words = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    return printable_page(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>{body}{words}</html>"
    )
