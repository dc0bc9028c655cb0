"""A compatibility report as findings: what was compared, what was found, and the report's own sentences."""

from collections.abc import Sequence
from typing import Any, Protocol

from ui.status import Finding

# The first word that occurs in a sentence of the report says which line it belongs to; any other is about shapes.
_TOPICS = (
    ("architecture", "architecture"),
    ("licen", "licence"),
    ("vocabular", "vocabulary"),
    ("tokenizer", "tokenizer"),
    (" layers", "layers"),
)
UNSTATED, LOOK = "not stated", ": look it up before you publish a merge"
TOPICS = ("architecture", "layers", "shapes", "vocabulary", "tokenizer", "licence")


class Outline(Protocol):
    """What is compared of a checkpoint: `merging.checkpoint.Outline`, named here so that no tensor room is needed."""

    @property
    def name(self) -> str:
        """As the recipe writes it."""
        ...

    @property
    def config(self) -> Any:
        """Its config.json."""
        ...

    @property
    def headers(self) -> Any:
        """Shape and dtype of every stored tensor."""
        ...

    @property
    def layers(self) -> int:
        """Number of layers."""
        ...

    @property
    def licences(self) -> tuple[str, ...]:
        """Licences stated by the model and its adapters."""
        ...

    def tokenizer_hash(self) -> str | None:
        """Hash of the vocabulary file."""
        ...


def findings(checkpoints: Sequence[Outline], problems: Sequence[str], warnings: Sequence[str]) -> tuple[Finding, ...]:
    """One finding for every topic, and one for every further sentence of the report."""
    found = [Finding(topic_of(text), "problem", text) for text in dict.fromkeys(problems)]
    found += [Finding(topic_of(text), "warning", text) for text in dict.fromkeys(warnings)]
    told = {one.topic for one in found}
    stopped = bool(problems)
    for topic, text in facts(checkpoints).items():
        # after a problem the later topics were not compared, so nothing is claimed about them
        if topic not in told and not (stopped and topic in ("shapes", "vocabulary", "layers")):
            found.append(Finding(topic, "warning" if topic == "licence" and UNSTATED in text else "fine", text))
    return tuple(sorted(found, key=lambda one: TOPICS.index(one.topic)))


def topic_of(text: str) -> str:
    """Which line of the list a sentence belongs to."""
    return next((topic for word, topic in _TOPICS if word in text), "shapes")


def facts(checkpoints: Sequence[Outline]) -> dict[str, str]:
    """What the checkpoints are, one sentence a topic."""
    kinds = _distinct(str(one.config.get("model_type", "unknown")) for one in checkpoints)
    layers = _distinct(str(one.layers) for one in checkpoints)
    hashes = _distinct((one.tokenizer_hash() or "none")[:8] for one in checkpoints)
    licences = _distinct(" and ".join(one.licences) or UNSTATED for one in checkpoints)
    tensors = _distinct(str(len(one.headers)) for one in checkpoints)
    files = "the same file in all" if len(hashes) == 1 and hashes != ["none"] else "files"
    return {
        "architecture": f"{', '.join(kinds)}.",
        "layers": f"{', '.join(layers)}.",
        "shapes": f"{', '.join(tensors)} tensors, alike in all.",
        "vocabulary": "rows of embedding and head line up.",
        "tokenizer": "none." if hashes == ["none"] else f"{files}, sha256 {', '.join(hashes)}….",
        "licence": f"{', '.join(licences)}{LOOK if UNSTATED in licences else ''}.",
    }


def _distinct(words: Any) -> list[str]:
    return list(dict.fromkeys(words))
