"""A stream followed at a calm pace: the newest element now and then, whatever the speed of its maker or its reader."""

import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")
PACE = 0.16
"""Seconds between two elements handed on: about six updates a second read as fluent and keep the browser idle."""
SILENCE = 0.6
"""Seconds without anything new after which a reader may say what it waits for."""


def follow(
    stream: Iterable[T], flag: threading.Event, *, pace: float = PACE, silence: float = SILENCE
) -> Iterator[T | None]:
    """Run a stream in a thread of its own and yield its newest element, at most every `pace` seconds.

    None is yielded after each `silence` without news; the last element always arrives. A reader that leaves sets the
    flag, which the stream is expected to watch. What the stream raises is raised here.
    """
    newest: list[T] = []
    news = threading.Event()
    ended: Future[None] = Future()

    def pump() -> None:
        try:
            for element in stream:
                newest[:] = [element]
                news.set()
            ended.set_result(None)
        except BaseException as problem:  # handed on to the reader, in their thread
            ended.set_exception(problem)
        finally:
            news.set()

    threading.Thread(target=pump, daemon=True).start()
    told: list[T] = []
    try:
        while not ended.done():
            if not news.wait(silence):
                yield None
                continue
            news.clear()
            if newest and newest != told:
                told = [newest[0]]
                yield told[0]
                time.sleep(pace)
        ended.result()
        if newest and newest != told:
            yield newest[0]
    finally:
        if not ended.done():
            flag.set()
