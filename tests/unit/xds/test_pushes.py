import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from osm.runtime.tracing import LatestSpans
from services.xds.pushes import IN_FULL, MOST_OPEN, Pushes


class Watermark:
    """Up to which batch every proxy has answered, as a test sets it."""

    acked = 0

    def __call__(self) -> int:
        return self.acked


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> LatestSpans:
    provider, found = TracerProvider(), LatestSpans()
    provider.add_span_processor(SimpleSpanProcessor(found))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return found


def test_a_batch_ends_when_the_last_proxy_has_answered_it_and_not_before(spans: LatestSpans) -> None:
    watermark = Watermark()
    pushes = Pushes(watermark)
    pushes.begin(1, 5)
    pushes.settle()
    assert spans.finished() == ()
    watermark.acked = 1
    pushes.settle()
    (span,) = spans.finished()
    assert (span.name, span.start_time) == ("xds push", 5)


def test_a_batch_that_nobody_owes_an_answer_for_has_no_span(spans: LatestSpans) -> None:
    watermark = Watermark()
    watermark.acked = 1
    Pushes(watermark).begin(1, 5)
    assert spans.finished() == ()


def test_one_answer_ends_all_batches_that_it_covers(spans: LatestSpans) -> None:
    watermark = Watermark()
    pushes = Pushes(watermark)
    for batch in (1, 2, 3):
        pushes.begin(batch, batch)
    watermark.acked = 2
    pushes.settle()
    assert [span.start_time for span in spans.finished()] == [1, 2]


def test_a_proxy_that_never_answers_keeps_a_bounded_number_open(spans: LatestSpans) -> None:
    pushes = Pushes(Watermark())
    for batch in range(1, MOST_OPEN + 3):
        pushes.begin(batch, batch)
    assert [(span.start_time, (span.attributes or {})[IN_FULL]) for span in spans.finished()] == [
        (1, False),
        (2, False),
    ]
