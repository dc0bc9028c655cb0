"""What the Paper view of Study does: the stored comparison in, chart, claims, tables and who pays out."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from eval.errors import EvalError
from merging import Recipe
from merging.errors import MergeError
from ui.components.paper import limits, paying
from ui.paper import nothing, payers, view
from ui.session import Session, loaded
from ui.status import Service

Updates = dict[Any, Any]


@dataclass(frozen=True)
class PaperScreen:
    """The widgets that the view updates; `session` is the one all tabs share, `tabs` are the page's."""

    session: gr.State
    tabs: gr.Tabs | None
    paper: Any
    pays: gr.HTML

    @property
    def shown(self) -> list[Any]:
        """What changes when the tab is opened."""
        return [self.paper, self.pays]

    @property
    def loading(self) -> list[Any]:
        """What changes when a recipe is loaded."""
        return [self.session, *([self.tabs] if self.tabs else [])]


class AgainstPaper:
    """The handlers of the view. They keep nothing."""

    def __init__(self, service: Service, screen: PaperScreen) -> None:
        self._service = service
        self._screen = screen

    def arrive(self) -> Updates:
        """The tab was opened: the comparison as it is stored now."""
        s = self._screen
        try:
            found = self._service.paper()
        except EvalError as problem:
            return {s.paper: nothing(str(problem)), s.pays: ""}
        return {s.paper: view(found, self._service.methods()), s.pays: paying(payers(found)) + limits(found.limits)}

    def pick(self, session: Session, event: gr.EventData) -> Updates:
        """A point, a name or a claim: its recipe is loaded in Explore. The id comes from the browser: look it up."""
        s = self._screen
        try:
            row = self._service.paper().rows.get(str(getattr(event, "row", "")))
            if row is None:
                return {s.session: gr.skip()}
            # the line break keeps a lone name from being read as a file of this machine
            session = loaded(session, Recipe.from_yaml(row.recipe + "\n"))
        except (EvalError, MergeError):
            return {s.session: gr.skip()}
        return {s.session: session} | ({s.tabs: gr.Tabs(selected="Explore")} if s.tabs else {})
