"""The ledger: every verdict by the content of its claim, in SQLite.

A verdict is written before it is shown, so a killed run continues where it stopped and the
same claim is never proved twice.  An UNKNOWN is kept with the budget it had, and tried
again only with a larger one.  WAL mode lets two processes share a file.
"""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from types import TracebackType

from precond.errors import OutputError
from precond.proof.verdict import Status, Verdict

SCHEMA = 1
SETTLED = (Status.PROVED, Status.REFUTED, Status.VACUOUS)


class Ledger:
    """An open ledger file; a context manager."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=30.0, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version not in (0, SCHEMA):
                raise OutputError(
                    f"ledger {self.path}",
                    expected=f"schema version {SCHEMA}",
                    got=str(version),
                    fix="Use a newer precond, or another --out folder",
                )
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS verdicts "
                "(key TEXT PRIMARY KEY, verdict TEXT NOT NULL, budget REAL NOT NULL, "
                "written REAL NOT NULL)"
            )
            self._db.execute(f"PRAGMA user_version={SCHEMA}")
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
        self._db.close()

    def get(self, key: str, budget: float) -> Verdict | None:
        """The verdict of a claim, unless it is UNKNOWN and was given less than ``budget``."""
        try:
            row = self._db.execute(
                "SELECT verdict, budget FROM verdicts WHERE key = ?", (key,)
            ).fetchone()
            if row is None:
                return None
            verdict = Verdict.from_json(json.loads(row[0]))
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            raise self._trouble(error) from error
        if verdict.status in SETTLED or row[1] >= budget:
            return verdict
        return None

    def put(self, key: str, verdict: Verdict, budget: float) -> None:
        """Write a verdict; a settled one is never replaced by UNKNOWN."""
        if verdict.status not in SETTLED:
            old = self.get(key, float("inf"))
            if old is not None:
                return
        try:
            self._db.execute(
                "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)",
                (key, json.dumps(verdict.to_json()), budget, time.time()),
            )
        except sqlite3.Error as error:
            raise self._trouble(error) from error

    def __len__(self) -> int:
        (count,) = self._db.execute("SELECT COUNT(*) FROM verdicts").fetchone()
        return int(count)

    def _trouble(self, error: Exception) -> OutputError:
        return OutputError(
            f"ledger {self.path}",
            expected="a readable and writable SQLite file",
            got=str(error),
            fix="Free disk space, check permissions, or move the file away to start afresh",
        )
