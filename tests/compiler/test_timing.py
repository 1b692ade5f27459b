"""Contenders in turn, with a clock that the tests turn on themselves."""

import pytest

from spikec.timing import Contender, TooLong, Work, deadline, race


class Clock:
    """Seconds that pass when a contender says so."""

    def __init__(self):
        self.now = 0.0
        self.called = []

    def contender(self, name, *seconds, **settings):
        left = list(seconds)

        def run():
            self.called.append(name)
            self.now += left.pop(0)

        return Contender(name, lambda: Work(run), **settings)


def test_calls_take_turns_and_the_first_does_not_count():
    clock = Clock()
    both = [clock.contender("a", 9, 1, 5, 2, 1), clock.contender("b", 4, 3, 3, 3, 1, scale=16)]
    timings = race(both, runs=3, clock=lambda: clock.now, peak=lambda run: (run(), 7)[1])
    assert clock.called == ["a", "b"] * 5
    assert (timings["a"].first, timings["a"].seconds, timings["a"].peak) == (9, 2, 7)
    assert (timings["b"].first, timings["b"].seconds) == (4, 48), "one pass, times 16"


def test_an_excused_error_stops_its_contender_alone():
    clock = Clock()

    def broken():
        raise ValueError("no such layer\nmore words")

    found = race(
        [Contender("x", broken, excused=(ValueError,)), clock.contender("a", 1, 1)], 1, clock=lambda: clock.now
    )
    assert (found["x"].seconds, found["x"].reason) == (None, "ValueError: no such layer")
    assert found["a"].seconds == 1
    with pytest.raises(ValueError, match="no such layer"):
        race([Contender("x", broken)])


def test_a_deadline_ends_what_takes_too_long():
    with pytest.raises(TooLong), deadline(0.05):
        while True:
            pass
    with deadline(None):
        assert True
