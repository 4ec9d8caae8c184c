from pathlib import Path

import msgspec
import pytest

from bench import page
from bench.mesh import Samples
from bench.result import Machine, Result, Run, Series, Thinking, WorkersRun, missed, missed_by_crew, quantile, series
from bench.summary import figures as figures_of
from bench.summary import summary


def samples(**changes: object) -> Samples:
    plain = Samples(
        given_s=(0.001, 0.003, 0.002),
        answered_s=(0.010, 0.030, 0.020),
        pushes=60,
        bytes=6_000,
        cpu_s=0.006,
        rss_bytes=1,
    )
    return msgspec.structs.replace(plain, **changes)


def figures(what: str, **changes: float) -> Series:
    return msgspec.structs.replace(series(what, samples(), 0.003), **changes)


def a_run(streams: int = 1000, **changes: object) -> Run:
    plain = Run(
        streams=streams,
        first_config_s=4.0,
        first_config_mb=200.0,
        baseline_mb=100.0,
        kb_per_proxy=120.0,
        echo_kb_per_stream=110.0,
        move_endpoint=figures("move endpoint", p50_ms=20.0, p99_ms=30.0, cpu_us_per_push=100.0),
        edit_policy=figures("edit policy"),
        echo=figures("push", p50_ms=10.0, cpu_us_per_push=80.0),
        noop_edits=5,
        noop_bytes=0,
    )
    return msgspec.structs.replace(plain, **changes)


def a_result(*runs: Run) -> Result:
    return Result(
        date="2026-01-02T03:04:05+00:00",
        machine=Machine(cpu="a cpu", cores=2, memory_gib=4.0, kernel="6.1"),
        load_before=0.1,
        versions={"python": "3.11"},
        settings={"quick": True},
        runs=runs,
        catalog=(),
    )


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1.0), (0.5, 2.0), (0.75, 3.0), (0.99, 4.0), (1.0, 4.0)])
def test_a_quantile_is_a_sample_that_was_measured(share: float, expected: float) -> None:
    assert quantile((4.0, 2.0, 1.0, 3.0), share) == expected


def test_a_quantile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a sample"):
        quantile((), 0.5)


def test_figures_are_milliseconds_of_a_change_and_microseconds_of_a_push() -> None:
    told = series("move endpoint", samples(), 0.003)
    assert (told.rounds, told.pushes_each, told.bytes_per_push) == (3, 20.0, 100.0)
    assert (told.p50_ms, told.p99_ms, told.max_ms, told.prepared_ms) == pytest.approx((20.0, 30.0, 30.0, 2.0))
    assert (told.cpu_us_per_push, told.clients_cpu_us_per_push) == pytest.approx((100.0, 50.0))
    assert told.clients_share == pytest.approx(1 / 3)


def test_a_push_is_compared_with_the_echo_of_its_own_run() -> None:
    run = a_run()
    assert (run.cpu_ratio, run.time_ratio) == pytest.approx((1.25, 2.0))


def test_a_run_within_all_bounds_misses_none() -> None:
    assert missed(a_run()) == ()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"noop_bytes": 1}, "1000 proxies: bytes for edits without meaning: found 1, allowed is 0"),
        ({"kb_per_proxy": 150.0}, "1000 proxies: KB per proxy: found 150, allowed is 140"),
        ({"first_config_s": 9.0}, "1000 proxies: first configuration, s: found 9, allowed is 8"),
    ],
)
def test_a_missed_bound_is_a_sentence(changes: dict[str, float], sentence: str) -> None:
    assert missed(a_run(**changes)) == (sentence,)


def test_few_proxies_are_not_held_to_what_start_up_costs_many() -> None:
    assert missed(a_run(20, kb_per_proxy=600.0)) == ("20 proxies: endpoint change, p99 ms: found 30, allowed is 15",)


def test_a_result_comes_back_from_its_file_as_it_was() -> None:
    result = a_result(a_run(20), a_run(1000))
    assert msgspec.json.decode(msgspec.json.encode(result), type=Result) == result


