"""A rate limit service as Envoy asks one (gRPC): so many calls for each descriptor, and no more, ever."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from envoy.service.ratelimit.v3 import rls_pb2_grpc
from envoy.service.ratelimit.v3.rls_pb2 import RateLimitRequest, RateLimitResponse

Entries = tuple[tuple[str, str], ...]


class Limiter(rls_pb2_grpc.RateLimitServiceServicer):
    """`asked` counts questions: a domain and one descriptor's entries. What is not in `allowed` is let through."""

    def __init__(self, allowed: dict[Entries, int]) -> None:
        self.asked: Counter[tuple[str, Entries]] = Counter()
        self._allowed = allowed

    async def ShouldRateLimit(  # noqa: N802  # the protocol's name
        self, request: RateLimitRequest, _context: object
    ) -> RateLimitResponse:
        statuses = [self._judged(request.domain, entries) for entries in map(_entries, request.descriptors)]
        over = RateLimitResponse.Code.OVER_LIMIT
        code = over if any(each.code == over for each in statuses) else RateLimitResponse.Code.OK
        return RateLimitResponse(overall_code=code, statuses=statuses)

    def _judged(self, domain: str, entries: Entries) -> RateLimitResponse.DescriptorStatus:
        self.asked[domain, entries] += 1
        count = self._allowed.get(entries)
        if count is None:
            return RateLimitResponse.DescriptorStatus(code=RateLimitResponse.Code.OK)
        left = count - self.asked[domain, entries]
        return RateLimitResponse.DescriptorStatus(
            code=RateLimitResponse.Code.OK if left >= 0 else RateLimitResponse.Code.OVER_LIMIT,
            current_limit=RateLimitResponse.RateLimit(
                requests_per_unit=count, unit=RateLimitResponse.RateLimit.Unit.HOUR
            ),
            limit_remaining=max(left, 0),
        )


def _entries(descriptor: object) -> Entries:
    return tuple((each.key, each.value) for each in descriptor.entries)  # type: ignore[attr-defined]  # protobuf's


@asynccontextmanager
async def serving(limiter: Limiter, host: str) -> AsyncIterator[int]:
    """The port that it listens at."""
    server = grpc.aio.server()
    rls_pb2_grpc.add_RateLimitServiceServicer_to_server(limiter, server)
    port = server.add_insecure_port(f"{host}:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)
