"""What a sweep shows while it runs: bars per structure on a terminal, a plain line a minute elsewhere."""

import sys
import time
from collections import Counter

import pytest

from landscape.cli import sweep as command
from landscape.sweep.drive import Tally


def tally() -> Tally:
    structures = Counter({"DNC": 20, "pairs": 10})
    dashboard = "http://127.0.0.1:8787/status"
    return Tally(100, 5, 30, {"a": "b"}, structures, remaining=600.0, workers=2, dashboard=dashboard, begun=time.monotonic() - 10)


def test_a_plain_line_a_minute(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with command._progress() as watch:
        watch(tally())
        watch(tally())
        assert capsys.readouterr().err == "landscape: dashboard: http://127.0.0.1:8787/status\n"
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 61)
        watch(tally())
        watch(tally())
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.startswith("landscape: 35 of 100 jobs, ")
    assert line.endswith(" jobs/s, 1 failed, 2 workers, about 5 min left, DNC 20, pairs 10\n")


def test_bars_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with command._progress() as watch:
        watch(tally())
    shown = capsys.readouterr().err
    for words in ("dashboard: ", "jobs", "DNC", "pairs", "1 failed, 2 workers"):
        assert words in shown
