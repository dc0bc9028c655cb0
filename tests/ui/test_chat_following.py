"""A stream is followed at its reader's pace, and its failures arrive."""

import threading
import time
from collections.abc import Iterator

import pytest

from ui.following import follow


def slowly(count: int, pause: float, flag: threading.Event | None = None) -> Iterator[int]:
    for number in range(count):
        if flag and flag.is_set():
            return
        time.sleep(pause)
        yield number


def test_a_fast_stream_is_thinned_and_its_last_element_arrives() -> None:
    start = time.monotonic()
    seen = list(follow(slowly(100, 0.002), threading.Event(), pace=0.05))
    assert seen == sorted(seen)
    assert seen[-1] == 99
    assert len(seen) <= (time.monotonic() - start) / 0.05 + 2


def test_silence_is_told() -> None:
    seen = list(follow(slowly(1, 0.3), threading.Event(), silence=0.05))
    assert seen[0] is None
    assert seen[-1] == 0


def test_nothing_from_an_empty_stream() -> None:
    assert [found for found in follow(iter(()), threading.Event()) if found is not None] == []


def test_a_failure_reaches_the_reader() -> None:
    def fails() -> Iterator[int]:
        yield 1
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        list(follow(fails(), threading.Event()))


def test_a_reader_that_leaves_stops_the_stream() -> None:
    flag = threading.Event()
    reading = follow(slowly(1000, 0.01, flag), flag, pace=0.01)
    assert next(found for found in reading if found is not None) == 0
    reading.close()  # type: ignore[attr-defined]
    assert flag.is_set()
