"""What a stranger's clone promises: pins that agree, small files, no path of anybody's machine."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


def front_matter() -> dict:
    return yaml.safe_load((ROOT / "README.md").read_text(encoding="utf-8").split("---")[1])


def pinned(name: str, file: str = "requirements.txt") -> str:
    found = re.search(rf"^{re.escape(name)}==(\S+)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert found, f"{name} is not pinned in {file}"
    return found[1]


def test_space_runs_the_pinned_gradio() -> None:
    assert front_matter()["sdk_version"] == pinned("gradio")


def test_space_python_is_supported() -> None:
    assert front_matter()["python_version"] in ("3.11", "3.12")
    assert (ROOT / front_matter()["app_file"]).is_file()


REQUIREMENTS = [
    "requirements.txt",
    "requirements-dev.txt",
    "requirements-training.txt",
    "requirements-tasks.txt",
    "requirements-judges.txt",
    "benchmarks/requirements.txt",
]


@pytest.mark.parametrize("file", REQUIREMENTS)
def test_every_requirement_is_pinned(file: str) -> None:
    for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
        entry = line.split("#")[0].strip()
        assert not entry or entry.startswith("-r ") or "==" in entry, f"{file}: {entry} is not pinned"


def test_app_is_a_doorstep() -> None:
    assert len((ROOT / "app.py").read_text(encoding="utf-8").splitlines()) <= 40


def test_adapters_are_small() -> None:
    for file in (ROOT / "assets" / "zoo").rglob("*.safetensors"):
        assert file.stat().st_size <= 5_000_000, f"{file.relative_to(ROOT)} is over 5 MB"


def test_nothing_pickled_is_committed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in listed if name.endswith((".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"))]
