"""A CA plug-in in the test's process: a real gRPC server of `proto/osm/ca/v1/ca.proto` before any function."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc import aio

from services.certmgr.plugin_messages import (
    PACKAGE,
    SERVICE,
    RootsRequest,
    RootsResponse,
    SignRequest,
    SignResponse,
)
from tests.other_ca import OtherCa

Sign = Callable[[Any, aio.ServicerContext], Awaitable[str]]


def signer(ca: OtherCa) -> Sign:
    """As the authority should."""

    async def sign(request: Any, _context: aio.ServicerContext) -> str:
        subject = request.subject
        return ca.sign(
            request.csr_pem,
            subject.uri,
            tuple(subject.dns_names),
            client=subject.client,
            server=subject.server,
            lifetime_s=request.lifetime_s,
        )

    return sign


@asynccontextmanager
async def plugin(
    address: str, ca: OtherCa, *, sign: Sign | None = None, tls: grpc.ServerCredentials | None = None
) -> AsyncIterator[int]:
    """Serves until the block ends; yields the port (1 for a socket)."""
    answer = sign or signer(ca)

    async def roots(_request: Any, _context: aio.ServicerContext) -> Any:
        return RootsResponse(roots_pem=ca.root_pem)

    async def signed(request: Any, context: aio.ServicerContext) -> Any:
        return SignResponse(chain_pem=await answer(request, context))

    def method(function: Any, asked: Any) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(
            function, request_deserializer=asked.FromString, response_serializer=lambda said: said.SerializeToString()
        )

    server = aio.server()
    methods = {"Roots": method(roots, RootsRequest), "Sign": method(signed, SignRequest)}
    handler = grpc.method_handlers_generic_handler(f"{PACKAGE}.{SERVICE}", methods)
    server.add_generic_rpc_handlers((handler,))
    mask = os.umask(0o177)
    try:
        port = server.add_secure_port(address, tls) if tls else server.add_insecure_port(address)
        await server.start()
    finally:
        os.umask(mask)
    try:
        yield port
    finally:
        await server.stop(0)
