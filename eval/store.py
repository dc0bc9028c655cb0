"""Every measurement ever taken, in one SQLite file that several processes may use at once."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from eval.errors import StoreError
from eval.types import Measurement, Response, response_from_json

_WAIT_SECONDS = 30.0


def _first(db: sqlite3.Connection) -> None:
    db.execute(
        "CREATE TABLE measurement (key TEXT PRIMARY KEY, probe_hash TEXT NOT NULL, tier TEXT NOT NULL,"
        " judge TEXT NOT NULL, decoding TEXT NOT NULL, origin TEXT NOT NULL, created TEXT NOT NULL, body TEXT NOT NULL)"
    )
    db.execute("CREATE INDEX measurement_group ON measurement (probe_hash, tier, judge, decoding)")
    db.execute(
        "CREATE TABLE partial (key TEXT NOT NULL, item_id TEXT NOT NULL, body TEXT NOT NULL,"
        " PRIMARY KEY (key, item_id))"
    )


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_first,)
"""Step i brings a store of schema version i to version i + 1; steps are only ever appended."""


class Store:
    """Measurements by key, and the finished batches of measurements that are under way.

    Each call opens its own connection, so one object may be shared by threads, and one file by processes (WAL).
    """

    def __init__(self, path: Path | str) -> None:
        """Open or create the file, bringing an older schema up to date.

        Raises:
            StoreError: The file is no store, or a newer version of this program wrote it.
        """
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._migrate()
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{self.path.name} is no measurement store ({error}); move it away to begin a new one."
            ) from error

    def get(self, key: str) -> Measurement | None:
        """The finished measurement with this key, if there is one."""
        with self._open() as db:
            row = db.execute("SELECT body FROM measurement WHERE key = ?", (key,)).fetchone()
        return None if row is None else Measurement.from_json(json.loads(row[0]))

    def revision(self) -> tuple[int, int]:
        """Changes whenever a finished measurement is added or replaced, by any process."""
        with self._open() as db:
            return db.execute("SELECT count(*), coalesce(max(rowid), 0) FROM measurement").fetchone()

    def put(self, measurement: Measurement) -> None:
        """Keep a finished measurement, in place of one with the same key, and forget its batches."""
        with self._open() as db:
            _insert(db, measurement)
            db.execute("DELETE FROM partial WHERE key = ?", (measurement.key,))

    def all(
        self,
        *,
        probe_hash: str | None = None,
        tier: str | None = None,
        judge: str | None = None,
        decoding: str | None = None,
    ) -> list[Measurement]:
        """Finished measurements that match, oldest first; None matches all."""
        wanted = {"probe_hash": probe_hash, "tier": tier, "judge": judge, "decoding": decoding}
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " WHERE " + " AND ".join(f"{name} = ?" for name in given) if given else ""
        with self._open() as db:
            rows = db.execute(
                f"SELECT body FROM measurement{where} ORDER BY created, key", tuple(given.values())
            ).fetchall()
        return [Measurement.from_json(json.loads(body)) for (body,) in rows]

    def save_batch(self, key: str, responses: Sequence[Response]) -> None:
        """Keep the responses of one finished batch, so that a killed run loses at most the batch in flight."""
        rows = [(key, r.item_id, json.dumps(asdict(r), ensure_ascii=False)) for r in responses]
        with self._open() as db:
            db.executemany("INSERT OR REPLACE INTO partial VALUES (?, ?, ?)", rows)

    def batches(self, key: str) -> dict[str, Response]:
        """Responses already kept for a measurement that is not finished, by item id."""
        with self._open() as db:
            rows = db.execute("SELECT body FROM partial WHERE key = ?", (key,)).fetchall()
        found = (response_from_json(json.loads(body)) for (body,) in rows)
        return {response.item_id: response for response in found}

    def import_jsonl(self, path: Path | str, *, origin: Literal["local", "shipped"] = "shipped") -> int:
        """Read measurements from a file; those measured here are kept where both have one.

        Returns:
            How many lines were read.

        Raises:
            StoreError: A line is no measurement (the text says file:line); nothing is imported then.
        """
        found = [replace(measurement, origin=origin) for measurement in read_jsonl(path)]
        with self._open() as db:
            for measurement in found:
                row = db.execute("SELECT origin FROM measurement WHERE key = ?", (measurement.key,)).fetchone()
                if row is None or row[0] == "shipped":
                    _insert(db, measurement)
        return len(found)

    def export_jsonl(self, path: Path | str, measurements: Sequence[Measurement] | None = None) -> int:
        """Write measurements (by default all), one a line, whole or not at all; returns how many."""
        rows = self.all() if measurements is None else measurements
        write_jsonl(path, rows)
        return len(rows)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=_WAIT_SECONDS)) as db, db:
            yield db

    def _migrate(self) -> None:
        with closing(sqlite3.connect(self.path, timeout=_WAIT_SECONDS, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("BEGIN IMMEDIATE")  # two processes that open a new file take turns here
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > len(MIGRATIONS):
                db.execute("ROLLBACK")
                raise StoreError(
                    f"{self.path.name} was written by a newer version (schema {version}); update, or move it away."
                )
            for step in MIGRATIONS[version:]:
                step(db)
            db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
            db.execute("COMMIT")


def read_jsonl(path: Path | str) -> list[Measurement]:
    """Measurements from a file that `write_jsonl` wrote.

    Raises:
        StoreError: The file is missing, or a line is no measurement (the text says file:line).
    """
    path = Path(path)
    if not path.is_file():
        raise StoreError(f"No results file {path.name!r}.")
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            try:
                found.append(Measurement.from_json(json.loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise StoreError(f"{path.name}:{number}: no measurement of this version ({error}).") from error
    return found


def write_jsonl(path: Path | str, measurements: Sequence[Measurement]) -> None:
    """Write measurements, one a line, to a file that appears whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.partial")
    with draft.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(m.to_json(), ensure_ascii=False) + "\n" for m in measurements)
    draft.replace(path)


def _insert(db: sqlite3.Connection, measurement: Measurement) -> None:
    identity = measurement.identity
    db.execute(
        "INSERT OR REPLACE INTO measurement VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(measurement.key, identity.probe_hash, identity.tier, identity.judge, identity.decoding),
            *(measurement.origin, measurement.created, json.dumps(measurement.to_json(), ensure_ascii=False)),
        ),
    )
