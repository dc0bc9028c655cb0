"""What the environment may say, and which checkpoints a visitor may name."""

from pathlib import Path

import pytest

from merging.errors import RecipeError
from ui.settings import FAMILY, Settings


def test_defaults_serve_the_family(tmp_path: Path) -> None:
    settings = Settings.from_environment(tmp_path, {})
    assert settings.models == FAMILY
    assert settings.device == "cpu"
    assert settings.threads is None
    assert settings.store.parent == tmp_path


@pytest.mark.parametrize("threads", ["0", "-1", "two", "1.5"])
def test_threads_must_count(tmp_path: Path, threads: str) -> None:
    with pytest.raises(RecipeError, match="MERGE_FRONTIER_THREADS"):
        Settings.from_environment(tmp_path, {"MERGE_FRONTIER_THREADS": threads})


@pytest.mark.parametrize(
    ("said", "dtype"), [(None, "auto"), ("", "auto"), ("float32", "float32"), ("recipe", "recipe")]
)
def test_dtype(tmp_path: Path, said: str | None, dtype: str) -> None:
    environ = {} if said is None else {"MERGE_FRONTIER_DTYPE": said}
    assert Settings.from_environment(tmp_path, environ).dtype == dtype


def test_an_unknown_dtype_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="MERGE_FRONTIER_DTYPE is 'int8': give one of auto, recipe, float32"):
        Settings.from_environment(tmp_path, {"MERGE_FRONTIER_DTYPE": "int8"})


@pytest.mark.parametrize(
    ("environ", "hub"),
    [
        pytest.param({}, True, id="at home"),
        pytest.param({"SPACE_ID": "a/b"}, False, id="on a Space"),
        pytest.param({"SPACE_ID": "a/b", "MERGE_FRONTIER_HUB": "1"}, True, id="on a Space that allows it"),
        pytest.param({"MERGE_FRONTIER_HUB": "0"}, False, id="switched off"),
    ],
)
def test_hub(tmp_path: Path, environ: dict, hub: bool) -> None:
    assert Settings.from_environment(tmp_path, environ).hub is hub


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        pytest.param("zoo:general", True, id="family"),
        pytest.param("org/model", True, id="hub"),
        pytest.param("org/model@main", True, id="hub revision"),
        pytest.param("{inside}/m", True, id="inside the folder"),
        pytest.param("zoo:base+{inside}/a", True, id="adapter inside"),
        pytest.param("{inside}/../secret", False, id="climbs out"),
        pytest.param("/etc", False, id="absolute"),
        pytest.param("../shared", False, id="relative climb"),
        pytest.param("~/.ssh", False, id="home"),
        pytest.param("zoo:base+/etc", False, id="adapter outside"),
        pytest.param("a/b/c", False, id="neither hub nor folder"),
    ],
)
def test_what_may_be_read(tmp_path: Path, name: str, allowed: bool) -> None:
    (tmp_path / "models" / "m").mkdir(parents=True)
    settings = Settings(store=tmp_path / "s", folders=(tmp_path / "models",))
    name = name.format(inside=tmp_path / "models")
    if allowed:
        settings.refuse_foreign(name)
    else:
        with pytest.raises(RecipeError, match="outside the folders"):
            settings.refuse_foreign(name)


def test_no_hub_names_the_choices(tmp_path: Path) -> None:
    settings = Settings(store=tmp_path / "s", hub=False)
    with pytest.raises(RecipeError, match="zoo:mix-15"):
        settings.refuse_foreign("org/model")


JINJA = "{{ messages[0]['content'] }}"


@pytest.mark.parametrize(
    ("template", "hub", "fine"),
    [
        pytest.param(None, False, True, id="the donor's"),
        pytest.param("auto", False, True, id="the models'"),
        pytest.param("chatml", False, True, id="built in"),
        pytest.param(JINJA, True, True, id="own, at home"),
        pytest.param(JINJA, False, False, id="own, on a Space"),
    ],
)
def test_templates_of_visitors(template: str | None, hub: bool, fine: bool, tmp_path: Path) -> None:
    settings = Settings(store=tmp_path / "s", hub=hub)
    if fine:
        settings.refuse_foreign_template(template)
        return
    with pytest.raises(RecipeError, match=r"not run here\. Choose one of auto, alpaca, chatml"):
        settings.refuse_foreign_template(template)
