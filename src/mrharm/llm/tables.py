"""The ledger's tables, and how damaged ones are repaired in place, while other processes go on with the file."""

from __future__ import annotations

import sqlite3

FORM = 2  # 1 had no batches
CALLS: dict[str, str] = {
    "key": "TEXT PRIMARY KEY",
    "status": "TEXT NOT NULL",
    "model": "TEXT NOT NULL",
    "request": "TEXT NOT NULL",
    "endpoint": "TEXT NOT NULL",
    "raw": "TEXT",
    "usage": "TEXT",
    "price": "TEXT",
    "nano_usd": "INTEGER",
    "presumed": "INTEGER NOT NULL DEFAULT 0",
    "reserved": "INTEGER NOT NULL DEFAULT 0",
    "attempts": "INTEGER NOT NULL DEFAULT 0",
    "failure_kind": "TEXT",
    "failure": "TEXT",
    "run": "TEXT NOT NULL",
    "owner": "TEXT NOT NULL",
    "lease": "REAL NOT NULL",
    "asked_at": "TEXT NOT NULL",
    "answered_at": "TEXT",
    "digest": "TEXT",
}
BATCHES: dict[str, str] = {
    "token": "TEXT PRIMARY KEY",
    "state": "TEXT NOT NULL",
    "endpoint": "TEXT NOT NULL",
    "model": "TEXT NOT NULL",
    "run": "TEXT NOT NULL",
    "owner": "TEXT NOT NULL",
    "questions": "INTEGER NOT NULL DEFAULT 0",
    "made": "REAL NOT NULL",
    "file": "TEXT",
    "id": "TEXT",
    "sent": "REAL",
    "ended": "REAL",
    "outcome": "TEXT",
}
TABLES: dict[str, dict[str, str]] = {
    "calls": CALLS,
    "runs": {
        "run": "TEXT PRIMARY KEY",
        "spent": "INTEGER NOT NULL DEFAULT 0",
        "reserved": "INTEGER NOT NULL DEFAULT 0",
    },
    "batches": BATCHES,
    "quarantine": {"key": "TEXT", "row": "TEXT", "at": "TEXT"},
}
_SMALLEST_ROW = 24  # bytes; bounds how many row ids a file can hold


def create(db: sqlite3.Connection, table: str, number: int = 0) -> None:
    """Make a table; ``number`` tells its index from that of a damaged one that is kept."""
    columns = ", ".join(f"{name} {kind}" for name, kind in TABLES[table].items())
    db.execute(f"CREATE TABLE {table} ({columns})")
    if table == "calls":
        db.execute(f"CREATE INDEX claimed{number} ON calls (run) WHERE status = 'claimed'")


def set_damaged_apart(db: sqlite3.Connection, reader: sqlite3.Connection) -> tuple[int, int]:
    """Keep each damaged table under another name, and copy what can be read of it to a new one.

    Args:
        db: in a transaction that keeps other writers out.
        reader: another connection to the same file. One that has met damage within a transaction may not write in it
            any more (SQLite sees to that), so one connection looks and the other writes.

    Returns how many rows were read, and how many row ids could not be; (0, 0) where another process was faster.
    """
    read = lost = 0
    for table, columns in TABLES.items():
        if _is_sound(reader, table):
            continue
        count = db.execute("SELECT count(*) FROM sqlite_master WHERE name LIKE 'damaged%'").fetchone()[0]
        db.execute(f"ALTER TABLE {table} RENAME TO damaged{count + 1}_{table}")
        create(db, table, count + 1)
        put = f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(columns))})"
        # One row at a time, each by its own path from the root: a broken page takes only its own rows with it.
        for number in range(1, _last_row(reader, table) + 1):
            try:
                row = reader.execute(f"SELECT * FROM {table} WHERE rowid = ?", (number,)).fetchone()
            except sqlite3.DatabaseError:
                lost += 1
                continue
            if row is not None:
                db.execute(put, row)
                read += 1
    return read, lost


def _is_sound(reader: sqlite3.Connection, table: str) -> bool:
    try:
        return bool(reader.execute(f"PRAGMA integrity_check({table})").fetchone()[0] == "ok")
    except sqlite3.DatabaseError:
        return False


def _last_row(reader: sqlite3.Connection, table: str) -> int:
    try:
        return int(reader.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0] or 0)
    except sqlite3.DatabaseError:
        pages, size = (reader.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        return int(pages * size // _SMALLEST_ROW)
