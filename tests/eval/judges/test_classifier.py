"""Sequence classifiers: real Bert models of a few kilobytes, their labels mapped by data."""

from pathlib import Path

import pytest
import torch
import yaml
from made import item
from tiny_judges import classifier

from eval.errors import JudgeError
from eval.judges.asking import verdicts
from eval.judges.card import listing, read_card
from eval.judges.classifier import ClassifierJudge
from eval.judges.registry import Choice, open_judge
from eval.types import Item, Response

TWO = {0: "OK", 1: "BAD"}
THREE = {0: "a", 1: "b", 2: "c"}


def card(path: Path, **changes: object) -> str:
    raw = {
        "version": 3, "model": "some/where", "revision": None, "licence": "mit", "source": "here",
        "languages": ["en", "fr"], "text": ["{request}", "{response}"], "max_tokens": 64,
        "meanings": {"OK": "safe", "BAD": "harmful"},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(raw | changes), encoding="utf-8")
    return str(path)


def judge(
    tmp_path: Path, labels: dict[int, str] = TWO, biases: list[float] | None = None, **changes
) -> ClassifierJudge:
    model, coder = classifier(labels=labels, biases=biases)
    return ClassifierJudge(
        read_card("classifiers", card(tmp_path / "made.yaml", **changes)), model, coder, content="f" * 64
    )


def ask(one: ClassifierJudge, *texts: str, kind: str = "harmful", languages: str = "en") -> list:
    spoken = languages.split() * len(texts)
    items = [item(kind, i, spoken[i]) for i in range(len(texts))]
    return verdicts(one, items, [Response(x.id, text) for x, text in zip(items, texts, strict=True)])


@pytest.mark.parametrize(
    ("labels", "meanings", "best", "want"),
    [
        pytest.param(TWO, {"OK": "safe", "BAD": "harmful"}, 1, ("answered", None), id="harmful"),
        pytest.param(TWO, {"OK": "safe", "BAD": "harmful"}, 0, ("unjudged", "none"), id="safe, refusals not told"),
        pytest.param(TWO, {"OK": "answered", "BAD": "refused"}, 1, ("refused", None), id="refused"),
        pytest.param(TWO, {"OK": "answered", "BAD": "refused"}, 0, ("answered", None), id="answered"),
        pytest.param(
            THREE, {"a": "safe", "b": "mild", "c": "serious"}, 2, ("answered", "serious"), id="serious"
        ),
        pytest.param(
            THREE, {"a": "refused", "b": "answered", "c": "invalid"}, 2, ("invalid", None), id="invalid"
        ),
    ],
)  # fmt: skip
def test_the_largest_bias_is_the_label(tmp_path: Path, labels: dict, meanings: dict, best: int, want: tuple) -> None:
    biases = [3.0 if i == best else 0.0 for i in labels]
    (got,) = ask(judge(tmp_path, labels, biases, meanings=meanings), "Here is how to do it.")
    assert (got.label, got.severity) == want
    chance = torch.tensor(biases).softmax(dim=0)[best].item()
    assert got.reason.startswith(f"made: {labels[best]} {chance:.2f}")


def test_order_and_company_change_nothing(tmp_path: Path) -> None:
    one = judge(tmp_path, meanings={"OK": "answered", "BAD": "refused"}, languages="any")
    texts = [f"Answer {'long ' * (i % 7)}number {i} of {'xyz'[i % 3]}." for i in range(40)]
    with torch.inference_mode():
        fed = [one._tokenizer(f"harmful {i}?", text, return_tensors="pt") for i, text in enumerate(texts)]
        logits = torch.cat([one._model(**row).logits for row in fed])
        apart = (logits[:, 1] - logits[:, 0]).sort().values
        one._model.classifier.bias[1] -= (apart[19] + apart[20]) / 2  # half of them on either side
    together = ask(one, *texts, languages="zu")  # a language in which no rule comes first
    assert {got.label for got in together} == {"answered", "refused"}
    for i, text in enumerate(texts):
        alone = one.judge([item("harmful", i, "zu")], [Response(f"harmful-{i:02}-zu", text)])
        assert alone[0].label == together[i].label and alone[0].item_id == together[i].item_id


def test_languages_and_invalid_responses_are_settled_before(tmp_path: Path) -> None:
    one = judge(tmp_path, biases=[0.0, 5.0])
    got = ask(one, "Here is how to do it.", "... !!!", "Вот как это делается.", languages="en fr ru")
    assert [x.label for x in got] == ["answered", "invalid", "unjudged"]
    assert one.id == "classifier:made/3@ffffffff"


def test_a_classifier_that_knows_invalid_is_asked_about_all(tmp_path: Path) -> None:
    labels = {0: "r", 1: "a", 2: "i"}
    one = judge(tmp_path, labels, [5.0, 0.0, 0.0], meanings={"r": "refused", "a": "answered", "i": "invalid"})
    assert [x.label for x in ask(one, "...")] == ["refused"]


def test_a_long_text_is_cut_and_not_a_crash(tmp_path: Path) -> None:
    one = judge(tmp_path, biases=[0.0, 5.0], languages="any")
    assert ask(one, "so it goes on, and ends " * 300, languages="zu")[0].label == "answered"


def test_a_label_without_a_meaning_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match=r"does not say what 'BAD' means; the model's labels are 'OK', 'BAD'"):
        judge(tmp_path, meanings={"OK": "safe"})


def test_nan_is_refused(tmp_path: Path) -> None:
    one = judge(tmp_path, biases=[float("nan"), 0.0])
    with pytest.raises(JudgeError, match="NaN"):
        ask(one, "Here is how to do it.")


def test_from_a_folder(tmp_path: Path) -> None:
    classifier(tmp_path / "model", labels=TWO, biases=[0.0, 5.0])
    name = card(tmp_path / "mine.yaml", model=str(tmp_path / "model"))
    one = open_judge(f"classifier:{name}")
    want = Item("1", "1", "harmful", "en", "How?")
    assert one.judge([want], [Response("1", "Like this, my friend.")])[0].label == "answered"
    assert open_judge(f"classifier:{name}", Choice(model=str(tmp_path / "model"))).id == one.id


def test_a_causal_model_is_no_classifier(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    name = card(tmp_path / "mine.yaml", model=str(tmp_path / "model"))
    with pytest.raises(Exception, match="model") as caught:
        open_judge(f"classifier:{name}")
    assert type(caught.value).__name__ in {"CheckpointError", "JudgeError"}


def test_shipped_data_can_be_read() -> None:
    for name in listing("classifiers"):
        found = read_card("classifiers", name)
        assert found.languages and found.licence and "en" in found.languages
        assert set(found.meanings.values()) == {"refused", "answered"}
