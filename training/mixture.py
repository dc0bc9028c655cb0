"""The rows a model is trained on: drawn from committed files, even over languages, the same for the same seed."""

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from training.design import DesignError, Plan

DATA = Path(__file__).parent / "data"
REPLAY = "replay"
WEAK = "rejected.jsonl"
"""Rejected answers that were written after their rows, by id; one file a language."""


@dataclass(frozen=True)
class Row:
    """One thing to learn: an answer to a prompt, or (prompt None) plain text.

    `rejected` is an answer the other is preferred to; None where nobody wrote one.
    """

    id: str
    language: str
    prompt: str | None
    answer: str
    kind: str = ""
    category: str = ""
    cluster: str = ""
    rejected: str | None = None


def sources(entry: Any) -> list[str | Mapping[str, Any]]:
    """The sources behind one entry of a design's data: names of files, and data sets of the hub."""
    return list(entry) if isinstance(entry, list) else [entry]


def files(name: str, data: Path = DATA) -> list[Path]:
    """The files of one name: without ending, `*` for every language's folder.

    Raises:
        DesignError: There is none.
    """
    found = sorted(data.glob(f"{name}.jsonl"))
    if not found:
        raise DesignError(f"There are no training rows {name + '.jsonl'!r} in {data.name}/.")
    return found


def read(kind: str, entry: Any, data: Path = DATA) -> list[Row]:
    """All rows of one kind, in the order of its sources.

    Args:
        kind: What the design calls them.
        entry: The design's entry: names of files, data sets of the hub (`training.hub_rows`), or a list of both.
        data: The folder of the files.

    Raises:
        DesignError: A source is not there, or does not hold what the entry says.
    """
    found: list[Row] = []
    for source in sources(entry):
        if isinstance(source, Mapping):
            from training.hub_rows import rows  # only where a design reads the hub

            found += rows(kind, source)
        else:
            found += _written(kind, source, data)
    return found


def _written(kind: str, name: str, data: Path) -> list[Row]:
    weak = {one["id"]: one["rejected"] for path in sorted(data.glob(f"*/{WEAK}")) for one in _lines(path)}
    return [
        Row(
            one["id"],
            one["language"],
            one.get("prompt"),
            one.get("answer") or one["text"],
            kind,
            one.get("category", ""),
            one.get("cluster") or one["id"],
            one.get("rejected") or weak.get(one["id"]),
        )
        for path in files(name, data)
        for one in _lines(path)
    ]


def hashes(plan: Plan, data: Path = DATA) -> dict[str, str]:
    """What identifies every source a plan draws from: sha256 of a file, or the data set with its revision."""
    found: dict[str, str] = {}
    kinds: list[str] = [*plan.mixture, *([REPLAY] if plan.replay else [])]
    for kind in sorted(kinds):
        for source in sources(plan.data[kind]):
            if isinstance(source, Mapping):
                found[str(source["hub"])] = f"revision {source.get('revision', 'main')}"
                continue
            for path in files(source, data):
                found[path.relative_to(data).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def draw(plan: Plan, data: Path = DATA) -> list[Row]:
    """The rows of a whole training, shuffled: `plan.rows` of them, each kind by its share, each language as often.

    A pool is gone through once before any of its rows comes a second time. With `plan.only` the rows are those in that
    language of the same draw over all languages: six monolingual models together see what the multilingual one sees.
    """
    replayed = round(plan.rows * plan.replay)
    shares = {kind: share * (plan.rows - replayed) for kind, share in plan.mixture.items()}
    wanted = {**_whole(shares, plan.rows - replayed), **({REPLAY: replayed} if replayed else {})}
    rows: list[Row] = []
    offset = 0
    for kind, count in wanted.items():
        pool = _allowed(read(kind, plan.data[kind], data), plan)
        endless = {language: _endless(pool, language, plan.seed, kind) for language in plan.languages}
        # the next kind begins with the language after the last: the rest of a division never falls on the same ones
        rows += [next(endless[plan.languages[(offset + at) % len(plan.languages)]]) for at in range(count)]
        offset += count
    random.Random(plan.seed).shuffle(rows)
    return [row for row in rows if plan.only in (None, row.language)]


def _allowed(rows: Sequence[Row], plan: Plan) -> list[Row]:
    """The rows that may be drawn at all: whole clusters, and a smaller share is part of every larger one."""
    if plan.share == 1:
        return list(rows)
    clusters: list[str] = sorted({row.cluster for row in rows})
    random.Random(f"{plan.seed}/share").shuffle(clusters)
    place = {cluster: at for at, cluster in enumerate(clusters)}
    kept: list[Row] = []
    for language in plan.languages:
        own = sorted((row for row in rows if row.language == language), key=lambda row: place[row.cluster])
        kept += own[: max(1, round(len(own) * plan.share))]
    return kept


def _whole(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers near the shares that sum to total: the largest remainders are rounded up."""
    counts = {kind: int(share) for kind, share in shares.items()}
    by_remainder = sorted(shares, key=lambda kind: counts[kind] - shares[kind])
    for kind in by_remainder[: total - sum(counts.values())]:
        counts[kind] += 1
    return counts


def _endless(rows: Sequence[Row], language: str, seed: int, kind: str) -> Iterator[Row]:
    """One language's rows for ever, in a new order each time round."""
    own = [row for row in rows if row.language == language]
    if not own:
        raise DesignError(f"There are no {kind} rows in {language!r}.")
    pick = random.Random(f"{seed}/{kind}/{language}")
    while True:
        yield from pick.sample(own, len(own))


def with_rejected(row: Row, rejected: str) -> Row:
    """The row with an answer it is preferred to."""
    return replace(row, rejected=rejected)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
