"""What could not be run on this machine, and why: kept for the end of `make test`, which says it once for all parts."""

from pathlib import Path

import pytest

NOT_RUN = Path(".pytest_cache/not-run")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line for each reason, with the part of the tests that it is about."""
    found: dict[tuple[str, str], int] = {}
    for report in terminalreporter.stats.get("skipped", ()):
        part = "/".join(Path(report.nodeid.partition("::")[0]).parts[:2])
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        key = (part, why.removeprefix("Skipped: ").removeprefix("not run: "))
        found[key] = found.get(key, 0) + 1
    if found:
        NOT_RUN.parent.mkdir(exist_ok=True)
        with NOT_RUN.open("a") as file:
            file.writelines(f"  {part}, {count} tests: {why}\n" for (part, why), count in sorted(found.items()))
