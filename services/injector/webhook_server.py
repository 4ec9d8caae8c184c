"""The two webhooks over HTTPS: reads a review, decides with what is known, and writes the answer.

Thin: what is answered is `admit`'s and `validate`'s to say. The namespace is asked for each time: a copy of it may be
older than the label that brought this review here.
"""

import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import structlog

from osm.k8s.client import Cluster
from osm.k8s.errors import ApiError, NotFound
from osm.k8s.objects import Namespace
from osm.k8s.resource import NAMESPACES
from osm.runtime.https import Malformed
from osm.runtime.metrics import from_zero, meter
from services.injector.admit import Outcome, admit
from services.injector.bus_inputs import BusInputs
from services.injector.decide import Facts, Ours
from services.injector.patch import House
from services.injector.pod import Pod
from services.injector.review import UNREADABLE, Answer, NotAReview, Request, read, write
from services.injector.validate import validate

UNAVAILABLE = 503

ANSWERS = ("injected", "left", "refused", "unavailable", "valid", "invalid")
"""The first four to pods, the others to policies; `unavailable`: the API server did not tell us what we need."""

MOST_LOGGED_CHARS = 253
"""Of what a review calls itself: as long as a name may be. Anyone may post one."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

log = structlog.get_logger()


class WebhookServer:
    """`admitted` is called with the uuid of every sidecar that a pod was promised."""

    def __init__(
        self, cluster: Cluster, heard: BusInputs, *, ours: Ours, house: House, admitted: Callable[[str], None]
    ) -> None:
        self._cluster = cluster
        self._heard = heard
        self._ours = ours
        self._house = house
        self._admitted = admitted
        counts = meter("injector")
        self._reviews = counts.create_counter("osm.injector.reviews", description="reviews, by answer")
        from_zero(self._reviews, "answer", ANSWERS)
        self._duration = counts.create_histogram(
            "osm.injector.review_duration", "s", "from a review to its answer, by webhook"
        )

    async def mutate(self, body: bytes) -> bytes:
        """Raises Malformed."""
        with self._timed("mutate"):
            return await self._mutate(_read(body))

    async def _mutate(self, request: Request) -> bytes:
        if (request.kind.group, request.kind.kind, request.operation) != ("", "Pod", "CREATE"):
            return write(request.uid, Answer(allowed=True))
        pod = _pod(request)
        try:
            found = await self._cluster.get(NAMESPACES, request.namespace, as_=Namespace)
        except NotFound:
            raise Malformed(f"there is no namespace {request.namespace}") from None
        except ApiError as error:
            self._reviews.add(1, {"answer": "unavailable"})
            why = f"the injector cannot read namespace {request.namespace}: {error}; try again"
            return write(request.uid, Answer(allowed=False, code=UNAVAILABLE, why=why))
        namespace = Facts(name=request.namespace, labels=found.metadata.labels, annotations=found.metadata.annotations)
        outcome = admit(pod, namespace, self._heard.mesh, uuid=str(uuid.uuid4()), ours=self._ours, house=self._house)
        self._tell(request, pod, outcome)
        return write(request.uid, outcome.answer)

    def _tell(self, request: Request, pod: Pod, outcome: Outcome) -> None:
        self._reviews.add(1, {"answer": outcome.did})
        if outcome.uuid and not request.dry_run:
            self._admitted(outcome.uuid)
        say = log.debug if outcome.did == "left" else log.info
        say(f"pod {outcome.did}", namespace=request.namespace, pod=pod.called, why=outcome.why, proxy=outcome.uuid)

    async def validate(self, body: bytes) -> bytes:
        """Raises Malformed."""
        with self._timed("validate"):
            return self._validate(_read(body))

    def _validate(self, request: Request) -> bytes:
        try:
            answer = validate(request)
        except NotAReview as error:
            raise Malformed(str(error)) from error
        self._reviews.add(1, {"answer": "valid" if answer.allowed else "invalid"})
        if not answer.allowed:
            named = {"namespace": request.namespace[:MOST_LOGGED_CHARS], "name": request.name[:MOST_LOGGED_CHARS]}
            log.info("policy refused", kind=request.kind.kind, **named)
        return write(request.uid, answer)

    @contextmanager
    def _timed(self, webhook: str) -> Iterator[None]:
        """A review that cannot be read is answered too."""
        began_s = time.perf_counter()
        try:
            yield
        finally:
            self._duration.record(time.perf_counter() - began_s, {"webhook": webhook})


def _read(body: bytes) -> Request:
    try:
        return read(body)
    except NotAReview as error:
        raise Malformed(str(error)) from error


def _pod(request: Request) -> Pod:
    if not _LABEL.fullmatch(request.namespace):
        raise Malformed(f"request.namespace: expected a namespace, found {request.namespace[:60]!r}")
    try:
        return msgspec.json.decode(request.object, type=Pod)
    except UNREADABLE as error:
        raise Malformed(f"request.object: expected a Pod: {error}") from error
