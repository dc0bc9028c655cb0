"""The house has one direction, and some rooms hold no torch: both are checked, not hoped for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# A module may import only from packages further right in its own row.
MAY_IMPORT = {
    "app": {"ui", "eval", "merging"},
    "ui": {"ui", "eval", "merging"},
    "eval": {"eval", "merging"},
    "merging": {"merging"},
    "training": {"training", "eval", "merging"},
}
OURS = {*MAY_IMPORT, "tests", "benchmarks", "scripts"}
TORCH_FREE = [
    "merging", "merging.errors", "merging.recipe", "merging.registry",
    "eval", "eval.types", "eval.probes", "eval.judges.rules",
    "eval.judges.quality", "eval.metrics", "eval.frontier", "eval.standing", "eval.answer",
    "eval.store", "eval.sets", "eval.sets.report", "eval.tasks", "eval.agreement", "eval.win", "eval.judging",
    "eval.judges.guard", "eval.judges.endpoint", "eval.paper.schema", "eval.paper.exchange", "eval.paper.work",
]  # fmt: skip
GRADIO_FREE = [*TORCH_FREE, "ui.session", "ui.plots"]


def modules(package: str) -> list[Path]:
    return [ROOT / "app.py"] if package == "app" else sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Top-level names imported anywhere in a file, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom) and node.level:
            found.add(path.relative_to(ROOT).parts[0])
    return found


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_down(package: str) -> None:
    files = modules(package)
    assert files, f"{package} has no modules"
    for path in files:
        upward = (imported(path) & OURS) - MAY_IMPORT[package]
        assert not upward, f"{path.relative_to(ROOT)} imports {sorted(upward)}"


@pytest.mark.parametrize("package", ["merging", "eval", "training"])
def test_gradio_stays_in_ui(package: str) -> None:
    for path in modules(package):
        assert "gradio" not in imported(path), f"{path.relative_to(ROOT)} imports gradio"


def test_torch_in_ui_is_reached_only_through_the_service() -> None:
    for path in modules("ui"):
        assert not {"torch", "transformers"} & imported(path), f"{path.relative_to(ROOT)} imports torch itself"


def run_without(names: list[str], code: str) -> None:
    """Run code in a fresh process where importing any of names fails."""
    block = f"import sys; sys.modules.update(dict.fromkeys({names!r}))\n"
    done = subprocess.run([sys.executable, "-c", block + code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", TORCH_FREE)
def test_torch_free(module: str) -> None:
    run_without(["torch", "transformers", "gradio"], f"import {module}")


@pytest.mark.parametrize("module", GRADIO_FREE)
def test_gradio_free(module: str) -> None:
    run_without(["gradio"], f"import {module}")


def test_every_knob_is_known_without_torch() -> None:
    code = "from merging.registry import methods; assert sum(bool(m.knobs) for m in methods()) >= 5"
    run_without(["torch"], code)


def test_the_page_is_built_without_torch() -> None:
    run_without(["torch", "transformers"], "import ui.page")
