"""One search on two cores: what waits is halved with a copy of the process, again and again.

A search that is not over soon gives half of its waiting subdomains to a fork of the process
(``processes.copy``).  Both go on until one is done; then the other says what it has come to,
what it has left is put to the rest, and that is halved again.  The account of the search
(``Coverage``) says in the end, as on one core, that nothing was lost or closed twice.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from precond.proof.coverage import Coverage
from precond.proof.processes.copy import Copy, Stops, may_copy

ALONE = 0.3  # seconds on one core before the first copy
WORTH = 0.02  # seconds that the subdomains take that wait, at least, for a copy
MOST = 32  # subdomains that are enough in any case
PATIENCE = 1.0  # seconds, and twice this process's longest step, until a copy must have spoken
B = TypeVar("B")


@dataclass(frozen=True)
class HalfDone(Generic[B]):
    """What came of a half: blocks of subdomains that still wait, by how much the account changed
    for each conjunct (C,), in count and in share, and what ``Halvable.said`` tells."""

    waiting: list[B]
    count: np.ndarray
    share: np.ndarray
    said: Any


class Halvable(ABC, Generic[B]):
    """A search that can be halved."""

    coverage: Coverage

    @abstractmethod
    def waiting_blocks(self) -> list[B]:
        """What waits."""

    @abstractmethod
    def put(self, blocks: list[B]) -> None:
        """These wait, and no others."""

    @property
    @abstractmethod
    def goes_on(self) -> bool:
        """Whether something waits, time is left, and nothing ended the search."""

    @abstractmethod
    def step(self) -> int:
        """Take some of what waits, and put back what comes of it; how many it took."""

    @abstractmethod
    def begin(self) -> None:
        """In the copy, before its first step: nothing has been found so far."""

    @abstractmethod
    def said(self) -> Any:
        """In the copy, when it ends: what it found, beside what waits and the account."""

    @abstractmethod
    def hear(self, said: Any) -> None:
        """What the copy found."""


def run(search: Halvable[Any], halves: bool) -> None:
    """To the end; ``halves``: on two cores where a second one is free."""
    halves = halves and torch.get_num_threads() == 1
    begun = time.monotonic()
    taken = 0
    own = 1  # processes that the system's load counts as this search's
    while search.goes_on:
        spent = time.monotonic() - begun
        enough = min(MOST, max(2.0, WORTH * taken / max(spent, WORTH)))
        if halves and spent > ALONE and _waiting(search) >= enough and may_copy(own):
            halves = _halved(search)
            own = 2
        else:
            taken += search.step()


def _halved(search: Halvable[Any]) -> bool:
    """With a copy, until one of both is done; False where none was made, or it was not heard."""
    mine, other = _halves(search.waiting_blocks())
    count, share = search.coverage.count.copy(), search.coverage.share.copy()

    def part(stops: Stops) -> HalfDone[Any]:
        search.begin()
        search.put(other)
        while search.goes_on and not stops():
            search.step()
        closed = search.coverage.count - count, search.coverage.share - share
        return HalfDone(search.waiting_blocks(), *closed, search.said())

    try:
        copy: Copy[HalfDone[Any]] = Copy(part)
    except OSError:  # no memory for it, or too many processes
        return False
    try:
        search.put(mine)
        longest = 0.0
        while search.goes_on and not copy.done:
            begun = time.monotonic()
            search.step()
            longest = max(longest, time.monotonic() - begun)
        done = copy.result(PATIENCE + 2 * longest)
    finally:
        copy.close()
    if done is None:
        search.put([*other, *search.waiting_blocks()])
        return False
    search.coverage.count += done.count
    search.coverage.share += done.share
    search.put([*done.waiting, *search.waiting_blocks()])
    search.hear(done.said)
    return True


def _waiting(search: Halvable[Any]) -> int:
    return sum(map(len, search.waiting_blocks()))


def _halves(blocks: list[Any]) -> tuple[list[Any], list[Any]]:
    """Of each block every other subdomain."""
    halves: tuple[list[Any], list[Any]] = [], []
    dealt = 0
    for block in blocks:
        for k in range(2):
            index = torch.arange((dealt + k) % 2, len(block), 2, device=block.device)
            if len(index):
                halves[k].append(block.rows(index))
        dealt += len(block)
    return halves
