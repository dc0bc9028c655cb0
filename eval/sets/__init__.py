"""Probe sets beyond the shipped ones: sets on the hub, a user's own files, and parts and samples of any set.

What is asked for is one text, and that text is also what a measurement remembers of it:

    hub:NAME[@REVISION]     a set on the hub that assets/sets/NAME.yaml describes
    FILE.csv, FILE.jsonl    an own file, one item a row
    ...?languages=en,fr&category=Hate+Speech&sample=50&seed=0    part of any of these, or of a shipped set
"""

from functools import lru_cache
from pathlib import Path

from eval import probes
from eval.probes import ProbeSet
from eval.sets import hub, own
from eval.sets.narrow import narrowed
from eval.sets.request import Request

_READ: dict[str, ProbeSet] = {}
"""Sets read by this process, by id: a measurement names an own file by its name, wherever that lies."""


def handles(name: str) -> bool:
    """Whether a name asks for a set of this room; otherwise it is a shipped set, or a file with a header line."""
    if name in _READ:
        return True
    request = Request.parse(name)
    return request.narrows or request.name.startswith(hub.PREFIX) or own.is_own(Path(request.name))


def load(name: str) -> ProbeSet:
    """The set that a text asks for, read once in a process for as long as its file does not change.

    Raises:
        ProbeError: There is no such set, it cannot be had, or it has no such language or category.
    """
    path = Path(Request.parse(name).name)
    if name in _READ and not path.is_file():
        return _READ[name]
    state = (path.stat().st_mtime_ns, path.stat().st_size) if path.is_file() else (0, 0)
    found = _load(name, state)
    _READ[found.id] = found
    return found


@lru_cache(maxsize=16)
def _load(name: str, _state: tuple[int, int]) -> ProbeSet:
    request = Request.parse(name)
    if request.name.startswith(hub.PREFIX):
        return narrowed(hub.load(request), request)
    if own.is_own(Path(request.name)):
        return narrowed(own.load(Path(request.name)), request)
    return narrowed(probes.load(request.name), request)
