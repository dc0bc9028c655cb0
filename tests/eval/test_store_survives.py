"""The store under force: killed in the middle of a measurement, written by several processes, made by version 1."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from made import measurement, probe, refusing

from eval.store import MIGRATIONS, Store
from eval.types import Measurement

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
MADE = probe()

RUN = """
import sys, time
sys.path.insert(0, sys.argv[2])
import test_runner as t
from eval import probes
from eval.store import Store
probes.load = lambda name: t.PROBE

class Slow(t.FakeEngine):
    def generate_batches(self, *given, **named):
        for batch in super().generate_batches(*given, **named):
            time.sleep(float(sys.argv[3]))
            yield batch

engine = Slow()
found = t.run(engine, Store(sys.argv[1]))
print(engine.asked)
"""


def start(path: Path, pause: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(path), str(HERE), str(pause)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def kept(path: Path) -> int:
    with closing(sqlite3.connect(path, timeout=30)) as db:
        return db.execute("SELECT count(*) FROM partial").fetchone()[0]


def only(path: Path) -> Measurement:
    (found,) = Store(path).all()
    return replace(found, seconds=0.0, created="")


def test_killed_and_resumed_is_the_same_as_never_interrupted(tmp_path: Path) -> None:
    path, calm = tmp_path / "killed.sqlite", tmp_path / "calm.sqlite"
    Store(path)
    running = start(path, pause=0.5)
    limit = time.monotonic() + 60
    while kept(path) < 4 and time.monotonic() < limit:
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    before = kept(path)
    assert 4 <= before < 20, "killed too early or too late to say anything"
    assert before % 4 == 0, "batches are kept whole or not at all"
    assert Store(path).all() == []

    again, whole = start(path, pause=0.0), start(calm, pause=0.0)
    asked = [int(process.communicate(timeout=60)[0]) for process in (again, whole)]
    assert asked == [20 - before, 20], "only what was in flight is asked again"
    assert only(path) == only(calm)
    assert kept(path) == 0


def test_processes_measure_side_by_side(tmp_path: Path) -> None:
    """Writers of whole measurements and readers at once: none fails, none is lost, none is torn."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from made import measurement, probe\n"
        "from eval.store import Store\n"
        "store, made = Store(sys.argv[1]), probe()\n"
        "for i in range(10):\n"
        "    store.put(measurement(made, digest=f'{sys.argv[3]}-{i}'))\n"
        "    store.put(measurement(made, digest=f'shared-{i}'))\n"
        "    assert all(len(one.responses) == len(made.items) for one in store.all())\n"
    )
    path = tmp_path / "store.sqlite"
    running = [subprocess.Popen([sys.executable, "-c", code, str(path), str(HERE), name], cwd=ROOT) for name in "abc"]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    assert len(Store(path).all()) == 3 * 10 + 10


# The schema as version 1 wrote it, copied and never to be changed: files like this are on people's disks.
VERSION_1 = """
CREATE TABLE measurement (key TEXT PRIMARY KEY, probe_hash TEXT NOT NULL, tier TEXT NOT NULL,
 judge TEXT NOT NULL, decoding TEXT NOT NULL, origin TEXT NOT NULL, created TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX measurement_group ON measurement (probe_hash, tier, judge, decoding);
CREATE TABLE partial (key TEXT NOT NULL, item_id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (key, item_id));
PRAGMA user_version = 1;
"""
BODY = {
    "identity": {
        "recipe_digest": "d", "checkpoints": {"x": "hash"}, "probe": "made", "probe_hash": "made-hash",
        "tier": "quick", "judge": "made/1", "decoding": "greedy", "seed": 0, "scoring_version": 1,
    },
    "recipe": "merge_method: linear\nmodels:\n- model: x\n", "label": "d", "method": "linear", "seconds": 1.0,
    "responses": [{"item_id": "harmful-00-en", "text": "नहीं", "tokens": 2, "truncated": True, "option_scores": None},
                  {"item_id": "choice-00-en", "text": "", "tokens": 0, "truncated": False,
                   "option_scores": [-1.0, -2.0]}],
    "verdicts": [{"item_id": "harmful-00-en", "label": "refused", "reason": "a bare no"}],
    "provisional": False, "origin": "local", "created": "2024-10-14T00:00:00Z", "environment": {"device": "cpu"},
    "measures": {"harm": {"value": 0.0, "low": 0.0, "high": 0.8, "n": 1,
                          "by_language": {"en": {"value": 0.0, "low": 0.0, "high": 0.8, "n": 1}}}},
}  # fmt: skip


def test_a_file_of_version_1_is_read_by_this_version(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    kept_answer = {"item_id": "harmful-01-en", "text": "No.", "tokens": 1, "truncated": False, "option_scores": None}
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(VERSION_1)
        row = ("old", "made-hash", "quick", "made/1", "greedy", "local", "2024-10-14T00:00:00Z", json.dumps(BODY))
        db.execute("INSERT INTO measurement VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        db.execute("INSERT INTO partial VALUES ('new', 'harmful-01-en', ?)", (json.dumps(kept_answer),))

    store = Store(path)
    found = store.get("old")
    assert found is not None
    assert found.responses[0].text == "नहीं"
    assert found.responses[1].option_scores == (-1.0, -2.0)
    assert (found.verdicts[0].label, found.verdicts[0].severity) == ("refused", None)
    assert found.value("harm") == 0.0
    assert found.identity.key() == measurement(MADE).key, "an old measurement keeps its identity"
    assert store.batches("new")["harmful-01-en"].text == "No."

    store.put(measurement(MADE, refusing(MADE, 2), digest="later"))
    assert len(Store(path).all()) == 2
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
