"""What tests of several parts share: helm with our chart; what a scrape would see; and what could not be run on this
machine, and why; and what passed at the second try only.

The last two are kept for the end of `make test`, which says them once for all parts.
"""

import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from opentelemetry import metrics
from prometheus_client.parser import text_string_to_metric_families

from osm.runtime.metrics import Metrics
from osm.testing.chart import Helm, NoHelm, find_helm
from tests.not_run import SAYS, not_run

NOT_RUN = Path(".pytest_cache/not-run")
SECOND_TRY = Path(".pytest_cache/second-try")


def pytest_configure() -> None:
    """What a script starts in the background ignores Ctrl-C, and so does all that it starts: but tests send it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Without helm a test is reported as not run, and CI fails."""
    from osm.cli.kubernetes.chart import chart_path  # noqa: PLC0415  # the CLI, which few tests need

    try:
        return Helm(program=find_helm(), chart=chart_path())
    except NoHelm as why:
        not_run(why)


@pytest.fixture
def scraped(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., float | None]]:
    """Whatever makes a meter from now on is measured. A call scrapes: the value of the sample of exactly this name and
    these labels, None if there is none."""
    measures = Metrics("test", "r", "v")
    monkeypatch.setattr(metrics, "get_meter", measures.provider.get_meter)

    def value(name: str, **labels: str) -> float | None:
        families = text_string_to_metric_families(measures.exposition().decode())
        samples = [sample for family in families for sample in family.samples]
        return next((each.value for each in samples if (each.name, each.labels) == (name, labels)), None)

    yield value
    measures.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    stats = terminalreporter.stats
    tell(NOT_RUN, not_run_lines(stats.get("skipped", ())))
    tell(SECOND_TRY, sorted({f"  {report.nodeid}: {first_line(report)}" for report in stats.get("rerun", ())}))


def first_line(report: pytest.TestReport) -> str:
    """Of what was wrong the first time."""
    return next((line for line in report.longreprtext.splitlines()[::-1] if line.startswith("E ")), "")[1:].strip()


def not_run_lines(skipped: Iterable[pytest.TestReport]) -> list[str]:
    """A line for each reason, with the part of the tests that it is about."""
    found: dict[tuple[str, str], int] = {}
    for report in skipped:
        part = "/".join(Path(report.nodeid.partition("::")[0]).parts[:2])
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        key = (part, why.removeprefix("Skipped: ").removeprefix(SAYS))
        found[key] = found.get(key, 0) + 1
    return [f"  {part}, {count} tests: {why}" for (part, why), count in sorted(found.items())]


def tell(file: Path, lines: list[str]) -> None:
    """Keep them for the end of `make test`."""
    if lines:
        file.parent.mkdir(exist_ok=True)
        with file.open("a") as kept:
            kept.writelines(f"{line}\n" for line in lines)
