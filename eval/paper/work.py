"""Screen, choose, measure, tabulate: the whole comparison, going on from whatever is there. Needs no torch itself."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from eval import probes
from eval.errors import EvalError
from eval.paper import exchange, report
from eval.paper.entries import BASE, Entry, entries
from eval.paper.kept import Kept
from eval.paper.models import Models
from eval.paper.plan import Plan
from eval.paper.record import Group, Record
from eval.paper.screening import Choice, Screened, choose
from eval.paper.tables import Found, build
from eval.paper.words import duration
from eval.types import Measurement
from merging import Recipe
from merging.errors import MergeError

Tell = Callable[[str], None]
PLAN, TABLES, TEXT = "plan.yaml", "tables.json", "tables.md"


class Workbench(Protocol):
    """What the comparison needs of a machine with models; tests hand in a fake one."""

    def group(self, recipe: Recipe) -> Group:
        """How measurements are taken here; told by a recipe that can be merged."""
        ...

    def scored_by(self, recipe: Recipe) -> str:
        """How screening is done here."""
        ...

    def screen(self, recipe: Recipe) -> Screened:
        """The instant scores of a recipe on the validation split, and the hash of its merged weights."""
        ...

    def full(self, recipe: Recipe, tell: Tell) -> Measurement:
        """The full measurement of a recipe, out of the store where it is there."""
        ...


@dataclass
class Comparison:
    """One run over a plan.

    Attributes:
        plan: What to compare.
        out: Where everything is kept.
        only: Tables to work on; empty for all. The mixes that they are held against are measured too.
        bench: Screens and measures; None to make the tables of what is there.
        tell: Told what happens, one line each.
        deadline: No new recipe is begun after it, by `time.monotonic`.
    """

    plan: Plan
    out: Path
    only: Collection[str] = ()
    bench: Workbench | None = None
    tell: Tell = print
    deadline: float = float("inf")
    entries: tuple[Entry, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read what is there and look for the models.

        Raises:
            PaperError: What is there is damaged.
            ProbeError: There is no such probe.
        """
        self.entries = entries(self.plan)
        self.probe = probes.load(self.plan.probe)
        self.models = Models(self.plan)
        self.record = Record(self.out)
        self.missing = {entry.id: why for entry in self.entries if (why := self.models.missing(entry))}
        self._group: Group | None = None
        self._scored_by: str | None = None

    @property
    def wanted(self) -> tuple[Entry, ...]:
        """Entries of the tables that are worked on, with the base and the mixes they are held against."""
        own = [entry for entry in self.entries if not self.only or set(entry.tables) & set(self.only)]
        needed = {BASE, *(entry.id for entry in own), *(mix for entry in own for mix in entry.against)}
        return tuple(entry for entry in self.entries if entry.id in needed)

    def state(self) -> Found:
        """All that is known now."""
        screened = self.record.screened(self.entries, self.models.contents, self._scored_by)
        kept = self.record.kept(self.entries, self.models.contents, self._group)
        absent = {*self.missing, *self.failed}
        choice = choose(self.plan, self.entries, screened, absent)
        return Found(self.plan, self.entries, screened, kept, choice, {**self.missing, **self.failed})

    def to_screen(self, found: Found) -> list[Entry]:
        """What is still to be screened; variants are measured at settings fixed beforehand, so never."""
        done = {*found.screened, *found.missing}
        return [entry for entry in self.wanted if entry.id not in done and "@" not in entry.id]

    def to_measure(self, found: Found) -> list[Entry]:
        """What is still to be measured, the most telling first."""
        known = {entry.id: entry for entry in self.wanted}
        done = {*found.kept, *found.missing}
        wanted = {found.choice.same.get(name, name) for name in known}
        every = {entry.id: entry for entry in self.entries}
        return [every[name] for name in found.choice.chosen if name in wanted and name not in done]

    def run(self) -> Found:
        """Do all that is left, then write the tables.

        Raises:
            EvalError: Nothing at all can be measured.
        """
        if self.bench is not None:
            base = next(entry for entry in self.entries if entry.id == BASE)
            self._group = self.bench.group(self.models.here(base.recipe))
            self._scored_by = self.bench.scored_by(self.models.here(base.recipe))
            self._each("screened", self.to_screen, partial(self._screen, self.bench))
            self._each("measured", self.to_measure, partial(self._measure, self.bench))
        found = self.state()
        self.record.tidy(found.screened, found.kept)
        self.write(found)
        return found

    def write(self, found: Found) -> None:
        """Write the tables for the page and for people."""
        tables = build(found, self.probe)
        exchange.write(self.out / TABLES, tables)
        report.write(self.out / TEXT, tables)

    def _each(self, done: str, left: Callable[[Found], list[Entry]], work: Callable[[Entry], None]) -> None:
        """Work through a list that what is done may change, telling the time it will take."""
        spent: list[float] = []
        while todo := left(self.state()):
            if time.monotonic() > self.deadline:
                self.tell(f"{len(todo)} recipes are not {done} yet: the time is up; the same command goes on.")
                return
            entry, start = todo[0], time.monotonic()
            try:
                work(entry)
            except (EvalError, MergeError) as error:
                self.failed[entry.id] = str(error)
                self.tell(f"{entry.id} was passed over: {error}")
                continue
            spent.append(time.monotonic() - start)
            ahead = duration(sum(spent) / len(spent) * (len(todo) - 1))
            self.tell(f"{done} {entry.id} in {spent[-1]:.0f} s; {len(todo) - 1} left, {ahead}")

    def _screen(self, bench: Workbench, entry: Entry) -> None:
        one = bench.screen(self.models.here(entry.recipe))
        contents = self.models.contents(entry) or one.checkpoints
        self.record.add_screened(replace(one, recipe_digest=entry.recipe.digest(), checkpoints=contents))

    def _measure(self, bench: Workbench, entry: Entry) -> None:
        measured = bench.full(self.models.here(entry.recipe), lambda text: self.tell(f"  {entry.id}: {text}"))
        kept = Kept.of(measured, self.probe)
        contents = dict(zip(entry.recipe.models_used(), measured.identity.checkpoints.values(), strict=True))
        identity = replace(kept.identity, recipe_digest=entry.recipe.digest(), checkpoints=contents)
        self.record.add_kept(replace(kept, identity=identity, recipe=entry.recipe.to_yaml()))


