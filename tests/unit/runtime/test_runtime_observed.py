import io
import json
import logging as standard
import sys

import pytest
import structlog

from osm.bus import trace
from osm.pki.keys import key_pem, make_key
from osm.runtime import logging
from osm.runtime.metrics import Metrics, alone, by, from_zero, meter
from osm.runtime.settings import BadSetting
from osm.runtime.tracing import LatestSpans, Traces


@pytest.fixture
def stream():
    """Where log lines go; what was configured before is put back."""
    before = structlog.get_config()
    root = standard.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: standard.getLogger(name).level for name in logging.NOISY}
    yield io.StringIO()
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, was in levels.items():
        standard.getLogger(name).setLevel(was)


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_the_event_and_its_fields(stream):
    logging.set_up("info", stream=stream)
    structlog.get_logger().info("refused to sign", caller="xds", why="absent")
    (line,) = lines(stream)
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert {"level": "info", "event": "refused to sign", "caller": "xds", "why": "absent"}.items() <= line.items()


def test_lines_below_the_level_are_not_written(stream):
    logging.set_up("warning", stream=stream)
    structlog.get_logger().info("quiet")
    standard.getLogger("nats").info("quiet")
    assert stream.getvalue() == ""


def test_libraries_log_the_same_way_and_only_what_matters(stream):
    logging.set_up("info", stream=stream)
    standard.getLogger("nats").info("chatter")
    standard.getLogger("nats").warning("disconnected from %s", "here")
    (line,) = lines(stream)
    assert (line["event"], line["logger"], line["level"]) == ("disconnected from here", "nats", "warning")


@pytest.mark.parametrize("as_json", [True, False])
def test_no_private_key_reaches_a_line_wherever_it_hides(stream, as_json):
    logging.set_up("debug", stream=stream, as_json=as_json)
    pem = key_pem(make_key()).decode()
    secret = pem.splitlines()[1]
    log = structlog.get_logger()
    log.info(pem)
    log.info("field", key=pem)
    log.info("nested", keys={"a": [pem.encode()]})
    log.info("cut off", key=pem[:100])
    standard.getLogger("library").warning("loaded %s", pem)
    try:
        int(pem)
    except ValueError:
        log.exception("traceback")
    written = stream.getvalue()
    assert secret not in written
    assert secret[:20] not in written
    assert written.count(logging.WITHHELD) >= 6
    if as_json:
        assert len(lines(stream)) == 6


def test_measures_are_told_in_prometheus_text_with_buckets_for_seconds():
    measures = Metrics("certmgr", "r", "v")
    meter = measures.provider.get_meter("osm.certmgr")
    meter.create_counter("osm.certmgr.signed").add(2, {"kind": "leaf"})
    meter.create_histogram("osm.certmgr.sign_duration", unit="s").record(0.0007)
    meter.create_gauge("osm.certmgr.root_not_after", unit="s").set(1_800_000_000)
    text = measures.exposition().decode()
    measures.close()
    assert "osm_certmgr_root_not_after_seconds 1.8e+09" in text
    assert 'osm_certmgr_signed_total{kind="leaf"} 2.0' in text
    assert 'osm_certmgr_sign_duration_seconds_bucket{le="0.001"} 1.0' in text


def test_two_meshes_in_one_process_count_apart():
    one, other = Metrics("a", "r", "v"), Metrics("b", "r", "v")
    one.provider.get_meter("osm.a").create_counter("osm.a.x").add(1)
    assert b"osm_a_x_total 1.0" in one.exposition()
    assert b"osm_a_x_total" not in other.exposition()
    one.close()
    other.close()


def test_what_is_read_when_scraped_is_as_it_is_then_and_what_is_not_there_is_not_told(scraped):
    now = {"a": 1}
    meter("x").create_observable_gauge("osm.x.by", [by("kind", lambda: now)])
    meter("x").create_observable_gauge("osm.x.alone", [alone(lambda: now.get("b"))])
    assert (scraped("osm_x_by", kind="a"), scraped("osm_x_by", kind="b"), scraped("osm_x_alone")) == (1, None, None)
    now["b"] = 2
    assert (scraped("osm_x_by", kind="b"), scraped("osm_x_alone")) == (2, 2)


def test_a_counter_is_there_before_it_counts_if_its_labels_are_known(scraped):
    counter = from_zero(meter("x").create_counter("osm.x.done"), "verb", ("make", "renew"))
    counter.add(1, {"verb": "make"})
    assert (scraped("osm_x_done_total", verb="make"), scraped("osm_x_done_total", verb="renew")) == (1, 0)


def test_a_trace_goes_on_from_the_header_it_came_with():
    traces = Traces("certmgr", "r")
    tracer = traces.provider.get_tracer("osm.certmgr")
    with tracer.start_as_current_span("write"):
        header = trace.current()
    with trace.continued(header), tracer.start_as_current_span("work"):
        pass
    write, work = traces.latest.finished()
    traces.close()
    assert header.split("-")[1] == format(work.context.trace_id, "032x")
    assert work.parent.span_id == write.context.span_id


def test_only_the_latest_spans_are_kept():
    latest = LatestSpans(most=2)
    latest.export([1, 2, 3])
    assert latest.finished() == (2, 3)


def test_an_endpoint_without_an_exporter_is_told_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(BadSetting, match="pip install opentelemetry-exporter-otlp-proto-http"):
        Traces("certmgr", "r", "http://127.0.0.1:4318/v1/traces")
