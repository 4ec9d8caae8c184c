"""A rate limit service, as Envoy asks one: `PORT`. A descriptor says itself how often it is allowed, by an entry of key
`allowed`; it is counted from the start of the program, and what says nothing is let through.
"""

import asyncio
import collections
import sys

import grpc
from envoy.service.ratelimit.v3 import rls_pb2_grpc
from envoy.service.ratelimit.v3.rls_pb2 import RateLimitRequest, RateLimitResponse

OK, OVER = RateLimitResponse.Code.OK, RateLimitResponse.Code.OVER_LIMIT


class Limits(rls_pb2_grpc.RateLimitServiceServicer):
    def __init__(self) -> None:
        self.asked: collections.Counter[tuple[tuple[str, str], ...]] = collections.Counter()

    async def ShouldRateLimit(self, request: RateLimitRequest, _context: object) -> RateLimitResponse:  # noqa: N802  # the protocol's
        code = OK
        for descriptor in request.descriptors:
            entries = tuple((entry.key, entry.value) for entry in descriptor.entries)
            self.asked[entries] += 1
            allowed = dict(entries).get("allowed")
            if allowed is not None and self.asked[entries] > int(allowed):
                code = OVER
        return RateLimitResponse(overall_code=code)


async def main(port: str) -> None:
    server = grpc.aio.server()
    rls_pb2_grpc.add_RateLimitServiceServicer_to_server(Limits(), server)
    server.add_insecure_port(f"0.0.0.0:{port}")
    await server.start()
    await server.wait_for_termination()


asyncio.run(main(*sys.argv[1:]))
