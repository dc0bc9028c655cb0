"""Standard tasks: lm-evaluation-harness on a tiny model, against log-likelihoods added up by hand."""

import importlib.util
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tiny import model, tokenizer

from eval import tasks
from eval.__main__ import main
from eval.errors import EvalError
from eval.tasks import Score, Tasks, scores

pytestmark = pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="requirements-tasks.txt")
ROWS = [
    {"question": f"What is {word}?", "options": [" yes", " no", " maybe it is"], "answer": number % 3}
    for number, word in enumerate(("tea", "rain", "bread", "chess", "snow", "salt", "sand", "wood"))
]


@pytest.fixture(scope="module")
def include(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two tasks of three options: one with its data, one without."""
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    for name, file in (("frontier_mini", "rows.jsonl"), ("frontier_lost", "lost.jsonl")):
        task = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(folder / file)}, "cache_dir": str(folder / "cache")},
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": "{{question}}",
            "doc_to_choice": "{{options}}",
            "doc_to_target": "answer",
            "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
            "metadata": {"version": 1.0},
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(task), "utf-8")
    return folder


def likelihood(network: Any, words: Any, context: str, continuation: str) -> float:
    """Log-probability of a continuation, token by token."""
    ids = words(context + continuation).input_ids
    start = len(words(context).input_ids)
    with torch.no_grad():
        chances = torch.log_softmax(network(torch.tensor([ids])).logits[0].double(), dim=-1)
    return sum(float(chances[place - 1, ids[place]]) for place in range(start, len(ids)))


def test_a_task_of_ones_own_is_scored_as_by_hand(include: Path) -> None:
    network, words = model(), tokenizer()
    [found] = Tasks(["frontier_mini"], include=include).run(network, words)
    right = 0
    for row in ROWS:
        by_option = [likelihood(network, words, str(row["question"]), option) for option in row["options"]]
        right += max(range(3), key=by_option.__getitem__) == row["answer"]
    assert (found.task, found.metric, found.n, found.better) == ("frontier_mini", "acc", len(ROWS), "higher")
    assert found.value == pytest.approx(right / len(ROWS))
    assert found.stderr == pytest.approx(math.sqrt(found.value * (1 - found.value) / (len(ROWS) - 1)))
    low, high = found.interval() or (0.0, 0.0)
    assert 0 <= low <= found.value <= high <= 1 and low < high


def test_from_the_command_line(include: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("MERGE_FRONTIER_HOME", str(tmp_path / "home"))
    model().save_pretrained(tmp_path / "tiny")
    tokenizer().save_pretrained(tmp_path / "tiny")
    arguments = ["--tasks", "frontier_mini", "--include-path", str(include), "--limit", "5"]
    assert main([str(tmp_path / "tiny"), *arguments, "--json", str(tmp_path / "out.json")]) == 0
    found = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert found["tasks"]["frontier_mini"]["acc"]["n"] == 5
    assert set(found["tasks"]["frontier_mini"]["acc"]) >= {"value", "stderr", "low", "high", "n"}
    assert "frontier_mini  acc" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["frontier_minni"], "no task 'frontier_minni'. Did you mean 'frontier_mini'?", id="misspelt"),
        pytest.param(["frontier_none_*"], "no task 'frontier_none_*'", id="pattern"),
        pytest.param(["frontier_lost"], "The data of frontier_lost cannot be had", id="no data"),
        pytest.param(["frontier_mini", "--limit", "0"], "--limit must be 1 or more", id="no documents"),
    ],
)
def test_refused_before_a_model_is_read(include: Path, capsys, arguments: list, said: str) -> None:
    assert main(["no/such/model", "--include-path", str(include), "--tasks", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EvalError, match=r"pip install -r requirements-tasks\.txt"):
        Tasks(["belebele"])


def test_what_the_harness_gives_is_read() -> None:
    found = {
        "results": {
            "a": {"alias": "a", "acc,none": 0.5, "acc_stderr,none": 0.1, "f1,strict": 3.0, "f1_stderr,strict": "N/A"},
            "b": {"alias": "b", "ppl,none": 9.0, "ppl_stderr,none": 0.5},
        },
        "n-samples": {"a": {"original": 90, "effective": 26}, "b": {"original": 7, "effective": 7}},
        "n-shot": {"a": 5},
        "higher_is_better": {"b": {"ppl": False}},
        "versions": {"a": 2.0},
    }
    first, second, third = scores(found)
    assert first == Score("a", "acc", 0.5, 0.1, 26, 5, "higher", "2.0")
    assert (second.metric, second.stderr, second.interval()) == ("f1 (strict)", None, None)
    assert third.better == "lower" and third.interval() == pytest.approx((9 - 0.98, 9 + 0.98), abs=1e-3)
    with pytest.raises(EvalError, match="acc of a is not a number"):
        scores({"results": {"a": {"acc,none": float("nan")}}})


@pytest.mark.parametrize("value", [0.0, 0.25, 1.0])
def test_rates_have_an_interval_within_their_range(value: float) -> None:
    low, high = Score("a", "acc", value, math.sqrt(value * (1 - value) / 19), 20, 0, "higher", "1").interval() or (9, 9)
    assert 0 <= low <= value <= high <= 1 and low < high
