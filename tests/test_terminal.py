"""What people see of a stage: a bar on a terminal, lines elsewhere, nothing for no work; tables."""

import io
from contextlib import suppress

import pytest

from kdsspark import terminal
from kdsspark.terminal import Progress, aligned


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(terminal, "time", clock)
    return clock


def test_a_terminal_gets_a_bar_with_done_total_rate_and_failures() -> None:
    stream = Terminal()
    with Progress("embed", 130, "images", stream) as shown:
        shown.show(65, failed=2)
        middle = stream.getvalue().split("\r")[-1]
        shown.show(130, failed=3)
    last = stream.getvalue().split("\r")[-1]
    assert "embed" in middle
    assert " 50%" in middle
    assert "65/130" in middle
    assert "failed=2" in middle
    assert "130/130" in last
    assert "failed=3" in last
    assert "images" in last
    assert stream.getvalue().endswith("\n")


def test_plain_lines_come_every_so_often_and_at_the_end(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress("embed", 100, "images", stream) as shown:
        for second in range(40):
            clock.now = 100.0 + second
            shown.show(2 * second, failed=second // 10)
        clock.now = 150.0
        shown.show(100, failed=4)
    assert stream.getvalue().splitlines() == [
        "embed: 30/100 images, 2.0/s, 35 s left, 1 failed",
        "embed: 60/100 images, 2.0/s, 20 s left, 3 failed",
        "embed: 100/100 images, 2.0/s, 4 failed",
    ]


def test_nothing_done_yet_tells_no_time_left(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress("measure", 7, "features", stream) as shown:
        clock.now += 20
        shown.show(0)
        assert stream.getvalue() == "measure: 0/7 features, 0.0/s, 0 failed\n"


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_a_stage_with_nothing_to_do_shows_nothing(kind: type[io.StringIO], clock: Clock) -> None:
    stream = kind()
    with Progress("embed", 0, "images", stream) as shown:
        clock.now += 100
        shown.show(0)
    assert stream.getvalue() == ""


def _fail_after_three_of_five(stream: io.StringIO) -> None:
    with suppress(RuntimeError), Progress("embed", 5, "images", stream) as shown:
        shown.show(3)
        raise RuntimeError


def test_a_stage_that_fails_says_no_last_line() -> None:
    stream = io.StringIO()
    _fail_after_three_of_five(stream)
    assert stream.getvalue() == ""


def test_a_bar_is_closed_when_the_stage_fails() -> None:
    stream = Terminal()
    _fail_after_three_of_five(stream)
    assert "3/5" in stream.getvalue()
    assert stream.getvalue().endswith("\n")


def test_the_default_is_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("index", 1, "datasets") as shown:
        shown.show(1)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("index: 1/1 datasets")


def test_columns_are_aligned() -> None:
    rows = [["layer", "unit", "ks"], ["conv1_1", "7", "-1"], ["", "12386", ""]]
    assert aligned(rows, to_the_right={1, 2}).split("\n") == [
        "layer     unit  ks",
        "conv1_1      7  -1",
        "         12386",
    ]
    assert aligned(rows[:1], to_the_right=()) == "layer  unit  ks"
    with pytest.raises(ValueError, match="shorter"):
        aligned([["a", "b"], ["c"]], to_the_right=())
