"""The ledger's table: opened, made, migrated from earlier versions.

1  verdicts(key, verdict, budget, written)
2  a digest of each row; one B-tree instead of a table and an index
3  attempts as objects in a verdict's JSON; rows of version 2 stay as they are and are read
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

SCHEMA = 3
SAME_TABLE = (2, SCHEMA)
TABLE = (
    "CREATE TABLE verdicts (key TEXT PRIMARY KEY, verdict TEXT NOT NULL, budget REAL NOT NULL, "
    "written REAL NOT NULL, digest BLOB NOT NULL) WITHOUT ROWID"
)


def digest(key: str, verdict: str, budget: float, written: float) -> bytes:
    """Sixteen bytes that tell a row from a damaged one."""
    content = repr((key, verdict, float(budget), float(written)))
    return hashlib.blake2b(content.encode(), digest_size=16).digest()


def prepare(path: Path, writable: bool, patience: float) -> sqlite3.Connection:
    """An open database of the current version.

    sqlite3.Error or OSError where that cannot be had; a file that may only be read is opened
    with whatever rights there are.
    """
    if not writable:
        return _to_read(path, patience)
    database = sqlite3.connect(path, timeout=patience, isolation_level=None)
    try:
        _wal(database, patience)
        database.execute("PRAGMA synchronous=NORMAL")
        _migrate(database)
    except BaseException:
        database.close()
        raise
    return database


def _to_read(path: Path, patience: float) -> sqlite3.Connection:
    if not path.is_file():
        raise FileNotFoundError(2, "no such file")
    place = f"file:{quote(str(path.absolute()))}"
    last: sqlite3.Error | None = None
    # Without rights to the folder, SQLite cannot make the index of the write-ahead log; where
    # the log is empty, the file alone says everything.
    log = path.with_name(path.name + "-wal")
    empty = not log.exists() or not log.stat().st_size
    for mode in ("mode=ro", "mode=ro&immutable=1") if empty else ("mode=ro",):
        database = sqlite3.connect(
            f"{place}?{mode}", uri=True, timeout=patience, isolation_level=None
        )
        try:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version == 1:
                return _upgraded(database)
            if version == 0:
                raise sqlite3.DatabaseError("a database of another program")
            if version not in SAME_TABLE:
                raise sqlite3.DatabaseError(f"schema version {version}, of a newer precond")
            return database
        except sqlite3.Error as error:
            database.close()
            last = error
    assert last is not None
    raise last


def _upgraded(database: sqlite3.Connection) -> sqlite3.Connection:
    """A copy of version 1 in memory, as the current version."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    with closing(database):
        database.backup(copy)
    _migrate(copy)
    return copy


def _wal(database: sqlite3.Connection, patience: float) -> None:
    """WAL mode; SQLite does not wait by itself while another process is switching."""
    limit = time.monotonic() + patience
    while True:
        try:
            database.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > limit:
                raise
            time.sleep(0.01)


def _migrate(database: sqlite3.Connection) -> None:
    """Make the table, or bring it to the current version; all or nothing.

    Takes the right to write even where there is nothing to do, so that a file that cannot be
    written is noticed before any work.
    """
    database.execute("BEGIN IMMEDIATE")
    try:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        if version > SCHEMA:
            raise sqlite3.DatabaseError(f"schema version {version}, of a newer precond")
        if version == 0:
            if tables:
                raise sqlite3.DatabaseError("a database of another program")
            database.execute(TABLE)
        elif version == 1:
            database.execute("ALTER TABLE verdicts RENAME TO version1")
            database.execute(TABLE)
            database.create_function("row_digest", 4, digest, deterministic=True)
            database.execute(
                "INSERT INTO verdicts SELECT key, verdict, budget, written, "
                "row_digest(key, verdict, budget, written) FROM version1"
            )
            database.execute("DROP TABLE version1")
        if version != SCHEMA:
            database.execute(f"PRAGMA user_version={SCHEMA}")
        database.execute("COMMIT")
    finally:
        if database.in_transaction:
            database.execute("ROLLBACK")
