"""A JSON value held against a schema of ``docs/schemas``: what of the draft these schemas use."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "docs" / "schemas"
KINDS: dict[str, Callable[[Any], bool]] = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "null": lambda v: v is None,
}
KNOWN = {
    *("$schema", "$defs", "$ref", "title", "type", "enum", "anyOf", "required", "properties"),
    *("additionalProperties", "items", "minItems", "maxItems"),
}


def faults(value: Any, name: str) -> list[str]:
    """Where ``value`` is not as ``docs/schemas/NAME.schema.json`` says."""
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
    return list(_faults(value, schema, schema.get("$defs", {}), "$"))


def _faults(value: Any, schema: dict[str, Any], defs: dict[str, Any], at: str) -> Iterator[str]:
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    if "$ref" in schema:
        yield from _faults(value, defs[schema["$ref"].rpartition("/")[2]], defs, at)
        return
    if "anyOf" in schema and all(any(_faults(value, s, defs, at)) for s in schema["anyOf"]):
        yield f"{at}: none of the alternatives"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is none of {schema['enum']}"
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(KINDS[kind](value) for kind in kinds):
        yield f"{at}: {type(value).__name__} instead of {' or '.join(kinds)}"
        return
    if isinstance(value, dict):
        yield from (f"{at}: no {key}" for key in schema.get("required", ()) if key not in value)
        known = schema.get("properties", {})
        if schema.get("additionalProperties") is False:
            yield from (f"{at}: {key} is not known" for key in value if key not in known)
        for key in value:
            if key in known:
                yield from _faults(value[key], known[key], defs, f"{at}.{key}")
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{at}: {len(value)} items"
        for number, one in enumerate(value):
            yield from _faults(one, schema.get("items", {}), defs, f"{at}[{number}]")
