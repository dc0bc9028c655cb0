"""Licences: read from cards, and what they ask of a merged model."""

import re
from pathlib import Path
from typing import Any

import pytest

from merging.checkpoint import open_checkpoint
from merging.compatibility import compatibility
from merging.licences import conflicts, licences
from tests.merging import tiny


def model(folder: Path, licence: str | None, card: str | None = None) -> Any:
    tiny.write_model(folder, tiny.weights(0))
    if licence or card:
        (folder / "README.md").write_text(card or f"---\nlicense: {licence}\ntags: [a]\n---\n# A model\n")
    return open_checkpoint(str(folder))


PAIRS = [
    pytest.param(("apache-2.0", "apache-2.0"), [], id="the same"),
    pytest.param(("apache-2.0", "mit"), [], id="both free"),
    pytest.param(("gemma", "gemma"), [], id="the same terms of a maker"),
    pytest.param(("cc-by-nc-4.0", "cc-by-nc-4.0"), [], id="the same non-commercial"),
    pytest.param((None, "gemma"), [], id="one is silent"),
    pytest.param((None, None), [], id="both are silent"),
    pytest.param(("apache-2.0", "cc-by-nc-4.0"), ["two' is under cc-by-nc-4.0: .* non-comm"], id="non-commercial"),
    pytest.param(("llama3.1", "gemma"), [r"terms of gemma \('.*two'\) and llama3.1 \('.*one'\) go with"], id="two"),
    pytest.param(("mit", "llama3.1"), [r"terms of llama3.1 \('.*two'\) go with"], id="a maker and a free one"),
    pytest.param(("mit", "my-licence"), ["terms of my-licence"], id="an unknown one"),
    pytest.param(("cc-by-nd-4.0", "cc-by-nd-4.0"), ["one' is .*does not allow", "two' is .*does not"], id="no changes"),
    pytest.param(("mit", "gpl-3.0"), [r"must be under gpl-3.0 \('.*two'\)"], id="share alike"),
    pytest.param(("cc-by-sa-4.0", "gpl-3.0"), ["cc-by-sa-4.0 .* and gpl-3.0 .* may not go together"], id="two of them"),
    pytest.param(("gpl-3.0", "gemma"), ["terms of gemma", "gpl-3.0 .* may not go together"], id="and terms"),
    pytest.param(("mrl", "gemma"), ["one' is under mrl: .* non-comm", "terms of gemma .* and mrl"], id="research only"),
]


@pytest.mark.parametrize(("given", "words"), PAIRS)
def test_conflicts(tmp_path: Path, given: tuple[str | None, str | None], words: list[str]) -> None:
    pair = [model(tmp_path / name, licence) for name, licence in zip(("one", "two"), given, strict=True)]
    found = conflicts(pair)
    assert len(found) == len(words), found
    for sentence, pattern in zip(found, words, strict=True):
        assert re.search(pattern, sentence), sentence
    assert compatibility(pair).warnings == found
    assert licences([*pair, pair[0]]) == tuple((c.name, licence) for c, licence in zip(pair, given, strict=True))


CARDS = [
    pytest.param("---\nlicense: MIT\n---\n", "mit", id="capitals"),
    pytest.param("---\nlicense: other\nlicense_name: Gemma\n---\n", "gemma", id="named beside other"),
    pytest.param("---\nlicense: other\n---\n", "other", id="other"),
    pytest.param("---\nlicense: [apache-2.0, mit]\n---\n", "apache-2.0", id="a list"),
    pytest.param("# No front matter\n", None, id="no front matter"),
    pytest.param("---\nlicense: {a\n---\n", None, id="broken front matter"),
    pytest.param("---\n- a\n---\n", None, id="front matter is a list"),
    pytest.param("---\nlicense: 3\n---\n", None, id="a number"),
]


@pytest.mark.parametrize(("card", "licence"), CARDS)
def test_cards(tmp_path: Path, card: str, licence: str | None) -> None:
    assert model(tmp_path / "one", None, card).licence == licence


def test_an_adapter_counts_with_its_model(tmp_path: Path) -> None:
    base = model(tmp_path / "base", "apache-2.0")
    lora = tiny.write_adapter(tmp_path / "lora", str(tmp_path / "base"))
    assert open_checkpoint(str(lora)).licence == "apache-2.0"
    (lora / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    found = open_checkpoint(str(lora))
    assert found.licence == "cc-by-nc-4.0" and found.licences == ("cc-by-nc-4.0", "apache-2.0")
    assert "non-commercially" in conflicts([base, found])[0] and len(conflicts([base, found])) == 1
