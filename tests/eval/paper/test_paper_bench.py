"""The real bench on tiny models: it screens, sees equal weights, and measures by a probe in a file."""

from pathlib import Path

import pytest
import yaml
from made_family import probe_file
from tiny import model, tokenizer

from eval.paper.bench import PaperBench
from eval.paper.exchange import read
from eval.paper.plan import read_plan
from eval.paper.work import Comparison


def folder(path: Path, seed: int) -> str:
    model(seed=seed).save_pretrained(path)
    tokenizer().save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("family")
    names = {name: folder(out / name, seed) for seed, name in enumerate(("base", "general", "mix", "safety"))}
    raw = {
        "family": "tiny random models",
        "base": names["base"],
        "probe": probe_file(out),
        "screening": probe_file(out),
        "mixes": {"SFT": {"mix-0": names["general"], "mix-15": names["mix"], "mix-100": names["safety"]}},
        "sweep": {"stage": "SFT", "weights": [0, 0.5, 1]},
        "seconds": {"screen": 1, "measure": 1},
    }
    (out / "plan.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    return out


def test_a_family_of_folders_is_compared_from_end_to_end(where: Path) -> None:
    plan, told = read_plan(where / "plan.yaml"), []
    bench = PaperBench(plan, threads=1, store=where / "store.sqlite")
    found = Comparison(plan, where, bench=bench, tell=told.append).run()
    assert not [line for line in told if "passed over" in line]
    assert dict(found.choice.same) == {
        "SFT/linear/weight=0.00": "SFT/mix-0", "SFT/linear/weight=1.00": "SFT/mix-100",
    }  # fmt: skip
    rows = read(where / "tables.json").rows
    assert {name for name, row in rows.items() if row.state == "measured"} == {
        "base", "SFT/mix-0", "SFT/mix-15", "SFT/mix-100", "SFT/linear/weight=0.50",
    }  # fmt: skip
    assert rows["SFT/linear/weight=0.50"].differences["SFT/mix-15"]["general"].overall.difference is not None
    weights = [one.weights for one in found.screened.values()]
    assert len(set(weights)) == len(weights) - 2


def test_changed_weights_are_measured_again_and_nothing_else(where: Path) -> None:
    plan, told = read_plan(where / "plan.yaml"), []
    folder(where / "safety", 9)
    bench = PaperBench(plan, threads=1, store=where / "store.sqlite")
    Comparison(plan, where, bench=bench, tell=told.append).run()
    done = {line.split()[1] for line in told if line.startswith("measured ")}
    assert done == {"SFT/mix-100", "SFT/linear/weight=0.50"}
