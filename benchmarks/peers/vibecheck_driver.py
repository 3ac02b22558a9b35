"""vibecheck-nn behind a pipe: run by an interpreter that has it installed.

Reads requests, one JSON object a line: ``{"network": …, "property": …, "cap": seconds}``;
answers each with ``{"verdict": …, "seconds": …, "cpu": …}``.  ``seconds`` is the time of its
``pipeline.verify`` less what that spends in its own loaders of models and properties, ``cpu`` the
processor's seconds of the same.
All that it prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any


class Clock:
    """Seconds spent inside the wrapped functions, nested calls counted once."""

    def __init__(self) -> None:
        self.seconds = self.cpu = 0.0
        self.depth = 0

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            self.depth += 1
            begun, cpu = time.perf_counter(), processor()
            try:
                return function(*arguments, **options)
            finally:
                self.depth -= 1
                if not self.depth:
                    self.seconds += time.perf_counter() - begun
                    self.cpu += processor() - cpu

        return timed


def processor() -> float:
    """Seconds of this process's threads and of its ended children."""
    return sum(os.times()[:4])


def main() -> None:
    target = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    from vibecheck import pipeline
    from vibecheck.frontend import vnnlib_loader
    from vibecheck.handlers import nonlinear_augment

    loading = Clock()
    pipeline.load_net = loading.wrap(pipeline.load_net)
    vnnlib_loader.load_vnnlib = loading.wrap(vnnlib_loader.load_vnnlib)
    nonlinear_augment.maybe_empty_input = loading.wrap(nonlinear_augment.maybe_empty_input)
    for line in sys.stdin:
        asked = json.loads(line)
        loading.seconds = loading.cpu = 0.0
        begun, cpu = time.perf_counter(), processor()
        verdict, _ = pipeline.verify(
            asked["network"],
            asked["property"],
            asked["cap"],
            "cpu",
            log=lambda _: None,
        )
        seconds = time.perf_counter() - begun - loading.seconds
        said = {"verdict": verdict, "seconds": seconds, "cpu": processor() - cpu - loading.cpu}
        print(json.dumps(said), file=target)


if __name__ == "__main__":
    main()