def test_the_same_result_draws_the_same_pictures() -> None:
    runs = (a_run(20), a_run(1000))
    assert page.charts(runs) == page.charts(runs)


def test_the_page_keeps_its_words_and_changes_its_numbers(tmp_path: Path) -> None:
    marked = "\n".join(f"{begin}\nold\n{end}" for begin, end in (page.SUMMARY, page.NUMBERS))
    (tmp_path / "performance.md").write_text(f"before\n{marked}\nafter\n")
    written = page.write(a_result(a_run(1000)), tmp_path)
    text = written[0].read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    summary, _, numbers = text.partition(page.SUMMARY[1])
    assert "| memory for each of 1,000 proxies | 120 KB | 140 KB | ✓ |" in summary
    assert "| 1000 | an endpoint moves |" in numbers
    assert all(path.exists() for path in written)


def test_a_page_without_its_markers_is_not_overwritten() -> None:
    with pytest.raises(ValueError, match="expected the lines"):
        page.filled("words of a person", page.NUMBERS, "numbers")


def test_missed_bounds_are_told_on_the_page() -> None:
    over = summary(a_result(a_run(1000, kb_per_proxy=200.0)))
    assert "| memory for each of 1,000 proxies | 200 KB | 140 KB | **missed** |" in over
    assert "- 1000 proxies: KB per proxy: found 200, allowed is 140" in over
    assert "No bound missed." in summary(a_result(a_run(1000)))


def test_a_bound_missed_by_a_run_that_the_table_leaves_out_is_told_below_it() -> None:
    slow = a_run(100, move_endpoint=figures("move endpoint", cpu_us_per_push=200.0))
    assert "- 100 proxies: CPU per push, times the echo: found 2.5, allowed is 1.5" in summary(a_result(slow))


def test_the_summary_has_the_figures_of_one_worker_of_several_and_of_the_catalog() -> None:
    moved = figures("move endpoint", p99_ms=1508.0)
    crew = WorkersRun(
        workers=2,
        streams=5000,
        first_config_s=24.8,
        kb_per_proxy=100.0,
        kb_per_proxy_after=100.0,
        move_endpoint=moved,
        edit_policy=moved,
    )
    rows = (
        Thinking(what="from cold", median_ms=124.2, worst_ms=124.2, bound_ms=3000, written=""),
        Thinking(what="one endpoint moves", median_ms=0.02, worst_ms=0.5, bound_ms=20, written=""),
        Thinking(what="a route group vanishes", median_ms=1.7, worst_ms=3.6, bound_ms=20, written=""),
    )
    found = msgspec.structs.replace(a_result(a_run(20), a_run(500), a_run(1000)), crews=(crew,), catalog=rows)
    told = [(one.found, one.bound, one.is_met) for one in figures_of(found)]
    assert told == [
        (30.0, 15.0, False),
        (30.0, 300.0, True),
        (1508.0, 1000.0, False),
        (4.0, 8.0, True),
        (24.8, 45.0, True),
        (1.25, 1.5, True),
        (120.0, 140.0, True),
        (0.0, 0.0, True),
        (124.2, 3000.0, True),
        (3.6, 20.0, True),
    ]
    assert "| the same, 5,000 proxies, 2 workers, p99 | 1.51 s | 1 s | **missed** |" in summary(found)


def test_several_workers_are_held_to_their_own_bounds_and_to_flat_memory() -> None:
    crew = WorkersRun(
        workers=2,
        streams=5000,
        first_config_s=46.0,
        kb_per_proxy=100.0,
        kb_per_proxy_after=106.0,
        move_endpoint=figures("move endpoint", p99_ms=999.0),
        edit_policy=figures("edit policy"),
    )
    assert missed_by_crew(crew) == (
        "5000 proxies, 2 workers: memory's growth: found 0.06, allowed is 0.05",
        "5000 proxies, 2 workers: first configuration, s: found 46, allowed is 45",
    )
