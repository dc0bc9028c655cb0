"""The words of measuring: items go in, responses come out, judges give verdicts, and a measurement holds them all."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Protocol

Kind = Literal["harmful", "lookalike", "instruction", "choice"]
Label = Literal["refused", "answered", "invalid", "unjudged"]
Severity = Literal["none", "mild", "serious"]
Better = Literal["lower", "higher"]

KINDS: tuple[Kind, ...] = ("harmful", "lookalike", "instruction", "choice")
LABELS: tuple[Label, ...] = ("refused", "answered", "invalid")
"""What a judge may find; "unjudged" is for what it could not read or does not tell."""
SEVERITIES: tuple[Severity, ...] = ("none", "mild", "serious")
MEASURES: tuple[str, ...] = ("harm", "over_refusal", "invalid", "general", "win_rate", "harm_vs_base")
DIRECTION: Mapping[str, Better] = {
    "harm": "lower",
    "over_refusal": "lower",
    "invalid": "lower",
    "general": "higher",
    "win_rate": "higher",
    "harm_vs_base": "lower",
    "bits_per_byte": "lower",
    "choices": "higher",
    "instructions": "higher",
}
DTYPES = ("auto", "recipe", "float32")
"""In which dtype passes run: what is fast on the device, the merge's own, or float32."""
SCORING_VERSION = 1
"""Raised by hand whenever the same model could get other responses, verdicts or scores than before."""


@dataclass(frozen=True)
class Item:
    """One question of a probe set, in one language."""

    id: str
    cluster: str
    """Shared by the translations of one item; the unit that is resampled."""
    kind: Kind
    language: str
    prompt: str
    category: str = ""
    topic: str = ""
    parallel: bool = False
    references: tuple[str, ...] = ()
    closed: bool | None = None
    options: tuple[str, ...] = ()
    answer: int | None = None
    """Position of the right option, counted from 0; choice items only."""


@dataclass(frozen=True)
class Response:
    """What the model made of one item: text for generated kinds, one score per option for choices."""

    item_id: str
    text: str = ""
    tokens: int = 0
    truncated: bool = False
    """True if the text stopped at the token limit and not at an end of turn."""
    option_scores: tuple[float, ...] | None = None
    """Log-probability per UTF-8 byte of each option (nats / byte)."""


@dataclass(frozen=True)
class Verdict:
    """A judge's label for one response, with the rule or reason that gave it."""

    item_id: str
    label: Label
    reason: str
    severity: Severity | None = None
    """How harmful the response is; None where the judge does not tell."""

    @property
    def judged(self) -> bool:
        """Whether the judge found anything out: a label, or at least how harmful the response is."""
        return self.label != "unjudged" or self.severity is not None

    @property
    def harmful(self) -> bool | None:
        """Whether the response does harm; None if it is invalid or not judged.

        Where a judge tells the severity that decides, else every answer to what was asked counts.
        """
        if self.label == "invalid" or not self.judged:
            return None
        return self.label == "answered" if self.severity is None else self.severity != "none"


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; undefined is None with a reason, never 0 and never NaN."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    """The denominator actually used."""
    reason: str | None = None


@dataclass(frozen=True)
class Measure(Estimate):
    """An overall estimate (unweighted mean over languages) and the same for each language."""

    by_language: Mapping[str, Estimate] = field(default_factory=dict)
    over: tuple[str, ...] = ()
    """The languages the overall figure is over, where the judge could not judge them all; empty: all."""

    def to_json(self) -> dict[str, Any]:
        """The object that CLI, API and page share; `reason` and `over` appear only where there is one."""
        by_language = {k: _estimate_json(v) for k, v in self.by_language.items()}
        over = {"over": list(self.over)} if self.over else {}
        return {**_estimate_json(self), **over, "by_language": by_language}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Measure":
        """The inverse of `to_json`."""
        head = _estimate(raw)
        by_language = {k: _estimate(v) for k, v in raw["by_language"].items()}
        return cls(**asdict(head), by_language=by_language, over=tuple(raw.get("over", ())))


def _estimate_json(estimate: Estimate) -> dict[str, Any]:
    row: dict[str, Any] = {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}
    return row | ({"reason": estimate.reason} if estimate.reason else {})


def _estimate(raw: Mapping[str, Any]) -> Estimate:
    return Estimate(raw["value"], raw["low"], raw["high"], raw["n"], raw.get("reason"))


@dataclass(frozen=True)
class Identity:
    """Everything that makes two measurements the same measurement; the git commit is not part of it."""

    recipe_digest: str
    checkpoints: Mapping[str, str]
    """Checkpoint name -> sha256 of its content."""
    probe: str
    probe_hash: str
    tier: str
    judge: str
    """Judge id and version, e.g. "rules/1"."""
    decoding: str
    """Batch size, composition, order, token limit and dtype: bf16 text depends on them all."""
    seed: int = 0
    scoring_version: int = SCORING_VERSION

    def key(self) -> str:
        """Hex sha256 of the canonical form. Names of checkpoints do not count, only their contents do."""
        raw = asdict(self) | {"checkpoints": sorted(self.checkpoints.values())}
        return hashlib.sha256(json.dumps(raw, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def group(self) -> tuple[str, str, str, str]:
        """(probe hash, tier, judge, decoding): one chart holds points of one group only."""
        return self.probe_hash, self.tier, self.judge, self.decoding


@dataclass(frozen=True)
class Measurement:
    """One recipe, measured: every response and verdict is kept, so another judge can score it later."""

    identity: Identity
    recipe: str
    """The recipe as YAML, so that a click on a point can load it."""
    label: str
    """Short human text, e.g. "slerp t=0.50"."""
    method: str
    seconds: float
    measures: Mapping[str, Measure]
    responses: tuple[Response, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    provisional: bool = False
    origin: Literal["local", "shipped"] = "local"
    created: str = ""
    """UTC, ISO 8601."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Device, threads, torch version: recorded, but not part of the identity."""

    @property
    def key(self) -> str:
        """The identity's key."""
        return self.identity.key()

    @property
    def tier(self) -> str:
        """The identity's tier."""
        return self.identity.tier

    def value(self, measure: str) -> float | None:
        """The overall value of a measure, or None if it is undefined or was not taken."""
        found = self.measures.get(measure)
        return found.value if found else None

    def summary(self) -> dict[str, Any]:
        """The object written by `python -m eval --json` and returned by the page's API."""
        measures = {name: self.measures[name].to_json() for name in MEASURES if name in self.measures}
        return {"recipe": self.recipe, "tier": self.tier, "seconds": self.seconds, "measures": measures}

    def to_json(self) -> dict[str, Any]:
        """All of it, responses and verdicts included, as plain JSON types."""
        raw = asdict(replace(self, measures={}))
        for verdict in raw["verdicts"]:
            if verdict["severity"] is None:
                del verdict["severity"]
        return raw | {"measures": {name: measure.to_json() for name, measure in self.measures.items()}}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Measurement":
        """The inverse of `to_json`; KeyError or TypeError where a field is missing or unknown."""
        rest = {k: v for k, v in raw.items() if k not in {"identity", "measures", "responses", "verdicts"}}
        return cls(
            identity=Identity(**raw["identity"]),
            measures={name: Measure.from_json(measure) for name, measure in raw["measures"].items()},
            responses=tuple(response_from_json(r) for r in raw["responses"]),
            verdicts=tuple(Verdict(**v) for v in raw["verdicts"]),
            **rest,
        )


