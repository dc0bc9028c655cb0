"""The contract with gradio_client: the endpoints, their shapes, and sentences instead of tracebacks."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from merging import Recipe
from merging.registry import methods
from tests.ui.fakes_chat import ChattyService
from ui.api import finite
from ui.page import build, launch

SLERP = Recipe.build(
    "slerp", models=["zoo:general", "zoo:safety"], base_model="zoo:general", parameters={"t": 0.5}
).to_yaml()
NAMES = {"/merge_and_probe", "/frontier", "/chat_pair", "/methods", "/check", "/geometry"}


@pytest.fixture(scope="module")
def service() -> ChattyService:
    return ChattyService(word=0.01)


@pytest.fixture(scope="module")
def client(service: ChattyService) -> Iterator[Client]:
    page = build(service)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    _, url, _ = launch(page, server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True)
    yield Client(url, verbose=False)
    page.close()


def plain(value: Any) -> str:
    """As strict JSON: a NaN is a failure."""
    return json.dumps(value, allow_nan=False)


def test_exactly_these_endpoints_and_they_are_described(client: Client) -> None:
    api: Any = client.view_api(return_format="dict", print_info=False)
    assert set(api["named_endpoints"]) == NAMES
    assert not api["unnamed_endpoints"]
    for endpoint in api["named_endpoints"].values():
        assert len(endpoint["description"]) > 40
    parameters = [row["parameter_name"] for row in api["named_endpoints"]["/chat_pair"]["parameters"]]
    assert parameters == ["recipe_yaml", "other", "message", "max_new_tokens", "seed"]


def test_merge_and_probe(client: Client) -> None:
    found = client.predict(SLERP, api_name="/merge_and_probe")
    assert set(found) == {"recipe", "tier", "seconds", "measures"}
    harm = found["measures"]["harm"]
    assert {"value", "low", "high", "n", "by_language"} <= set(harm)
    assert set(harm["by_language"]) == {"en", "hi", "fr", "es", "ar", "ru"}
    assert Recipe.from_yaml(found["recipe"]).digest() == Recipe.from_yaml(SLERP).digest()
    plain(found)


def test_frontier(client: Client) -> None:
    found = client.predict(api_name="/frontier")
    ids = [point["id"] for point in found["points"]]
    assert len(ids) == len(set(ids)) > 10
    assert found["frontier"] and set(found["frontier"]) <= set(ids)
    names = {"id", "recipe", "label", "method", "origin", "landmark", "standing", "measures"}
    assert all(set(point) == names for point in found["points"])
    assert {point["landmark"] for point in found["points"]} >= {None, "base", "mix 15 %"}
    point = found["points"][0]
    assert Recipe.from_yaml(point["recipe"]).digest() == point["id"]
    plain(found)


def test_chat_pair_streams_and_ends_with_verdicts(client: Client, service: ChattyService) -> None:
    job = client.submit(SLERP, "zoo:mix-15", "Why do leaves fall?", 20, 7, api_name="/chat_pair")
    said = list(job)
    assert len(said) > 1
    assert said[-1] == job.outputs()[-1]
    assert set(said[0]) == {"left", "right"}
    assert said[-1]["left"].startswith("slerp t=0.50 says") and said[-1]["right"].startswith("zoo:mix-15 says")
    assert (said[-1]["left_verdict"], said[-1]["right_verdict"]) == ("answered", "answered")
    assert (service.asked[-1]["max_new_tokens"], service.asked[-1]["seed"]) == (20, 7)


def test_chat_pair_defaults_and_a_recipe_as_the_other(client: Client, service: ChattyService) -> None:
    list(client.submit(SLERP, SLERP.replace("0.5", "0.25"), "Hi", api_name="/chat_pair"))
    assert service.asked[-1]["labels"] == ("slerp t=0.50", "slerp t=0.25")
    assert (service.asked[-1]["max_new_tokens"], service.asked[-1]["seed"]) == (64, 0)


def test_check(client: Client, service: ChattyService) -> None:
    found = client.predict(SLERP, api_name="/check")
    assert found["mergeable"] is True and "GiB" in found["memory"]
    assert {"topic", "verdict", "text"} == set(found["findings"][0])
    service.other_vocabulary = frozenset({"zoo:safety"})
    found = client.predict(SLERP, api_name="/check")
    service.other_vocabulary = frozenset()
    assert found["mergeable"] is False and any("tokenizer_source" in one["text"] for one in found["findings"])


def test_geometry(client: Client) -> None:
    found = client.predict("zoo:base", ["zoo:general", "zoo:safety"], api_name="/geometry")
    assert found["pairs"] == [[0, 1]] and len(found["cosines"][0]) == len(found["groups"])
    assert found["cosines"][0][0] is None, "undefined is null"
    assert "nearly orthogonal" in found["meaning"][0] and plain(found)


def test_methods(client: Client) -> None:
    found = client.predict(api_name="/methods")
    assert [row["name"] for row in found] == [method.name for method in methods()]
    for row in found:
        assert set(row) == {"name", "title", "paper", "summary", "formula", "inputs", "random", "knobs"}
        for knob in row["knobs"].values():
            assert set(knob) == {"lo", "hi", "default", "step", "per_model", "help"}
    plain(found)


@pytest.mark.parametrize(
    ("endpoint", "given", "sentence"),
    [
        pytest.param("/merge_and_probe", ["merge_method: slurp"], "slurp", id="unknown method"),
        pytest.param("/merge_and_probe", ["[not, a: recipe"], "YAML", id="unreadable YAML"),
        pytest.param("/merge_and_probe", [""], "recipe_yaml is empty", id="empty recipe"),
        pytest.param("/merge_and_probe", ["pyproject.yaml"], "top level", id="a path is not a recipe"),
        pytest.param("/merge_and_probe", [SLERP.replace("zoo:safety", "org/x")], "cannot be found", id="unknown model"),
        pytest.param(
            "/merge_and_probe",
            [SLERP, "quickest"],
            "No probe 'quickest'. Known: full, full-validation, quick",
            id="unknown probe",
        ),
        pytest.param("/frontier", ["../probes/quick.jsonl"], "No probe", id="a path is not a probe"),
        pytest.param("/chat_pair", [SLERP, "zoo:base", " "], "message is empty", id="empty message"),
        pytest.param("/chat_pair", [SLERP, "zoo:base", "x" * 4001], "at most 4000", id="long message"),
        pytest.param("/chat_pair", [SLERP, "zoo:base", "x", 0], "from 1 to 512", id="no tokens"),
        pytest.param("/chat_pair", [SLERP, "zoo:base", "x", 513], "from 1 to 512", id="too many tokens"),
        pytest.param("/chat_pair", [SLERP, "zoo:base", "x", "many"], "give a whole number", id="tokens in words"),
        pytest.param("/chat_pair", [SLERP, "zoo:base", "x", 8, -1], "seed is -1", id="negative seed"),
        pytest.param("/chat_pair", [SLERP, "", "x"], "other is empty", id="no other"),
        pytest.param("/chat_pair", [SLERP, "org/none", "x"], "cannot be found", id="unknown other"),
        pytest.param("/check", [SLERP.replace("t: 0.5", "u: 0.5")], "line 7", id="the line of the fault"),
        pytest.param("/geometry", ["", ["zoo:general"]], "base is empty", id="no ancestor"),
        pytest.param("/geometry", ["zoo:base", []], "give 1 to 8", id="no models"),
        pytest.param("/geometry", ["zoo:base", "zoo:general"], "no list of names", id="one name, no list"),
    ],
)
def test_bad_input_is_one_sentence(client: Client, endpoint: str, given: list[Any], sentence: str) -> None:
    with pytest.raises(AppError) as caught:
        client.submit(*given, api_name=endpoint).result(timeout=20)
    assert sentence in str(caught.value)
    assert "Traceback" not in str(caught.value) and len(str(caught.value)) < 500


def test_private_events_cannot_be_called(client: Client) -> None:
    with pytest.raises(ValueError, match="send"):
        client.predict(api_name="/send")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        pytest.param({"a": float("nan")}, {"a": None}, id="nan"),
        pytest.param([1.5, float("inf"), (float("-inf"),)], [1.5, None, [None]], id="infinities"),
        pytest.param({"a": [{"b": True, "c": "nan"}]}, {"a": [{"b": True, "c": "nan"}]}, id="untouched"),
    ],
)
def test_finite(value: Any, kept: Any) -> None:
    assert finite(value) == kept
