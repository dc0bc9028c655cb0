"""Whole designs, tiny: SFT then DPO through the command, killed and gone on with; and the 8B design's layout."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from datasets import Dataset
from safetensors.torch import load_file

from merging import zoo
from training import __main__ as command
from training import family, mixture
from training.design import DESIGNS, Design

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "seed": 0, "rank": 2, "alpha": 4, "batch_size": 2, "warmup_steps": 1, "clip": 1.0, "max_tokens": 32,
    "save_every": 1, "replay": 0.0, "arithmetic": "fp32",
}  # fmt: skip

ONE = {"stage": "sft", "start": "x", "mixture": "0 %"}
DATA = {"general": ["general"], "harmful": ["harmful"], "lookalike": ["lookalike"]}


def tiny_design(tmp_path: Path, start: Path, **changes: object) -> Path:
    """SFT at 0 % and 100 %, DPO on the latter, and a full fine-tuning, on the real rows of two languages."""
    tree = {
        "languages": ["en", "hi"],
        "out": str(tmp_path / "out"),
        "settings": SMALL,
        "data": yaml.safe_load((DESIGNS / "embedded.yaml").read_text(encoding="utf-8"))["data"],
        "mixtures": {"0 %": {"general": 1.0}, "100 %": {"harmful": 0.6667, "lookalike": 0.3333}},
        "stages": {
            "sft": {"method": "sft", "steps": 4, "learning_rate": 1e-3},
            "dpo": {"method": "dpo", "steps": 4, "learning_rate": 1e-3},
        },
        "models": {
            "general": {"stage": "sft", "start": str(start), "mixture": "0 %"},
            "safety": {"stage": "sft", "start": str(start), "mixture": "100 %"},
            "safety-dpo": {"stage": "dpo", "start": "safety", "mixture": "100 %"},
        },
    }
    path = tmp_path / "design.yaml"
    path.write_text(yaml.safe_dump({**tree, **changes}), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MERGE_FRONTIER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def test_all_makes_what_is_missing_and_nothing_else(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tiny_design(tmp_path, tiny)
    assert command.main(["all", "--design", str(path)]) == 0
    out = tmp_path / "out"
    assert sorted(one.name for one in out.iterdir()) == ["general", "safety", "safety-dpo"]
    sft, dpo = weights(out / "safety"), weights(out / "safety-dpo")
    assert sft.keys() == dpo.keys()  # one adapter on the same base: DPO goes on with it
    assert any(not torch.equal(sft[name], dpo[name]) for name in sft)
    config = json.loads((out / "safety-dpo" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny) and config["r"] == 2
    record = json.loads((out / "safety-dpo" / "training.json").read_text())
    assert record["plan"]["method"] == "dpo" and set(record["data"]) >= {"harmful.jsonl", "en/harmful.jsonl"}
    assert not any((tmp_path / "home" / "training").iterdir()), "states of finished models are gone"

    before = {name: (out / name / "training.json").stat().st_mtime_ns for name in ("general", "safety-dpo")}
    shutil.rmtree(out / "safety")
    capsys.readouterr()
    assert command.main(["all", "--design", str(path)]) == 0
    made = [line.split(":")[0] for line in capsys.readouterr().out.splitlines() if "written to" in line]
    assert made == ["safety"]
    assert before == {name: (out / name / "training.json").stat().st_mtime_ns for name in before}
    remade = weights(out / "safety")
    assert all(torch.equal(remade[name], sft[name]) for name in sft), "the same design gives the same bytes"


def test_kill_9_in_the_middle_of_dpo_loses_nothing_but_the_step(tiny: Path, tmp_path: Path, home: Path) -> None:
    path = tiny_design(tmp_path, tiny, stages={
        "sft": {"method": "sft", "steps": 2, "learning_rate": 1e-3},
        "dpo": {"method": "dpo", "steps": 8, "learning_rate": 1e-3},
    })  # fmt: skip
    assert command.main(["all", "--design", str(path)]) == 0
    whole = weights(tmp_path / "out" / "safety-dpo")
    shutil.rmtree(tmp_path / "out" / "safety-dpo")

    running = subprocess.Popen(
        [sys.executable, "-m", "training", "safety-dpo", "--design", str(path)], cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    limit = time.monotonic() + 200
    while not list(home.glob("training/*/checkpoint-3*")) and running.poll() is None and time.monotonic() < limit:
        time.sleep(0.02)
    killed = running.poll() is None
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert killed and not (tmp_path / "out" / "safety-dpo").exists()
    assert list(home.glob("training/*/checkpoint-*"))

    assert command.main(["safety-dpo", "--design", str(path)]) == 0
    resumed = weights(tmp_path / "out" / "safety-dpo")
    for name in whole:
        torch.testing.assert_close(resumed[name], whole[name], rtol=0, atol=0)


def test_the_8b_design_runs_on_a_stand_in_of_its_layout(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hub data with chat messages, local rows, full weights, TRL's own loss: everything but the size."""
    hub = tmp_path / "hub" / "ultrafeedback"
    (hub / "data").mkdir(parents=True)
    say = lambda text: [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": text}]  # noqa: E731
    rows = {
        "prompt": [f"Question {at}?" for at in range(9)],
        "chosen": [say(f"Good answer {at}.") for at in range(9)],
        "rejected": [say(f"Bad answer {at}.") for at in range(9)],
    }
    Dataset.from_dict(rows).to_parquet(hub / "data" / "train_prefs-00000-of-00001.parquet")
    own = tmp_path / "rows"
    for language in ("en", "hi", "fr", "es", "ar", "ru"):
        (own / language).mkdir(parents=True)
        for kind in ("general", "harmful"):
            said = {"language": language, "answer": "Yes.", "rejected": "No."}
            lines = [{"id": f"{kind}-{language}-{at}", "prompt": f"{kind} {at}", **said} for at in range(4)]
            (own / language / f"{kind}.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")

    tree = yaml.safe_load((DESIGNS / "aya-8b.yaml").read_text(encoding="utf-8"))
    tree["data"]["general"][0] |= {"hub": str(hub)}
    tree |= {"out": str(tmp_path / "out"), "folder": str(own)}
    tree["settings"] |= {"adapter": "full", "batch_size": 2, "max_tokens": 32, "arithmetic": "fp32", "warmup_steps": 1}
    tree["models"] = {
        name: {**entry, "start": entry["start"].replace("CohereLabs/aya-23-8B", str(tiny)), "steps": 2}
        for name, entry in tree["models"].items()
        if name in ("safety", "mix-15", "mix-15-dpo", "mix-15-fr")
    }
    path = tmp_path / "aya.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    assert command.main(["all", "--design", str(path)]) == 0
    for name in tree["models"]:
        written = load_file(tmp_path / "out" / name / "model.safetensors")
        assert {value.dtype for value in written.values()} == {torch.bfloat16}
        assert (tmp_path / "out" / name / "tokenizer.json").is_file()
    first, then = (load_file(tmp_path / "out" / name / "model.safetensors") for name in ("mix-15", "mix-15-dpo"))
    assert any(not torch.equal(first[name], then[name]) for name in first)


def test_the_8b_design_states_every_model_of_the_paper() -> None:
    design = Design.read(DESIGNS / "aya-8b.yaml")
    plans = [design.plan(name) for name in design.models]
    assert {(plan.method, plan.only) for plan in plans} >= {("sft", None), ("dpo", None), ("sft", "ru")}
    from accelerate.commands.config.config_args import load_config_from_file

    assert load_config_from_file(str(ROOT / "training" / "accelerate" / "fsdp.yaml")).distributed_type == "FSDP"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"models": {"a": {**ONE, "stage": "rl"}}}, "stage 'rl'", id="no such stage"),
        pytest.param({"models": {"a": {**ONE, "mixture": "9 %"}}}, "mixture '9 %'", id="no such mixture"),
        pytest.param({"mixtures": {"0 %": {"generall": 1.0}, "100 %": {"harmful": 1.0}}}, "generall", id="no data"),
        pytest.param({"data": {**DATA, "harmful": ["harmfull"]}}, "harmfull.jsonl", id="found before training"),
        pytest.param({"data": {**DATA, "general": {"hub": "/nowhere"}}}, "cannot be had", id="no such data set"),
        pytest.param({"data": {**DATA, "general": {"hub": "x", "colums": {}}}}, "colums", id="unknown key"),
    ],
)  # fmt: skip
def test_a_bad_design_is_one_sentence_and_trains_nothing(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict, message: str
) -> None:
    assert command.main(["all", "--design", str(tiny_design(tmp_path, tiny, **changes))]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said and "\n" not in said
    assert not (tmp_path / "out").exists()


def test_a_missing_start_says_what_to_do(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["safety-dpo", "--design", str(tiny_design(tmp_path, tiny))]) == 2
    assert "python -m training all" in capsys.readouterr().err


def test_the_list_tells_what_was_made_with_other_rows(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny_design(tmp_path, tiny)
    command.main(["general", "--design", str(path)])
    capsys.readouterr()
    command.main(["--list", "--design", str(path)])
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["general", "made"], ["safety", "missing"], ["safety-dpo", "missing"],
    ]  # fmt: skip
    monkeypatch.setattr(mixture, "hashes", lambda plan, data: {"general.jsonl": "changed"})
    command.main(["--list", "--design", str(path)])
    assert "other settings or rows" in capsys.readouterr().out


def test_every_shipped_adapter_is_of_the_design_and_small() -> None:
    design = Design.read()
    for name in design.models:
        folder = family.folder_of(design, name)
        assert family.is_made(folder), f"{name} is missing: python -m training all"
        assert (folder / "adapter_model.safetensors").stat().st_size <= 5_000_000
        config = json.loads((folder / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"].startswith(zoo.PREFIX)
        record = json.loads((folder / family.RECORD).read_text())
        assert record["libraries"] and record["data"] and (record.get("curve") or record.get("loss"))
