"""Time left: in step with the pace so far, silent before there is one."""

import pytest

from eval.clock import Clock


@pytest.mark.parametrize(
    ("passed", "ahead", "text"),
    [
        pytest.param(10.0, 100.0, "", id="nothing done yet"),
        pytest.param(30.0, 90.0, "about 4 min", id="a tenth in half a minute"),
        pytest.param(30.0, 50.0, "about 30 s", id="half of it"),
        pytest.param(30.0, 0.0, "about 1 s", id="all done but for the counting"),
    ],
)
def test_time_left_follows_the_pace_since_the_work_began(passed: float, ahead: float, text: str) -> None:
    time = [5.0]
    clock = Clock(lambda: time[0])
    time[0] = 1000.0  # loading the model does not count
    clock.begin(100.0)
    time[0] += passed
    assert clock.left(ahead) == text
