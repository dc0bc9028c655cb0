"""The store: round trips, processes side by side, old schemas, damaged files."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from made import measurement, probe, refusing

from eval import store as store_module
from eval.errors import StoreError
from eval.store import Store, read_jsonl, write_jsonl
from eval.types import Response

MADE = probe()
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "deep" / "store.sqlite")


def test_what_is_put_comes_back_equal(store: Store) -> None:
    one = replace(measurement(MADE, refusing(MADE, 3)), environment={"device": "cpu"}, created="2024-10-14T00:00:00Z")
    store.put(one)
    assert store.get(one.key) == one
    assert store.get("no such key") is None


def test_all_filters(store: Store) -> None:
    a, b = measurement(MADE, digest="a"), measurement(MADE, digest="b")
    b = replace(b, identity=replace(b.identity, judge="other/1"))
    for one in (a, b):
        store.put(one)
    assert {m.key for m in store.all()} == {a.key, b.key}
    assert store.all(judge="other/1") == [b]
    assert store.all(probe_hash="no such probe") == []
    assert store.all(probe_hash=MADE.hash, tier="quick", judge="made/1", decoding="greedy") == [a]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"recipe_digest": "x"}, id="another recipe"),
        pytest.param({"checkpoints": {"x": "other"}}, id="another checkpoint behind the name"),
        pytest.param({"probe_hash": "x"}, id="another probe"),
        pytest.param({"judge": "rules/2"}, id="another judge"),
        pytest.param({"decoding": "x"}, id="another decoding"),
        pytest.param({"seed": 1}, id="another seed"),
        pytest.param({"scoring_version": 99}, id="another scoring version"),
    ],
)
def test_every_part_of_the_identity_changes_the_key(change: dict) -> None:
    identity = measurement(MADE).identity
    assert replace(identity, **change).key() != identity.key()


def test_a_renamed_checkpoint_is_the_same_measurement() -> None:
    identity = measurement(MADE).identity
    assert replace(identity, checkpoints={"renamed": "hash"}).key() == identity.key()


def test_batches_are_kept_until_the_measurement_is(store: Store) -> None:
    one = measurement(MADE)
    batch = [Response("harmful-00-en", "नहीं", 2, truncated=True), Response("choice-00-en", option_scores=(-1.0, -2.0))]
    store.save_batch(one.key, batch)
    assert store.batches(one.key) == {r.item_id: r for r in batch}
    store.put(one)
    assert store.batches(one.key) == {}


def test_import_and_export(store: Store, tmp_path: Path) -> None:
    shipped, local = measurement(MADE, digest="a"), measurement(MADE, digest="b")
    write_jsonl(tmp_path / "shipped.jsonl", [shipped, replace(local, seconds=99.0)])
    store.put(local)
    assert store.import_jsonl(tmp_path / "shipped.jsonl") == 2
    assert store.get(shipped.key).origin == "shipped"
    assert store.get(local.key) == local, "what was measured here stays"
    assert store.export_jsonl(tmp_path / "out.jsonl") == 2
    assert {m.key for m in read_jsonl(tmp_path / "out.jsonl")} == {shipped.key, local.key}
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.parametrize("line", ["{", '{"identity": 3}', "[]", "7"])
def test_a_bad_line_imports_nothing(store: Store, tmp_path: Path, line: str) -> None:
    good = json.dumps(measurement(MADE).to_json())
    (tmp_path / "bad.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(StoreError, match=r"bad\.jsonl:2"):
        store.import_jsonl(tmp_path / "bad.jsonl")
    assert store.all() == []


def test_a_missing_results_file_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.jsonl"):
        store.import_jsonl(tmp_path / "none.jsonl")


def test_a_damaged_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"this is no database at all, though it is long enough to be one" * 20)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"store\.sqlite"):
        Store(path)
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused(store: Store) -> None:
    with closing(sqlite3.connect(store.path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer version"):
        Store(store.path)


def test_an_older_schema_is_brought_up_to_date_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    one = measurement(MADE)
    store.put(one)

    def add_note(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE measurement ADD COLUMN note TEXT")

    monkeypatch.setattr(store_module, "MIGRATIONS", (*store_module.MIGRATIONS, add_note))
    for _ in range(2):  # the second time there is nothing left to do
        again = Store(store.path)
        assert again.get(one.key) == one
    with closing(sqlite3.connect(store.path)) as db:
        assert "note" in [row[1] for row in db.execute("PRAGMA table_info(measurement)")]


def test_a_migration_that_fails_changes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE measurement ADD COLUMN note TEXT")
        raise RuntimeError("power cut")

    first = store_module.MIGRATIONS
    monkeypatch.setattr(store_module, "MIGRATIONS", (*first, fails))
    with pytest.raises(RuntimeError, match="power cut"):
        Store(store.path)
    monkeypatch.setattr(store_module, "MIGRATIONS", first)
    with closing(sqlite3.connect(store.path)) as db:
        assert "note" not in [row[1] for row in db.execute("PRAGMA table_info(measurement)")]
    assert Store(store.path).all() == []


def test_processes_write_side_by_side(tmp_path: Path) -> None:
    code = (
        "import sys; from eval.store import Store; from eval.types import Response\n"
        "store = Store(sys.argv[1])\n"
        "for i in range(25): store.save_batch('key', [Response(f'{sys.argv[2]}-{i}', 'x')])\n"
    )
    path = tmp_path / "store.sqlite"
    running = [subprocess.Popen([sys.executable, "-c", code, str(path), name], cwd=ROOT) for name in "abc"]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    assert len(Store(path).batches("key")) == 75
