"""How many inputs were tried is said at the end of a run."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many inputs each surface was tried with, and what came of it."""
    reports = [
        (report.nodeid, dict(report.user_properties)["inputs"], outcome)
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if "inputs" in dict(report.user_properties)
    ]
    if reports:
        terminalreporter.section("inputs tried")
        for name, count, outcome in sorted(reports):
            terminalreporter.line(f"{count:>8} {outcome} {name}")
        terminalreporter.line(f"{sum(count for _, count, _ in reports):>8} in all")
