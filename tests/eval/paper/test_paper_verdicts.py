"""Verdicts and the search for a merge that no mix dominates, against cases worked by hand."""

from dataclasses import dataclass, field, replace

import pytest

from eval.metrics import Paired, Word
from eval.paper.payers import payments
from eval.paper.published import Finding, expected, figures
from eval.paper.schema import Figures
from eval.paper.search import search, strength
from eval.paper.verdicts import Verdicts, decide
from eval.types import DIRECTION, Measure


def difference(measure: str, value: float, error: float, language: str | None = None) -> Paired:
    """A paired difference with a standard error, as a normal interval gives it."""
    low, high = value - 1.96 * error, value + 1.96 * error
    word: Word = "cannot tell"
    if low > 0 or high < 0:
        word = "better" if (value < 0) == (DIRECTION[measure] == "lower") else "worse"
    return Paired(measure, language, value, low, high, word, 100, 50, None, 2.8016 * error)


@dataclass
class MadeCounting:
    """Differences by (row, other, measure), in standard errors of 0.05 with the sign of the number itself."""

    rows: tuple[str, ...]
    given: dict[tuple[str, str, str], float] = field(default_factory=dict)
    invalid: dict[str, float] = field(default_factory=dict)
    probe = None

    def __contains__(self, row: str) -> bool:
        return row in self.rows

    def measures(self, row: str) -> dict[str, Measure]:
        share = self.invalid.get(row, 0.0)
        return {"invalid": Measure(share, share, share + 0.1, 10)}

    def paired(self, row: str, other: str, measure: str, language: str | None = None) -> Paired:
        return difference(measure, 0.05 * self.given.get((row, other, measure), 0.0), 0.05, language)


BETTER, WORSE, NEITHER = (difference("harm", v, 0.05) for v in (-0.2, 0.2, 0.01))


@pytest.mark.parametrize(
    ("found", "says"),
    [
        pytest.param([], "not measured", id="nothing"),
        pytest.param([(BETTER, "better")], "agrees", id="same side"),
        pytest.param([(WORSE, "worse")], "agrees", id="same side, worse"),
        pytest.param([(WORSE, "better")], "disagrees", id="other side"),
        pytest.param([(NEITHER, "better")], "cannot tell", id="0 within"),
        pytest.param([(BETTER, "better"), (NEITHER, "worse")], "cannot tell", id="one of two undecided"),
        pytest.param([(WORSE, "better"), (NEITHER, "worse")], "disagrees", id="one of two on the other side"),
        pytest.param([(NEITHER, "cannot tell")], "cannot tell", id="the paper has no difference"),
        pytest.param([(BETTER, "cannot tell")], "cannot tell", id="the paper has none, ours has one"),
    ],
)
def test_decisions(found: list[tuple[Paired, Word]], says: str) -> None:
    assert decide(found) == says


FINDING = Finding(
    "f", "It is so.", "SFT slerp", "SFT mix_15", {"harm_vs_base": "better", "win_rate": "better"}, "of size"
)
ROWS = {("SFT", "slerp"): "slerp", ("SFT", "mix_15"): "mix"}


def verdicts(counting: MadeCounting, same: dict[str, str] | None = None) -> Verdicts:
    known = ("slerp", "linear", "mix", "x")
    return Verdicts(counting, ROWS, same or {}, known, "a made-up family")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("harm", "win", "says"),
    [
        pytest.param(-3.0, +3.0, "agrees", id="both as the paper says"),
        pytest.param(-3.0, +1.0, "cannot tell", id="wins undecided"),
        pytest.param(-3.0, -3.0, "disagrees", id="wins the other way"),
    ],
)
def test_a_finding(harm: float, win: float, says: str) -> None:
    given = {("slerp", "mix", "harm_vs_base"): harm, ("slerp", "mix", "win_rate"): win}
    claim = verdicts(MadeCounting(("slerp", "mix"), given)).of_finding(FINDING)
    assert claim.says == says and claim.rows == ("slerp", "mix")
    assert claim.gaps["win_rate"].difference == pytest.approx(0.05 * win)
    assert "a made-up family" in claim.why and "because of size" in claim.why
    if win == 1.0:
        assert "win-rate +5.0 points [-4.8, +14.8] (cannot tell; these items tell 14.0 points or more)" in claim.words


def test_a_finding_uses_the_weights_that_were_measured_and_says_so() -> None:
    given = {("linear", "mix", "harm_vs_base"): -3.0, ("linear", "mix", "win_rate"): 3.0}
    claim = verdicts(MadeCounting(("linear", "mix"), given), {"slerp": "linear"}).of_finding(FINDING)
    assert claim.says == "agrees" and "slerp (the weights of linear) against mix" in claim.words


@pytest.mark.parametrize(
    "finding",
    [
        pytest.param(replace(FINDING, row="DPO slerp"), id="no row stands for it"),
        pytest.param(replace(FINDING, row="x"), id="its row is not measured"),
        pytest.param(replace(FINDING, against="elsewhere"), id="no such row"),
    ],
)
def test_a_finding_that_is_not_measured(finding: Finding) -> None:
    claim = verdicts(MadeCounting(("slerp", "mix"))).of_finding(finding)
    assert claim.says == "not measured" and "elsewhere" not in claim.rows