def outlook(comparison: Comparison) -> list[str]:
    """What a run would do and about how long it would take, one line each; nothing is done."""
    found = comparison.state()
    screen, measure = comparison.to_screen(found), comparison.to_measure(found)
    keep = _still_to_choose(comparison, found.choice, screen)
    seconds = comparison.plan.seconds
    lines = [f"{why} ({entry_id})" for entry_id, why in found.missing.items() if entry_id in _ids(comparison.wanted)]
    lines += [f"screen   {entry.id}" for entry in screen]
    lines += [f"measure  {entry.id}" for entry in measure]
    total = len(screen) * seconds.screen + (len(measure) + keep) * seconds.measure
    lines.append(
        f"{len(screen)} to screen, {len(measure)} to measure"
        + (f" and about {keep} more once all are screened" if keep else "")
        + f"; {len(found.kept)} are measured; {duration(total)} at {seconds.screen:g} and {seconds.measure:g} s each."
    )
    return lines


def _still_to_choose(comparison: Comparison, choice: Choice, screen: Sequence[Entry]) -> int:
    """How many settings will be chosen among those that are not screened yet."""
    plan, total = comparison.plan, 0
    for group in {entry.group for entry in screen} - {""}:
        members = [entry for entry in comparison.entries if entry.group == group and entry.id not in comparison.missing]
        section = plan.languages if members[0].kind == "language_merge" else plan.objective
        sure = sum(entry.always for entry in members)
        total += max(0, min(section.keep if section else 0, len(members)) - sure)
    return total


def _ids(rows: Sequence[Entry]) -> set[str]:
    return {entry.id for entry in rows}
