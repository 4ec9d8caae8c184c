"""Requests as a program beside a workload's app would send them: from inside the workload's namespaces.

`python -m osm.testing.inside http://api.shop:8080/books` or `… tcp://api.shop:9000` sends one and prints what came
of it as JSON; `ask` runs that in the namespaces of an app, as its user may (nsenter(1)). Linux only.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Mapping

import h11
import msgspec
from msgspec import Struct

from osm.testing.wire_http import ask as ask_http

TIMEOUT_S = 20.0
"""What has not come by then is told as `late`, which a busy machine must not be."""

ECHOED = b"echo\n"


class Outcome(Struct, frozen=True, kw_only=True):
    """`status` of an HTTP answer, else 0. `said` is its body, or what came back over TCP.

    `why` there was no answer: `refused`, `closed`, `late`, `unresolved`, or the system's words.
    """

    status: int = 0
    said: str = ""
    why: str = ""


def enter(pid: int, *command: str) -> tuple[str, ...]:
    """`command` in the user, network and mount namespace of a process of this user."""
    return ("nsenter", f"--target={pid}", "--user", "--net", "--mount", "--preserve-credentials", "--", *command)


def ask(pid: int, url: str, *, method: str = "GET") -> Outcome:
    """Send it from where the process is."""
    command = enter(pid, sys.executable, "-m", "osm.testing.inside", url, method)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=dict(_environment()))
    return msgspec.json.decode(done.stdout, type=Outcome)


def _environment() -> Mapping[str, str]:
    """No proxy: that is the point."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


async def send(url: str, method: str) -> Outcome:
    """Send it from here."""
    scheme, _, rest = url.partition("://")
    address, slash, path = rest.partition("/")
    try:
        async with asyncio.timeout(TIMEOUT_S):
            if scheme == "tcp":
                return await _tcp(address)
            answer = await ask_http(address, slash + path or "/", host=address, method=method)
    except (OSError, TimeoutError, h11.RemoteProtocolError) as error:
        return Outcome(why=_in_a_word(error))
    return Outcome(
        status=answer.status, said=answer.body.decode(errors="replace"), why="" if answer.status else "closed"
    )


def _in_a_word(error: Exception) -> str:
    match error:
        case socket.gaierror():
            return "unresolved"
        case ConnectionRefusedError():
            return "refused"
        case ConnectionError() | h11.RemoteProtocolError():
            return "closed"
        case TimeoutError():
            return "late"
        case _:
            return str(error)


async def _tcp(address: str) -> Outcome:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(ECHOED)
        line = await reader.readline()
    finally:
        writer.close()
    return Outcome(said=line.decode(errors="replace"), why="" if line else "closed")


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(asyncio.run(send(*sys.argv[1:3]))).decode())
