"""Measures and paired differences of kept measurements, counted by `eval/metrics.py`. Needs no torch."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from eval.metrics import Paired, Statistic, Undefined, measure_all, paired, statistic
from eval.paper.kept import Kept
from eval.paper.schema import Gap
from eval.probes import ProbeSet
from eval.types import MEASURES, Measure


class Counting:
    """Rows that were measured in one way, held against the base and against each other."""

    def __init__(self, probe: ProbeSet, kept: Mapping[str, Kept], base: str) -> None:
        """Read what was kept.

        Args:
            probe: What all of them answered.
            kept: Row id -> its measurement.
            base: Id of the row that relative measures are relative to; may be absent from `kept`.

        Raises:
            PaperError: The probe has changed since.
        """
        self.probe = probe
        self.kept = kept
        self._outcomes = {name: one.outcomes(probe) for name, one in kept.items()}
        self._base = self._outcomes.get(base)
        self._statistics: dict[tuple[str, str], Statistic | str] = {}
        self._measures: dict[str, dict[str, Measure]] = {}

    def __contains__(self, row: str) -> bool:
        return row in self.kept

    def measures(self, row: str) -> dict[str, Measure]:
        """All six measures of a row."""
        if row not in self._measures:
            missing = "the base has not been measured"
            self._measures[row] = measure_all(self._outcomes[row], self._base, no_reference=missing)
        return self._measures[row]

    def paired(self, row: str, other: str, measure: str, language: str | None = None) -> Paired:
        """One row minus another on the same items; without a difference, and with the reason, where it is undefined."""
        ours, theirs = self._statistic(row, measure), self._statistic(other, measure)
        for one in (ours, theirs):
            if isinstance(one, str):
                return _nothing(measure, language, one)
        if language is not None and language not in ours.languages:  # type: ignore[union-attr]
            return _nothing(measure, language, f"no items in {language}")
        return paired(measure, ours, theirs, language)  # type: ignore[arg-type]

    def gap(self, row: str, other: str, measure: str) -> Gap:
        """The difference overall and in every language of the probe."""
        by_language = {one: self.paired(row, other, measure, one) for one in self.probe.languages}
        return Gap(self.paired(row, other, measure), by_language)

    def gaps(self, row: str, other: str) -> dict[str, Gap]:
        """The differences of all measures."""
        return {measure: self.gap(row, other, measure) for measure in MEASURES}

    def _statistic(self, row: str, measure: str) -> Statistic | str:
        """The statistic, or why there is none."""
        key = row, measure
        if key not in self._statistics:
            try:
                self._statistics[key] = _remembering(statistic(measure, self._outcomes[row], self._base))
            except Undefined as why:
                self._statistics[key] = str(why)
        return self._statistics[key]


def _remembering(found: Statistic) -> Statistic:
    """The same, drawing its resamples once: a row is held against many others."""
    by_language, overall = lru_cache(found.by_language), lru_cache(found.overall)
    return replace(found, by_language=by_language, overall=overall)


def _nothing(measure: str, language: str | None, why: str) -> Paired:
    return Paired(measure, language, None, None, None, "cannot tell", 0, 0, None, None, why)
