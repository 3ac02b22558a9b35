"""Output files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from precond.errors import OutputError


def write_whole(
    path: Path,
    content: str | bytes | Iterable[str],
    *,
    name: str | None = None,
    fix: str = "Choose another place with enough space",
) -> None:
    """Write to a neighbour and rename, so that no half file is ever at ``path``.

    ``content`` may come in parts.  Text is UTF-8; a file name in it that is not valid text
    comes as lone surrogates, which UTF-8 cannot hold, and is written with question marks.
    OutputError when the place cannot be written; ``name`` is what that calls it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    parts = [content] if isinstance(content, str | bytes) else content
    try:
        with temporary.open("wb") as file:
            for part in parts:
                file.write(part if isinstance(part, bytes) else part.encode("utf-8", "replace"))
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise OutputError(
            name or f"{path}",
            expected="a file that can be written",
            got=error.strerror or type(error).__name__,
            fix=fix,
        ) from error
