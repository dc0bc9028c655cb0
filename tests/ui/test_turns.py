"""The device has one holder, and the most urgent of those who wait goes next."""

import threading
import time

import pytest

from ui.turns import Turns, Urgency


def wait_until(condition, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition never came true"
        time.sleep(0.002)


@pytest.mark.parametrize(
    ("arrivals", "served"),
    [
        pytest.param("SPCD", "DCPS", id="urgent overtakes"),
        pytest.param("DDPP", "DDPP", id="equals keep their order"),
        pytest.param("PDPD", "DDPP", id="mixed"),
        pytest.param("HPCD", "DCPH", id="a hint comes last"),
        pytest.param("PDDDDD", "DDDPDD", id="patience ends"),
        pytest.param("SPDDDDD", "DDDSPDD", id="the longest wait first"),
    ],
)
def test_order(arrivals: str, served: str) -> None:
    by_letter = {urgency.name[0]: urgency for urgency in Urgency}
    turns, order, threads = Turns(), [], []

    def work(number: int, letter: str) -> None:
        with turns.turn(by_letter[letter]):
            order.append((letter, number))

    with turns.turn(Urgency.PROBE):
        for number, letter in enumerate(arrivals):
            threads.append(threading.Thread(target=work, args=(number, letter)))
            threads[-1].start()
            wait_until(lambda: turns.waiting == len(threads))
    for thread in threads:
        thread.join(5)
    assert "".join(letter for letter, _ in order) == served
    for letter in set(arrivals):
        numbers = [number for got, number in order if got == letter]
        assert numbers == sorted(numbers)


def test_one_holder_at_a_time() -> None:
    turns, inside, most = Turns(), [], []

    def work() -> None:
        for _ in range(50):
            with turns.turn(Urgency.CHAT):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(most) == 200
    assert max(most) == 1


def test_a_failing_holder_frees_the_device() -> None:
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.turn(Urgency.DRAG):
        raise ZeroDivisionError
    with turns.turn(Urgency.SWEEP):
        assert turns.waiting == 0


def test_a_drag_that_never_rests_lets_a_probe_through() -> None:
    """Two threads that ask again the moment they are served, as two visitors' sliders do."""
    turns, through = Turns(), threading.Event()

    def drag() -> None:
        while not through.is_set():
            with turns.turn(Urgency.DRAG):
                pass

    dragging = [threading.Thread(target=drag, daemon=True) for _ in range(2)]
    for thread in dragging:
        thread.start()

    def probe() -> None:
        for _ in range(20):
            with turns.turn(Urgency.PROBE):
                pass
        through.set()

    threading.Thread(target=probe, daemon=True).start()
    assert through.wait(20), "urgent callers held the probe up for ever"
    for thread in dragging:
        thread.join(5)
