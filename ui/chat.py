"""What Chat does: a prompt and a visitor's choices in, two answers out as they grow. No widget is made here."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from threading import Event
from typing import Any

import gradio as gr

from eval.errors import Cancelled, EvalError
from merging import Recipe
from merging.errors import MergeError, RecipeError
from ui import others
from ui.components.chat import head, headless, says
from ui.conversation import Answer, Chip, Conversation, Turn, announced
from ui.following import follow
from ui.handle import dressed, moved
from ui.runs import Runs
from ui.session import Session
from ui.status import Service, Status

Updates = dict[Any, Any]
FAILURES = (MergeError, EvalError)
YOURS = "Your merge"
LONGEST = 4000
"""Characters of one prompt."""
MOST_TOKENS = 512
HOTTEST = 2.0


@dataclass(frozen=True)
class Decoding:
    """How both models choose their words: the same for both, so that only the weights differ."""

    temperature: float = 0.0
    tokens: int = 96
    seed: int = 0

    @classmethod
    def checked(cls, temperature: Any, tokens: Any, seed: Any) -> "Decoding":
        """From widgets: an emptied box means the default, anything else is kept in bounds."""
        start = cls()
        return cls(
            temperature=min(HOTTEST, max(0.0, float(temperature or 0.0))),
            tokens=min(MOST_TOKENS, max(1, int(tokens or start.tokens))),
            seed=max(0, int(seed or 0)),
        )


@dataclass(frozen=True)
class Asked:
    """A request; one that is asked alone forgets what was said before."""

    text: str
    alone: bool = False


@dataclass(frozen=True)
class Screen:
    """The widgets and states that Chat updates; `session` is the one Explore shares."""

    session: gr.State
    talk: gr.State
    panes: Any
    mine: gr.HTML
    dial: gr.Slider
    other: gr.Dropdown
    theirs: gr.HTML
    prompt: gr.Textbox
    send: gr.Button
    stop: gr.Button
    retry: gr.Button
    clear: gr.Button
    says: gr.HTML
    timer: gr.Timer

    @property
    def everything(self) -> list[Any]:
        """All of it, flat."""
        return [getattr(self, field.name) for field in fields(self)]

    @property
    def answering(self) -> list[Any]:
        """What changes while the models answer."""
        return [self.talk, self.panes, self.prompt, self.send, self.stop, self.retry, self.clear, self.says]


class Chat:
    """The handlers of the tab. They keep nothing but the stop flags: recipe and history travel with the request."""

    def __init__(self, service: Service, screen: Screen) -> None:
        self._service = service
        self._screen = screen
        self._runs = Runs()

    # Asking

    def send(
        self,
        session: Session,
        talk: Conversation,
        prompt: str,
        other: str,
        temperature: Any,
        tokens: Any,
        seed: Any,
        event: gr.EventData,
        request: gr.Request,
    ) -> Iterator[Updates]:
        """Ask both models: what was typed, or the example that was pressed."""
        example = _pressed(event)
        asked = Asked((example or prompt or "").strip(), alone=bool(example))
        if asked.text:
            decoding = Decoding.checked(temperature, tokens, seed)
            yield from self._ask(session, talk, asked, other, decoding, str(request.session_hash))
        else:
            yield {self._screen.says: says("Write a prompt first, or press an example.")}

    def retry(
        self,
        session: Session,
        talk: Conversation,
        other: str,
        temperature: Any,
        tokens: Any,
        seed: Any,
        request: gr.Request,
    ) -> Iterator[Updates]:
        """Ask the newest prompt again, with the recipes as they stand now; both of its answers are replaced."""
        if talk.last is None:
            yield {self._screen.says: says("There is nothing to retry yet.")}
            return
        asked = Asked(talk.last.prompt, alone=talk.last.alone)
        decoding = Decoding.checked(temperature, tokens, seed)
        yield from self._ask(session, talk.without_last(), asked, other, decoding, str(request.session_hash))

    def recover(self, talk: Conversation) -> Updates:
        """Something broke that no visitor can mend: back to what was said before, and the buttons work again."""
        sorry = says(
            "That failed in a way this page does not know. What you asked is not kept; try again.", problem=True
        )
        return {**self._idle(talk), self._screen.says: sorry}

    def stop(self, request: gr.Request) -> Any:
        """Stop this visitor's answers at their next token."""
        self._runs.stop(str(request.session_hash))
        return gr.update(interactive=False)

    def leave(self, request: gr.Request) -> None:
        """The visitor closed the page: nobody reads on."""
        self._runs.stop(str(request.session_hash))

    def clear(self) -> Updates:
        """Forget the conversation."""
        return {**self._idle(Conversation()), self._screen.says: ""}

    # Choices

    def open(self, session: Session, other: str) -> Updates:
        """The page was opened."""
        return self.arrive(session, other) | self.look()

    def arrive(self, session: Session, other: str) -> Updates:
        """The tab was opened: the heads, the slider and the picker show what is chosen and measured now."""
        s = self._screen
        points = self._service.points()
        listed = others.choices(self._service.checkpoints(), points)
        return {
            s.mine: self._mine(session),
            s.dial: dressed(session),
            s.other: gr.update(choices=_with(listed, other)),
            s.theirs: self.choose(other),
        }

    def move(self, session: Session, value: float | None) -> Updates:
        """The slider in the bar: the visitor's merge changes here and in Explore; what was said keeps its chip."""
        if value is None:
            return {}
        session = moved(session, value)
        return {self._screen.session: session, self._screen.mine: self._mine(session)}

    def choose(self, other: str) -> str:
        """The picker of the other model: the head of its pane."""
        try:
            chip = Chip.of(others.named(other), others.recipe(other, self._service.points()))
        except RecipeError as problem:
            return headless("Other model", str(problem))
        return head("", chip.text, chip.digest)

    def look(self) -> Updates:
        """Whether the models can answer yet; the timer asks again until they can."""
        s, status = self._screen, self._service.status()
        ready = status.phase == "ready"
        said = "" if ready else _not_yet(status)
        return {s.send: gr.update(interactive=ready), s.says: said, s.timer: gr.Timer(active=not ready)}

    # What the page then shows

    def _mine(self, session: Session) -> str:
        try:
            chip = Chip.of(YOURS, session.recipe())
        except RecipeError as problem:
            return headless(YOURS, str(problem))
        return head(YOURS, chip.text, chip.digest)

    def _ask(
        self, session: Session, earlier: Conversation, asked: Asked, other: str, decoding: Decoding, visitor: str
    ) -> Iterator[Updates]:
        s, status = self._screen, self._service.status()
        if status.phase != "ready":
            yield {s.says: _not_yet(status)}
            return
        try:
            if len(asked.text) > LONGEST:
                raise RecipeError(f"The prompt has {len(asked.text)} characters: at most {LONGEST} are read.")
            left, right = session.recipe(), others.recipe(other, self._service.points())
        except RecipeError as problem:
            yield {s.says: says(str(problem), problem=True)}
            return
        mine, theirs = Answer(Chip.of(YOURS, left)), Answer(Chip.of(others.named(other), right))
        turn = Turn(asked.text, mine, theirs, alone=asked.alone)
        yield {**self._busy(earlier.add(turn)), s.prompt: ""}
        flag = self._runs.start(visitor)
        yield from self._answer(earlier, turn, (left, right), decoding, flag)

    def _answer(
        self, earlier: Conversation, turn: Turn, recipes: tuple[Recipe, Recipe], decoding: Decoding, flag: Event
    ) -> Iterator[Updates]:
        s, finished = self._screen, turn
        before = Conversation() if turn.alone else earlier
        try:
            stream = self._service.chat_pair(
                *recipes,
                before.messages("left", turn.prompt),
                before.messages("right", turn.prompt),
                max_new_tokens=decoding.tokens,
                seed=decoding.seed,
                temperature=decoding.temperature,
                cancelled=flag.is_set,
            )
            for pair in follow(stream, flag):
                if pair is None:
                    yield {s.says: self._waits(turn)}
                    continue
                turn = turn.told(*pair)
                finished = finished if flag.is_set() else turn
                yield {s.panes: earlier.add(turn).shown(), s.says: ""}
        except FAILURES as problem:
            turn, finished = replace(turn, problem=str(problem)), turn
        except Cancelled:
            pass
        if flag.is_set():
            turn = turn.stopped(finished)
        yield {**self._idle(earlier.add(turn)), s.says: says("Stopped.") if flag.is_set() else ""}

    def _busy(self, talk: Conversation) -> Updates:
        s, off = self._screen, gr.update(interactive=False)
        return {
            s.panes: talk.shown(),
            s.send: off,
            s.retry: off,
            s.clear: off,
            s.stop: gr.update(interactive=True),
            s.says: "",
        }

    def _idle(self, talk: Conversation) -> Updates:
        s, said = self._screen, gr.update(interactive=bool(talk.turns))
        return {
            s.talk: talk,
            s.panes: talk.shown(announced(talk.turns)),
            s.send: gr.update(interactive=True),
            s.stop: gr.update(interactive=False),
            s.retry: said,
            s.clear: said,
        }

    def _waits(self, turn: Turn) -> str:
        if turn.left.state != "waiting" or turn.right.state != "waiting":
            return ""
        before = self._service.status().queue
        return says(f"Waiting for the device: {before} before you." if before else "Merging, then reading the prompt …")


def _pressed(event: gr.EventData) -> str:
    """The text of a pressed example; empty where the event came from the prompt box or the button."""
    data = event._data  # asked for by name, an event without data raises TypeError
    return str(data.get("text") or "") if isinstance(data, dict) else ""


def _with(listed: list[tuple[str, str]], chosen: str | None) -> list[tuple[str, str]]:
    """The choices, and the one in use where it is not among them (a path, a hub id)."""
    return listed if not chosen or any(value == chosen for _, value in listed) else [*listed, (chosen, chosen)]


def _not_yet(status: Status) -> str:
    if status.phase == "failed":
        return says(status.text or "The models could not be prepared.", problem=True)
    share = f" ({status.fraction:.0%})".replace("%", " %") if status.fraction else ""
    return says(f"You can ask as soon as the models are ready{share}: {status.text or 'preparing'}")
