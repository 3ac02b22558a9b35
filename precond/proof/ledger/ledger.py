"""The ledger: every verdict by the content of its claim, in SQLite.

A verdict is written before it is shown, so a killed run continues where it stopped and the
same claim is never proved twice.  An UNKNOWN is kept with the budget it had, and tried
again only with a larger one.  WAL mode lets several processes share a file, and keeps every
committed verdict when a process is killed; after a power cut the last ones may be missing.

Every row carries a digest of its content, so that a damaged file gives an error, never
another verdict.  Of two settled verdicts on one claim the better founded one stays; a
confirmed proof and a witness against it are an error.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from precond.basics.arguments import path_of
from precond.basics.plain import FOREIGN
from precond.errors import OutputError
from precond.proof.ledger.schema import digest, prepare
from precond.proof.verdict import Status, Verdict

SETTLED = (Status.PROVED, Status.REFUTED, Status.VACUOUS)
PATIENCE = 60.0  # seconds to wait for another process that writes


@dataclass(frozen=True, eq=False)
class LedgerRow:
    """A row: the claim's key, its verdict, the budget in seconds, when (Unix time)."""

    key: str
    verdict: Verdict
    budget: float
    written: float


class Ledger:
    """An open ledger file; a context manager.  ``writable=False``: to look at only."""

    def __init__(self, path: Path | str, *, writable: bool = True) -> None:
        self.path = path_of("ledger", path)
        self._db: sqlite3.Connection | None = None
        try:
            if writable:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = prepare(self.path, writable, PATIENCE)
        except (sqlite3.Error, OSError) as error:
            raise self._trouble(error) from error

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; again does nothing."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def get(self, key: str, budget: float) -> Verdict | None:
        """The verdict of a claim, unless it is UNKNOWN and was given less than ``budget``."""
        with self._open() as database:
            row = database.execute(
                "SELECT key, verdict, budget, written, digest FROM verdicts WHERE key = ?", (key,)
            ).fetchone()
            if row is None:
                return None
            entry = _entry(row)
        if entry.verdict.status in SETTLED or entry.budget >= budget:
            return entry.verdict
        return None

    def put(self, key: str, verdict: Verdict, budget: float) -> Verdict:
        """Write a verdict, and return the one that stands.

        UNKNOWN never replaces a settled verdict, nor an UNKNOWN that had a larger budget; a
        settled one is replaced only by one that is better founded.  OutputError where a
        confirmed proof and a witness contradict each other.
        """
        text, now = json.dumps(verdict.to_json()), time.time()
        row = (key, text, budget, now, digest(key, text, budget, written=now))
        with self._open() as database:
            if database.execute(
                "INSERT INTO verdicts VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row
            ).rowcount:
                return verdict
            database.execute("BEGIN IMMEDIATE")
            try:
                found = database.execute(
                    "SELECT key, verdict, budget, written, digest FROM verdicts WHERE key = ?",
                    (key,),
                ).fetchone()
                old = None if found is None else _entry(found)
                if old is not None and self._stands(old, verdict, budget):
                    if verdict.holds_in <= old.verdict.holds_in:
                        return old.verdict
                    # Two proofs: what one of them shows of runs in floats joins the other.
                    verdict, budget = old.verdict.joined(verdict), old.budget
                    text = json.dumps(verdict.to_json())
                    row = (key, text, budget, now, digest(key, text, budget, written=now))
                elif old is not None and old.verdict.holds_in - verdict.holds_in:
                    verdict = verdict.joined(old.verdict)
                    text = json.dumps(verdict.to_json())
                    row = (key, text, budget, now, digest(key, text, budget, written=now))
                database.execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?)", row)
                database.execute("COMMIT")
            finally:
                if database.in_transaction:
                    database.execute("ROLLBACK")
        return verdict

    def recall(
        self,
        key: str,
        engines: str,
        budget: float,
        serves: Callable[[Verdict], bool] = lambda _: True,
    ) -> Verdict | None:
        """What is settled about a claim, by whomever, if it ``serves``; an UNKNOWN only of the
        same ``engines``."""
        for name in (key, f"{key}:{engines}"):
            found = self.get(name, budget)
            if found is not None and serves(found):
                return found
        return None

    def remember(self, key: str, engines: str, verdict: Verdict, budget: float) -> Verdict:
        """Write a verdict where ``recall`` finds it, and return the one that stands."""
        unknown = verdict.status is Status.UNKNOWN
        return self.put(f"{key}:{engines}" if unknown else key, verdict, budget)

    def __len__(self) -> int:
        with self._open() as database:
            (count,) = database.execute("SELECT COUNT(*) FROM verdicts").fetchone()
        return int(count)

    def entries(self, damaged: Callable[[str], None] | None = None) -> Iterator[LedgerRow]:
        """All rows, oldest first.  Damaged ones go to ``damaged`` by key, else are an error."""
        with self._open() as database:
            for row in database.execute(
                "SELECT key, verdict, budget, written, digest FROM verdicts ORDER BY written, key"
            ):
                try:
                    entry = _entry(row)
                except ValueError:
                    if damaged is None:
                        raise
                    damaged(str(row[0]))
                    continue
                yield entry

    def prune(self, unwanted: Callable[[LedgerRow], bool], *, damaged: bool = False) -> int:
        """Delete rows (the damaged ones too, if asked) and give their space back; how many."""
        lost: list[str] = []
        keys = [e.key for e in self.entries(lost.append) if unwanted(e)] + lost * damaged
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            database.executemany("DELETE FROM verdicts WHERE key = ?", [(key,) for key in keys])
            database.execute("COMMIT")
            database.execute("VACUUM")
        return len(keys)

    def _stands(self, old: LedgerRow, new: Verdict, budget: float) -> bool:
        """Whether ``old`` is to stay.  OutputError where the two contradict each other."""
        if new.status not in SETTLED:
            return old.verdict.status in SETTLED or old.budget >= budget
        if old.verdict.status not in SETTLED:
            return False
        if (old.verdict.status is Status.REFUTED) == (new.status is Status.REFUTED):
            return _grounds(old.verdict) >= _grounds(new)
        refuted_before = old.verdict.status is Status.REFUTED
        proof = new if refuted_before else old.verdict
        if proof.confirmed:
            raise OutputError(
                f"ledger {self.path}, claim {old.key}",
                expected=f"{old.verdict.status.value}, as {old.verdict.engine} found",
                got=f"{new.status.value}, by {new.engine}",
                fix="One of them is wrong: please report it, with the model",
            )
        return refuted_before  # a witness that replays outweighs one float solver's word

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The database; whatever goes wrong with it becomes one clear line."""
        if self._db is None:
            raise OutputError(f"ledger {self.path}", expected="an open ledger", got="a closed one")
        try:
            yield self._db
        except (sqlite3.Error, ValueError) as error:
            raise self._trouble(error) from error

    def _trouble(self, error: Exception) -> OutputError:
        text = getattr(error, "strerror", None) or str(error)
        fix = "Move the file away to start afresh"
        if "full" in text or "I/O error" in text:
            fix = "Free disk space and run again; what was written before is kept"
        elif "readonly" in text or "unable to open" in text or isinstance(error, OSError):
            fix = "Check the path and its permissions"
        elif "locked" in text:
            fix = "End the process that keeps it locked"
        elif "newer" in text:
            fix = "Install the newer precond, or choose another file"
        elif "damaged" in text:
            fix = f"'precond ledger {self.path} prune --damaged' drops damaged entries"
        return OutputError(
            f"ledger {self.path}", expected="a readable and writable SQLite file", got=text, fix=fix
        )


def _grounds(verdict: Verdict) -> tuple[bool, bool]:
    return verdict.exact, verdict.confirmed


def _entry(row: tuple[str, str, float, float, bytes]) -> LedgerRow:
    """A row whose digest fits; ValueError on any other."""
    key, text, budget, written, given = row
    try:
        if digest(key, text, budget, written=written) != given:
            raise ValueError("the digest does not fit")
        return LedgerRow(key, Verdict.from_json(json.loads(text)), budget, written=written)
    except FOREIGN as error:
        raise ValueError(f"a damaged entry, {str(key)[:20]!r}: {error}") from error
