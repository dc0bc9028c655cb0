"""The rows a model is trained on: drawn from the committed files, even over languages, the same for the same seed."""

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.design import DesignError, Plan

DATA = Path(__file__).parent / "data"
REPLAY = "udhr"


@dataclass(frozen=True)
class Row:
    """One thing to learn: an answer to a prompt, or (prompt None) plain text."""

    id: str
    language: str
    prompt: str | None
    answer: str


def read(kind: str, data: Path = DATA) -> list[Row]:
    """All rows of one file, in the order of the file.

    Raises:
        DesignError: There is no such file.
    """
    path = data / f"{kind}.jsonl"
    if not path.is_file():
        raise DesignError(f"There are no training rows {path.name!r} in {data.name}/.")
    raw = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Row(one["id"], one["language"], one.get("prompt"), one.get("answer") or one["text"]) for one in raw]


def hashes(plan: Plan, data: Path = DATA) -> dict[str, str]:
    """sha256 of every file a plan draws from."""
    kinds = [*plan.mixture, *([REPLAY] if plan.replay else [])]
    names = [f"{kind}.jsonl" for kind in sorted(kinds)]
    return {name: hashlib.sha256((data / name).read_bytes()).hexdigest() for name in names}


def draw(plan: Plan, data: Path = DATA) -> list[Row]:
    """The rows of a whole training, shuffled: `plan.rows` of them, each kind by its share, each language as often.

    A file is gone through once before any of its rows comes a second time.
    """
    replayed = round(plan.rows * plan.replay)
    shares = {kind: share * (plan.rows - replayed) for kind, share in plan.mixture.items()}
    wanted = {**_whole(shares, plan.rows - replayed), **({REPLAY: replayed} if replayed else {})}
    rows: list[Row] = []
    for kind, count in wanted.items():
        endless = {language: _endless(read(kind, data), language, plan.seed, kind) for language in plan.languages}
        rows += [next(endless[plan.languages[at % len(plan.languages)]]) for at in range(count)]
    random.Random(plan.seed).shuffle(rows)
    return rows


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
        raise DesignError(f"{kind}.jsonl has no rows in {language!r}.")
    pick = random.Random(f"{seed}/{kind}/{language}")
    while True:
        yield from pick.sample(own, len(own))
