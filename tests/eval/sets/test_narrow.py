"""Parts and samples of sets, how precise they are, and the text that asks for them."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval import probes
from eval.errors import ProbeError
from eval.sets.narrow import sampled
from eval.sets.precision import expected, half_width, independent
from eval.sets.request import Request
from eval.types import Item


def made(language: str, cluster: str, kind: str = "harmful", number: int = 0) -> Item:
    return Item(f"{kind}{cluster}{language}{number}", cluster, kind, language, "?")  # type: ignore[arg-type]


PARALLEL = [made(code, f"c{i}") for i in range(40) for code in ("en", "fr", "ru")]
LOCAL = [made(code, f"{code}{i}") for i in range(40) for code in ("en", "fr")]

LETTERS = "aZé,;&?=+% |/é9"


@settings(deadline=None)
@given(
    st.builds(
        Request,
        name=st.text("aZ:@./9", min_size=1, max_size=8),
        languages=st.lists(st.sampled_from(["en", "fr", "ru"]), unique=True).map(tuple),
        categories=st.lists(st.text(LETTERS, min_size=1, max_size=9), max_size=2).map(tuple),
        sample=st.none() | st.integers(1, 99),
    )
)
def test_a_request_is_read_as_it_was_written(request: Request) -> None:
    assert Request.parse(str(request)) == request


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("quick?langauges=en", "unknown 'langauges'. Did you mean 'languages'?", id="key"),
        pytest.param("quick?sample=0", "sample must be 1 or more, not 0", id="no item"),
        pytest.param("quick?sample=many", "sample must be a whole number, not 'many'", id="no number"),
        pytest.param("quick?languages=en,de", "quick has no language 'de'; it has en, hi", id="language"),
        pytest.param("quick?category=x", "quick has no category 'x'.", id="category"),
        pytest.param("qiuck?sample=5", "No probe 'qiuck'", id="set"),
    ],
)
def test_bad_requests_are_refused(text: str, said: str) -> None:
    with pytest.raises(ProbeError) as refused:
        probes.load(text)
    assert said in str(refused.value)


def test_part_of_a_shipped_set() -> None:
    part = probes.load("quick?languages=fr,en&sample=3&seed=1")
    assert part.languages == ("fr", "en") and part.id == "quick?languages=fr,en&sample=3&seed=1"
    assert set(Counter((item.kind, item.language) for item in part.items).values()) == {3}
    assert probes.load(part.id).hash == part.hash != probes.load("quick?languages=fr,en&sample=3&seed=2").hash


SETS = {"parallel": PARALLEL, "local": LOCAL, "mixed": PARALLEL + LOCAL}


@pytest.mark.parametrize("name", SETS)
@settings(max_examples=20, deadline=None)
@given(size=st.integers(1, 50), seed=st.integers(0, 5))
def test_a_sample_is_even_whole_and_in_order(name: str, size: int, seed: int) -> None:
    items = SETS[name]
    got = sampled(items, size, seed)
    asked, have = (Counter((item.kind, item.language) for item in some) for some in (items, got))
    assert all(count <= size for count in have.values())
    if name != "mixed":
        assert all(have[key] == min(size, asked[key]) for key in asked)
    clusters = {item.cluster for item in got}
    assert [item for item in items if item.cluster in clusters] == got, "clusters stay whole, the order is the set's"


def test_a_sample_follows_from_its_seed_and_is_part_of_a_larger_one() -> None:
    ten, twenty = (sampled(PARALLEL, size, 7) for size in (10, 20))
    assert sampled(PARALLEL[::-1], 10, 7)[::-1] == ten and set(ten) < set(twenty)
    assert sampled(PARALLEL, 10, 8) != ten
    english = [item for item in PARALLEL if item.language == "en"]
    assert sampled(english, 10, 7) == [item for item in ten if item.language == "en"]


def test_a_cluster_that_would_be_split_is_passed_over() -> None:
    items = [made("en", "big", number=i) for i in range(3)] + [made("en", f"c{i}") for i in range(2)]
    for seed in range(5):
        assert {item.cluster for item in sampled(items, 2, seed)} == {"c0", "c1"}


@pytest.mark.parametrize(
    ("items", "n"),
    [
        pytest.param(PARALLEL, 40, id="translations count once"),
        pytest.param(LOCAL, 80, id="independent items all count"),
        pytest.param([made("en", "a"), made("fr", "b"), made("fr", "c")], 2, id="uneven: 1 / (1/4 + 2/16) = 2.67"),
        pytest.param([made("en", "a", number=i) for i in range(9)], 1, id="one cluster"),
    ],
)
def test_independent_outcomes(items: list[Item], n: int) -> None:
    assert independent(items) == n


def test_counts_alone_give_the_same() -> None:
    assert expected([40, 40, 40], parallel=True) == independent(PARALLEL)
    assert expected([40, 40], parallel=False) == independent(LOCAL)


@pytest.mark.parametrize("n", [16, 100, 400, 900])
def test_half_width_is_near_the_textbook(n: int) -> None:
    assert half_width(n) == pytest.approx(1.96 * math.sqrt(0.25 / (n + 1.96**2)), rel=1e-3)
