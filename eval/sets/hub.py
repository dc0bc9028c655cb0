"""Sets on the hub: a description, files at one commit, and a probe whose header says licence, source and commit."""

import re
from collections.abc import Mapping
from pathlib import Path

from eval.errors import ProbeError
from eval.judges.rules import RuleJudge
from eval.probes import ProbeSet
from eval.sets.describe import Described, described
from eval.sets.fetch import fetch
from eval.sets.items import Reading
from eval.sets.narrow import assembled
from eval.sets.request import Request
from eval.sets.rows import rows

PREFIX = "hub:"
_NAME = re.compile(r"^hub:(?P<name>[\w.-]+)(?:@(?P<revision>[\w][\w./-]*))?$")


def load(request: Request) -> ProbeSet:
    """The languages of a set that are asked for, or those of its languages that the dashboard is about.

    Raises:
        ProbeError: There is no such set or language, or the files cannot be had or are not as described.
    """
    found = _NAME.match(request.name)
    if not found:
        raise ProbeError(f"{request.name!r} names no set: write hub:NAME or hub:NAME@REVISION.")
    what = described(found["name"])
    languages = chosen(what, request.languages)
    got = fetch(what.hub, found["revision"] or what.revision, sorted({what.languages[one].file for one in languages}))
    return read(what, languages, {one: got.matching(what.languages[one].file) for one in languages}, got.commit)


def chosen(what: Described, asked: tuple[str, ...]) -> tuple[str, ...]:
    """The languages asked for, or those that the rule judge reads too, in the order of the description.

    Raises:
        ProbeError: The set lacks one.
    """
    for language in asked:
        if language not in what.languages:
            raise ProbeError(f"{what.title} has no language {language!r}; it has {', '.join(what.languages)}.")
    return asked or tuple(language for language in RuleJudge.languages if language in what.languages)


def read(what: Described, languages: tuple[str, ...], files: Mapping[str, list[Path]], commit: str) -> ProbeSet:
    """The probe that files of a set make.

    Raises:
        ProbeError: A file is damaged or not as described, or translations do not go together.
    """
    reading = Reading(what)
    for language in languages:
        if not files[language]:
            raise ProbeError(f"{what.hub} has no file {what.languages[language].file} at {commit[:12]}.")
        for path in files[language]:
            reading.add(language, rows(path), path.name)
    if what.parallel:
        _check_parallel(what, reading, languages)
    header = {
        "id": f"{PREFIX}{what.name}@{commit}",
        "languages": list(languages),
        "licence": what.licence,
        "source": f"https://huggingface.co/datasets/{what.hub}",
        "revision": commit,
        "paper": what.paper,
    }
    left_out = {"left_out": dict(reading.left_out)} if reading.left_out else {}
    return assembled({**header, **left_out}, reading.items)


def _check_parallel(what: Described, reading: Reading, languages: tuple[str, ...]) -> None:
    """Translations that are not known as such would make intervals too narrow."""
    spoken: dict[str, set[str]] = {}
    for item in reading.items:
        spoken.setdefault(item.cluster, set()).add(item.language)
    alone = [one for one in languages if not any(one in seen and len(seen) > 1 for seen in spoken.values())]
    if len(languages) > 1 and alone:
        raise ProbeError(
            f"{what.title} in {alone[0]!r} shares no {what.fields.cluster} with other languages, so its translations "
            "cannot be told; ask for one language at a time."
        )