def response_from_json(raw: Mapping[str, Any]) -> Response:
    """A response from its JSON form (lists become tuples)."""
    scores = raw.get("option_scores")
    return Response(**{**raw, "option_scores": None if scores is None else tuple(scores)})


class Judge(Protocol):
    """Labels responses; told the item, so that it can read request and language."""

    @property
    def id(self) -> str:
        """Name and version, e.g. "rules/1"; part of what identifies a measurement."""
        ...

    @property
    def languages(self) -> Collection[str] | None:
        """Codes of the languages it reads; None: any. It is not asked about items in others."""
        ...

    def judge(self, items: Sequence[Item], responses: Sequence[Response]) -> list[Verdict]:
        """One verdict per response, in order; `items[i]` is what `responses[i]` answers."""
        ...


@dataclass(frozen=True)
class Preference:
    """Which of two responses to one item a pairwise judge prefers, asked in both orders."""

    item_id: str
    score: float | None
    """1: the first model's; 0: the second's; 1/2: a tie, or another answer in each order; None: not judged."""
    reason: str


class PairwiseJudge(Protocol):
    """Compares two responses to one request."""

    @property
    def id(self) -> str:
        """Name and version."""
        ...

    @property
    def languages(self) -> Collection[str] | None:
        """Codes of the languages it reads; None: any."""
        ...

    def prefer(self, items: Sequence[Item], ours: Sequence[Response], theirs: Sequence[Response]) -> list[Preference]:
        """One preference per item, in order."""
        ...


@dataclass(frozen=True)
class Generation:
    """One answer of a generator."""

    text: str
    tokens: int
    """Tokens made, end of turn not counted."""
    truncated: bool
    """True if the token limit ended it."""


class Generator(Protocol):
    """What the runner needs of an engine; tests hand in a fake one."""

    def decoding(self, *, max_new_tokens: int, batch_size: int) -> str:
        """The part of the identity that says how text is made."""
        ...

    def environment(self) -> Mapping[str, str]:
        """Device, threads, torch version."""
        ...

    def generate_batches(
        self,
        prompts: Sequence[str],
        *,
        max_new_tokens: int,
        batch_size: int,
        cancelled: Callable[[], bool] | None,
        done: Collection[int],
    ) -> Iterator[dict[int, Generation]]:
        """Answers batch by batch, position -> answer; batches whose positions are all in `done` are passed over."""
        ...

    def score_options(
        self,
        prompts: Sequence[str],
        options: Sequence[Sequence[str]],
        *,
        cancelled: Callable[[], bool] | None,
        progress: Callable[[int, int], None] | None,
    ) -> list[tuple[float, ...]]:
        """Log-probability per byte of every option of every prompt."""
        ...
