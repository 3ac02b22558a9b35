"""Shapes of tensors in type hints: ``Float[Tensor, "rows units"]``.

For a type checker, and in every run, they are the array type alone.  Where jaxtyping was imported
before (the tests do, in a process of their own, and check every call with its import hook), they
are jaxtyping's; the package itself never imports it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Annotated as Bool
    from typing import Annotated as Float
    from typing import Annotated as Int
    from typing import Annotated as Shaped
else:

    class _Plain:
        def __class_getitem__(cls, hint: tuple[Any, str]) -> Any:
            return hint[0]

    _kinds = sys.modules.get("jaxtyping")
    Bool = getattr(_kinds, "Bool", _Plain)
    Float = getattr(_kinds, "Float", _Plain)
    Int = getattr(_kinds, "Int", _Plain)
    Shaped = getattr(_kinds, "Shaped", _Plain)

__all__ = ["Bool", "Float", "Int", "Shaped"]
