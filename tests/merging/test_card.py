"""The card says where a model comes from, what its parents' licences imply, and how to make it again."""

from pathlib import Path

import pytest
import yaml

from merging import Recipe, merge_to_folder
from merging.card import licence_sentence
from merging.parents import Parent, languages, repository
from tests.merging import tiny

CONTENT = "0" * 64


def parent(name: str, *licences: str) -> Parent:
    return Parent(name, "model", (), licences, (), CONTENT)


SENTENCES = [
    pytest.param([("a", "mit"), ("b", "mit")], "All parents state the licence `mit`", id="one"),
    pytest.param([("a", "mit"), ("b", "gemma")], "different licences (`mit`, `gemma`)", id="different"),
    pytest.param([("a", "mit"), ("b",)], "The cards state `mit`, and no licence for `b`", id="one is silent"),
    pytest.param([("a",), ("b",)], "No licence is stated for `a`, `b`", id="all are silent"),
]


@pytest.mark.parametrize(("parents", "words"), SENTENCES)
def test_licences_in_one_sentence(parents: list[tuple[str, ...]], words: str) -> None:
    said = licence_sentence([parent(*one) for one in parents])
    assert words in said and said.endswith(".") and said.count(". ") == 0


def hub_model(cache: Path, repo: str, seed: int, card: str) -> str:
    """A model in a folder as the hub's cache has it."""
    folder = cache / f"models--{repo.replace('/', '--')}" / "snapshots" / f"{seed:040x}"
    tiny.write_model(folder, tiny.weights(seed))
    (folder / "README.md").write_text(f"---\n{card}\n---\n# Prose\n")
    return str(folder)


def made(tmp_path: Path, first: str, second: str) -> tuple[dict, str]:
    """Front matter and text of the card of a merge of two models with these cards."""
    models = [hub_model(tmp_path, "org/one", 1, first), hub_model(tmp_path, "org/two", 2, second)]
    recipe = Recipe.build("linear", models=models, parameters={"weight": 0.5})
    text = (merge_to_folder(recipe, tmp_path / "out") / "README.md").read_text(encoding="utf-8")
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def test_front_matter(tmp_path: Path) -> None:
    front, body = made(tmp_path, "license: apache-2.0\nlanguage: [en, hi]", "license: apache-2.0\nlanguage: fr")
    assert front == {
        "language": ["en", "hi", "fr"],
        "license": "apache-2.0",
        "library_name": "transformers",
        "tags": ["merge", "merge-frontier", "linear"],
        "base_model": ["org/one", "org/two"],
        "base_model_relation": "merge",
    }
    assert f"`org/one@{1:040x}`" in body and "python -m merging mergekit_config.yml OUT" in body
    assert body.count("| apache-2.0 |") == 2


def test_a_licence_of_its_own_name(tmp_path: Path) -> None:
    own = "license: other\nlicense_name: our-terms"
    front, _ = made(tmp_path, own, own)
    assert (front["license"], front["license_name"]) == ("other", "our-terms")


@pytest.mark.parametrize("second", ["license: mit", "tags: [x]", "license: ["])
def test_no_licence_is_claimed_where_the_parents_do_not_agree(tmp_path: Path, second: str) -> None:
    front, body = made(tmp_path, "license: gemma", second)
    assert "license" not in front and "before you share it" in body


def test_the_content_hash_is_the_checkpoints(family: dict[str, str], tmp_path: Path) -> None:
    from merging.checkpoint import open_checkpoint

    out = merge_to_folder(Recipe.single(family["a"]), tmp_path / "out")
    text = (out / "README.md").read_text(encoding="utf-8")
    assert open_checkpoint(family["a"]).content_hash() in text and "base_model" not in text.split("---")[1]


def test_a_table_cell_stays_one(tmp_path: Path) -> None:
    name = str(tiny.write_model(tmp_path / "a|b`c", tiny.weights(0)))
    text = (merge_to_folder(Recipe.single(name), tmp_path / "out") / "README.md").read_text(encoding="utf-8")
    (row,) = [line for line in text.splitlines() if "| model |" in line]
    assert row.count("|") == 6 and row.count("`") == 4


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("hub/models--org--repo/snapshots/abc", "org/repo@abc"),
        ("hub/models--gpt2/snapshots/abc", "gpt2@abc"),
        ("hub/datasets--org--repo/snapshots/abc", None),
        ("models/mine", None),
    ],
)
def test_repository(path: str, found: str | None) -> None:
    assert repository(Path(path)) == found


@pytest.mark.parametrize(
    ("card", "found"),
    [("language: en", ("en",)), ("language: [en, 3, fr]", ("en", "fr")), ("tags: []", ()), ("language: [", ())],
)
def test_languages(card: str, found: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"---\n{card}\n---\n")
    assert languages(tmp_path) == found and languages(tmp_path / "none") == ()
