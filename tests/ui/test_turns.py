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
