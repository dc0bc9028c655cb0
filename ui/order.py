"""One visitor's choices in the order they were made, so that a late answer to an older one undoes nothing."""

import inspect
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from ui.session import Session

Updates = dict[Any, Any]
_REMEMBERED = 32


class Order:
    """What one open page has chosen. It lives in a `gr.State`, which hands every page one of its own.

    Gradio runs the handlers of a page beside each other: one may read the session before another has written it, and
    may answer after a newer one. Here choices are made one after another, each on the session that the one before left,
    and a choice that is no longer the newest says nothing more.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._session: Session | None = None
        self._replaced: deque[Session] = deque(maxlen=_REMEMBERED)
        self._choices = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> "Order":
        return Order()

    def newest(self, session: Session) -> Session:
        """The session as it is now, given one that may have been read too early.

        One that is not known here was written by another tab, and is newer than what is.
        """
        # told by identity: a visitor may come back to an equal session
        early = self._session is not None and any(session is old for old in self._replaced)
        return self._session if early and self._session is not None else session

    def write(self, before: Session, after: Session) -> None:
        """A session takes another's place."""
        if after is not before:
            self._replaced.append(before)
            self._session = after

    def choose(self) -> int:
        """Number the choice that is made now."""
        self._choices += 1
        return self._choices

    @property
    def last(self) -> int:
        """Number of the newest choice."""
        return self._choices


def choosing(handler: Callable[..., Any], key: Any) -> Callable[..., Iterator[Updates]]:
    """A handler that changes the session, in order with the others; its inputs are an `Order`, then its own.

    Its first answer is always given and must be quick. Those after it come from merging: they are left out once there
    is a newer choice, and never write the session, which the visitor may have changed meanwhile.

    Args:
        handler: Takes the session first; yields updates, or returns one. No answer is no choice.
        key: The session's key in the updates.
    """

    def run(order: Order, session: Session, *given: Any) -> Iterator[Updates]:
        with order.lock:
            session = order.newest(session)
            answers = _answers(handler(session, *given))
            first = next(answers, None)
            if not first:
                return
            order.write(session, first.get(key, session))
            mine = order.choose()
        yield first
        while mine == order.last:
            answer = next(answers, None)
            if answer is None or mine != order.last:
                return
            yield {widget: update for widget, update in answer.items() if widget is not key}

    return _dressed(run, handler)


def showing(handler: Callable[..., Any], key: Any) -> Callable[..., Updates]:
    """A handler with one quick answer that merges nothing: in order with the choices, and none itself."""

    def run(order: Order, session: Session, *given: Any) -> Updates:
        with order.lock:
            session = order.newest(session)
            answer = next(_answers(handler(session, *given)))
            order.write(session, answer.get(key, session))
        return answer

    return _dressed(run, handler)


def reporting(handler: Callable[..., Updates], otherwise: Updates) -> Callable[..., Updates]:
    """A handler that merges what was chosen; it answers `otherwise` where there is a newer choice by then."""

    def run(order: Order, session: Session, *given: Any) -> Updates:
        with order.lock:
            mine, session = order.last, order.newest(session)
        answer = handler(session, *given)
        return answer if mine == order.last else otherwise

    return _dressed(run, handler)


def _answers(given: Any) -> Iterator[Updates]:
    return iter([given] if isinstance(given, dict) else given)


def _dressed(run: Any, handler: Callable[..., Any]) -> Any:
    """`run` with the handler's own parameters, by which Gradio knows what to hand in, after the order."""
    run = wraps(handler)(run)
    first = inspect.Parameter("order", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = inspect.Signature([first, *inspect.signature(handler).parameters.values()])
    return run