def test_a_row_of_the_paper_is_compared_by_direction_only() -> None:
    published = {("SFT", "slerp"): Figures(-58.2, 72.6), ("SFT", "mix_15"): Figures(-56.6, 67.4)}
    given = {("slerp", "mix", "harm_vs_base"): -30.0, ("slerp", "mix", "win_rate"): 2.5}
    counting = MadeCounting(("slerp", "mix"), given)
    claim = verdicts(counting).of_row(("SFT", "slerp"), "objective_merge", published)
    assert claim is not None and claim.says == "agrees", "30 standard errors agree with 1.6 points"
    assert claim.paper == "Against its mix: harm -1.6 points, win-rate +5.2 points."
    assert verdicts(counting).of_row(("SFT", "mix_15"), "mix", published) is None, "the mix against itself"
    assert verdicts(MadeCounting(())).of_row(("SFT", "slerp"), "objective_merge", published) is None


def test_the_papers_own_differences() -> None:
    table = figures()
    found = expected(table["DPO", "ties"], table["DPO", "mix_15"])
    assert found["harm_vs_base"] == (pytest.approx(-10.41), "better")
    assert found["win_rate"] == (pytest.approx(-7.4), "worse")
    assert expected(table["SFT", "mix_15"], table["SFT", "mix_15"])["win_rate"][1] == "cannot tell"


MIXES = ("m15", "m0", "m100")


def merges(**rows: tuple[tuple[float, float], ...]) -> MadeCounting:
    """Each merge: (harm, general) in standard errors against the three mixes; harm below 0 is better."""
    given = {}
    for row, pairs in rows.items():
        for mix, (harm, general) in zip(MIXES, pairs, strict=True):
            given |= {(row, mix, "harm"): harm, (row, mix, "general"): general}
    return MadeCounting((*rows, *MIXES), given)


@pytest.mark.parametrize(
    ("rows", "says", "row"),
    [
        pytest.param({"a": ((-5, 0), (-9, 0), (9, 5))}, "yes", "a", id="escapes all three by far"),
        pytest.param({"a": ((-5, 0), (-9, 0), (9, 0))}, "no gain", "a", id="the last mix may dominate it"),
        pytest.param({"a": ((-5, -5), (-9, -9), (9, 5))}, "yes", "a", id="one axis is enough"),
        pytest.param({"a": ((-2.1, 0), (-9, 0), (9, 2.1))}, "cannot tell", "a", id="lost when corrected for two axes"),
        pytest.param(
            {"a": ((-5, 0), (-9, 0), (9, 1)), "b": ((-4, 0), (-9, 0), (9, 4))}, "yes", "b", id="the best of two"
        ),
    ],
)
def test_the_search(rows: dict, says: str, row: str) -> None:
    found = search([(name, MIXES) for name in rows], merges(**rows))  # type: ignore[arg-type]
    assert (found.says, found.row, found.looked_at) == (says, row, len(rows))
    assert found.corrected == (says == "yes")
    assert set(found.gaps) == set(MIXES)


def test_the_more_is_looked_at_the_more_is_asked() -> None:
    one = ((-2.5, 0), (-9, 0), (9, 2.5))
    assert search([("a", MIXES)], merges(a=one)).says == "yes"  # type: ignore[arg-type]
    many = {"a": one} | {f"n{i}": ((0, 0),) * 3 for i in range(30)}
    assert search([(name, MIXES) for name in many], merges(**many)).says == "cannot tell"  # type: ignore[arg-type]


def test_what_beats_the_mix_on_both_axes_is_named() -> None:
    counting = merges(a=((-5, 5), (-9, 0), (9, 5)), b=((-5, 0), (-9, 0), (9, 5)))
    words = search([("a", MIXES), ("b", MIXES)], counting).words  # type: ignore[arg-type]
    assert "1 of them beat the 15 % mix on both axes" in words and words.endswith(": a.")


def test_broken_and_unmeasured_merges_do_not_count() -> None:
    counting = merges(a=((-5, 0), (-9, 0), (9, 5)))
    counting.invalid["a"] = 0.3
    assert search([("a", MIXES), ("b", MIXES)], counting).says == "not measured"  # type: ignore[arg-type]


@pytest.mark.parametrize(("measure", "value", "sign"), [("harm", -1.0, 1), ("harm", 1.0, -1), ("general", 1.0, 1)])
def test_strength_counts_standard_errors_towards_better(measure: str, value: float, sign: int) -> None:
    assert strength(difference(measure, value, 0.25)) == pytest.approx(4.0 * sign, rel=1e-3)


def test_who_pays() -> None:
    counting = MadeCounting(("merge", "mix"), {("merge", "mix", "general"): -3.0})
    counting.probe = type("Probe", (), {"languages": ("en", "fr")})()  # type: ignore[assignment]
    found = payments([("merge", "mix"), ("other", "mix"), ("twin", "mix")], counting, {"twin": "merge"})  # type: ignore[arg-type]
    assert [(one.row, one.language, one.pays) for one in found] == [
        ("merge", "en", True), ("merge", "fr", True), ("twin", "en", True), ("twin", "fr", True),
    ]  # fmt: skip
    counting.given = {("merge", "mix", "harm"): -3.0}
    assert not any(one.pays for one in payments([("merge", "mix")], counting, {}))  # type: ignore[arg-type]
