"""A run that is killed, stopped or refused by the disk: nothing looks finished, and the next run goes on from there."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from merging import Recipe, draft, merge_to_folder, offline, writer
from merging.errors import CheckpointError, WriteError
from tests.merging import tiny

ROOT = Path(__file__).resolve().parents[2]
SHARD = 300  # bytes
Files = dict[str, bytes]


@pytest.fixture
def recipe(family: dict[str, str]) -> Recipe:
    pair = [{"weight": 0.4, "density": 0.6}, {"weight": 0.7, "density": 0.5}]
    return Recipe.build("dare_ties", models=[family["a"], family["b"]], base_model=family["base"], per_model=pair)


@pytest.fixture
def whole(recipe: Recipe, tmp_path: Path) -> Files:
    """What an uninterrupted run writes."""
    return files(merge_to_folder(recipe, tmp_path / "whole" / "out", shard_bytes=SHARD))


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the weight files written in this process."""
    names: list[str] = []
    real = offline.write_shard

    def write(path: Path, *rest: Any) -> writer.Record:
        found = real(path, *rest)
        names.append(path.name)
        return found

    monkeypatch.setattr(offline, "write_shard", write)
    return names


def files(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def partials(folder: Path) -> list[Path]:
    return sorted(folder.glob(".*.partial"))


def stop_at(share: float) -> Callable[[float, str], None]:
    def progress(done: float, name: str) -> None:
        if done >= share:
            raise KeyboardInterrupt

    return progress


def stopped(recipe: Recipe, out: Path, share: float = 0.5) -> Path:
    """Half of a merge, stopped by hand; the folder it leaves."""
    with pytest.raises(KeyboardInterrupt):
        merge_to_folder(recipe, out, shard_bytes=SHARD, progress=stop_at(share))
    (left,) = partials(out.parent)
    return left


SLOW = """
import sys, time
from merging import Recipe, draft, merge_to_folder, offline, writer
moment, real = sys.argv[3], {}
def wait(*_):
    print("there", flush=True)
    time.sleep(60)
def progress(share, name):  # in the middle of a file, its temporary file open
    if moment == "middle" and share > 0.5:
        wait()
def after(place, name, number):
    kept, calls = getattr(place, name), []
    def call(*given):
        found = kept(*given)
        calls.append(1)
        if len(calls) == number:
            wait()
        return found
    setattr(place, name, call)
{"written": lambda: after(offline, "write_shard", 3), "kept": lambda: after(draft.Draft, "keep", 3),
 "config": lambda: after(offline, "write_json", 1), "manifest": lambda: after(offline, "write_manifest", 1),
 "journal": lambda: after(draft, "check_free", 2), "middle": lambda: None}[moment]()
merge_to_folder(Recipe.from_yaml(sys.argv[1]), sys.argv[2], progress=progress, shard_bytes=300)
"""


# Finished files that the next run finds: of the first moments some; one that is written but not in the journal is not.
@pytest.mark.parametrize(
    ("moment", "finished"),
    [("middle", None), ("written", 2), ("kept", 3), ("config", -1), ("manifest", -1), ("journal", -1)],
)
def test_killed_at_any_moment_the_next_run_ends_with_the_same_bytes(
    recipe: Recipe, tmp_path: Path, whole: Files, written: list[str], moment: str, finished: int | None
) -> None:
    out = tmp_path / "killed" / "out"
    command = [sys.executable, "-c", SLOW, recipe.to_yaml(), str(out), moment]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert process.stdout is not None and process.stdout.readline() == "there\n"
    with pytest.raises(WriteError, match="Another run is writing"):
        merge_to_folder(recipe, out, shard_bytes=SHARD)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert all(path.name.startswith(".out.") for path in out.parent.iterdir())
    if moment in ("middle", "written", "kept"):
        assert not {path.name for path in out.parent.rglob("*")} & {"config.json", "model.safetensors.index.json"}
    merge_to_folder(recipe, out, shard_bytes=SHARD)
    assert files(out) == whole
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    total = sum(name.endswith(".safetensors") for name in whole)
    if finished is None:
        assert 0 < len(written) < total
    else:
        assert len(written) == (0 if finished < 0 else total - finished)


def test_a_run_that_goes_on_says_how_far_it_is(recipe: Recipe, tmp_path: Path) -> None:
    left = stopped(recipe, tmp_path / "out")
    assert left.name.startswith(".out.") and not list(left.glob("*.tmp"))
    shares: list[float] = []
    merge_to_folder(recipe, tmp_path / "out", shard_bytes=SHARD, progress=lambda share, _: shares.append(share))
    assert 0.3 < shares[0] < 0.6 and shares == sorted(shares) and shares[-1] == 1


def other_recipe(recipe: Recipe, **_: Any) -> Recipe:
    return Recipe.from_yaml(recipe.to_yaml().replace("seed: 0", "seed: 1"))


def touched(recipe: Recipe, **_: Any) -> Recipe:
    file = Path(recipe.donor) / "model.safetensors"
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    return recipe


def other_program(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setattr("torch.__version__", "0.0.0")
    return recipe


@pytest.mark.parametrize("change", [other_recipe, touched, other_program])
def test_what_may_differ_is_not_taken_over(
    recipe: Recipe, tmp_path: Path, written: list[str], monkeypatch: pytest.MonkeyPatch, change: Callable[..., Recipe]
) -> None:
    out = tmp_path / "out"
    before = stopped(recipe, out)
    written.clear()
    found = files(merge_to_folder(change(recipe, monkeypatch=monkeypatch), out, shard_bytes=SHARD))
    assert len(written) == sum(name.endswith(".safetensors") for name in found)
    assert not before.exists()  # a finished run clears away what others left of the same target


def test_another_size_of_files_starts_anew(recipe: Recipe, tmp_path: Path, written: list[str]) -> None:
    stopped(recipe, tmp_path / "out")
    written.clear()
    merge_to_folder(recipe, tmp_path / "out", shard_bytes=SHARD + 1)
    assert written[0].startswith("model-00001")


def test_a_target_whose_name_begins_alike_is_left_alone(recipe: Recipe, tmp_path: Path) -> None:
    left = stopped(recipe, tmp_path / "out.b")
    merge_to_folder(recipe, tmp_path / "out")
    assert left.exists() and not list(tmp_path.glob(".out.lock"))


def flip(folder: Path) -> None:
    path = folder / "model-00001-of-00010.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def shorten(folder: Path) -> None:
    os.truncate(folder / "model-00001-of-00010.safetensors", 100)


def remove(folder: Path) -> None:
    (folder / "model-00001-of-00010.safetensors").unlink()


def forget(folder: Path) -> None:
    tree = json.loads((folder / draft.JOURNAL).read_text())
    del tree["files"]["model-00001-of-00010.safetensors"]
    (folder / draft.JOURNAL).write_text(json.dumps(tree))


@pytest.mark.parametrize("harm", [flip, shorten, remove, forget])
def test_a_finished_file_that_is_not_as_noted_is_written_again(
    recipe: Recipe, tmp_path: Path, whole: Files, written: list[str], harm: Callable[[Path], None]
) -> None:
    out = tmp_path / "out"
    left = stopped(recipe, out)
    assert len([name for name in whole if name.endswith(".safetensors")]) == 10
    harm(left)
    written.clear()
    assert files(merge_to_folder(recipe, out, shard_bytes=SHARD)) == whole
    assert written[0] == "model-00001-of-00010.safetensors" and len(written) < 10


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 1}', '{"files": {"../x": {"bytes": 1, "sha256": "0"}}}'])
def test_a_journal_that_cannot_be_read_is_none(recipe: Recipe, tmp_path: Path, whole: Files, text: str) -> None:
    left = stopped(recipe, tmp_path / "out")
    (left / draft.JOURNAL).write_text(text)
    (left / "config.json").write_text("litter")
    assert files(merge_to_folder(recipe, tmp_path / "out", shard_bytes=SHARD)) == whole


def full_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A disk that is full when the file of this number (from 1) is half written."""
    real, calls = offline.write_shard, []

    def write(path: Path, *rest: Any) -> writer.Record:
        calls.append(path)
        if len(calls) == number:
            path.with_name(f"{path.name}.tmp").write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, *rest)

    monkeypatch.setattr(offline, "write_shard", write)


def test_a_full_disk_keeps_what_is_finished(
    recipe: Recipe, tmp_path: Path, whole: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "full" / "out"
    with monkeypatch.context() as patch:
        full_at(patch, 5)
        with pytest.raises(WriteError, match=r"disk is full: .*needs [\d,]+ bytes more, .*4 finished files are kept"):
            merge_to_folder(recipe, out, shard_bytes=SHARD)
    (left,) = partials(out.parent)
    assert len(list(left.glob("*.safetensors"))) == 4 and not list(left.glob("*.tmp")) and not out.exists()
    assert files(merge_to_folder(recipe, out, shard_bytes=SHARD)) == whole


def test_a_disk_that_is_full_at_once_leaves_nothing(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_at(monkeypatch, 1)
    with pytest.raises(WriteError, match="run the same again, or name a folder on another disk"):
        merge_to_folder(recipe, tmp_path / "out", shard_bytes=SHARD)
    assert not list(tmp_path.iterdir())


def test_too_little_room_is_said_before_anything_is_merged(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = draft.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(draft.shutil, "disk_usage", lambda _: real._replace(free=1000))
    seen: list[str] = []
    with pytest.raises(WriteError, match=r"needs [\d,]+ bytes more on its disk, which has 1,000 bytes free"):
        merge_to_folder(recipe, tmp_path / "out", progress=lambda _, name: seen.append(name))
    assert not seen and not list(tmp_path.iterdir())


def test_another_failure_of_the_disk_is_said(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(offline, "write_shard", breaks)
    with pytest.raises(WriteError, match=r"Cannot write .*out.*: Input/output error"):
        merge_to_folder(recipe, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_bad_tensor_in_the_middle(tmp_path: Path) -> None:
    tensors = tiny.weights(0)
    bad = tensors | {"model.norm.weight": torch.full((tiny.HIDDEN,), torch.nan)}
    source = tiny.write_model(tmp_path / "source", bad)
    with pytest.raises(CheckpointError, match=r"model\.norm\.weight"):
        merge_to_folder(Recipe.single(str(source)), tmp_path / "out", shard_bytes=SHARD)
    assert not (tmp_path / "out").exists() and len(partials(tmp_path)) == 1
    tiny.write_model(source, tensors)
    out = merge_to_folder(Recipe.single(str(source)), tmp_path / "out", shard_bytes=SHARD)
    assert out.exists() and sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


def test_a_target_that_appears_meanwhile_is_not_overwritten(recipe: Recipe, tmp_path: Path, whole: Files) -> None:
    out = tmp_path / "out"

    def intrude(share: float, _: str) -> None:
        out.mkdir(exist_ok=True)
        (out / "mine").write_text("")

    with pytest.raises(WriteError, match="exists and is not an empty folder"):
        merge_to_folder(recipe, out, shard_bytes=SHARD, progress=intrude)
    assert [path.name for path in out.iterdir()] == ["mine"]
    (out / "mine").unlink()
    assert files(merge_to_folder(recipe, out, shard_bytes=SHARD)) == whole


def test_a_planted_link_is_not_followed(recipe: Recipe, tmp_path: Path) -> None:
    left = stopped(recipe, tmp_path / "out")
    left.rename(tmp_path / "elsewhere")
    left.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WriteError, match="is not a folder of yours"):
        merge_to_folder(recipe, tmp_path / "out", shard_bytes=SHARD)
    assert len(list((tmp_path / "elsewhere").iterdir())) > 1
