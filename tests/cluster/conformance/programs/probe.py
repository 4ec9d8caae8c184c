"""Run in a pod, from standard input: `PROTOCOL TIMES HOST`, messages to a server of `demo.echo_server`, a report."""

import asyncio
import json
import sys

from demo.http_client import HttpClient
from demo.probes import probe


async def main(protocol: str, times: str, host: str) -> None:
    targets = {
        "http1": f"http://{host}:8080",
        "websocket": f"{host}:8080",
        "h2c": f"{host}:8081",
        "grpc": f"{host}:9090",
        "tcp": f"{host}:9000",
    }
    async with HttpClient() as client:
        report = await probe(protocol, int(times), targets, client)
    print(json.dumps(report.as_document()))  # noqa: T201  # what the program is for


asyncio.run(main(*sys.argv[1:]))
