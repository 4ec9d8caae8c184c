"""Run in a pod, from standard input: what comes of requests, each over a connection of its own, as a JSON list.

`URL TIMES [UNTIL WITHIN_S [CERTIFICATE]]`; http, https (whoever answers), `tcp://` (sends, and reads it back),
`first://` (reads what the server says first) and `udp://`. With UNTIL, asks until the last TIMES outcomes all were one
of its words (`200`, `refused|closed`), or the time is over. CERTIFICATE is shown over https, with its key: base64 of
PEM. Needs nothing but the standard library.
"""

import base64
import collections
import http.client
import json
import socket
import ssl
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

PATIENCE_S = 10.0
SHOWN = sys.argv[5:]
SAID = b"there and back\n"


def ask(url: str) -> dict[str, Any]:
    parts = urllib.parse.urlsplit(url)
    try:
        return SPEAKS[parts.scheme](parts)
    except socket.gaierror:
        return {"word": "unresolved"}
    except ConnectionRefusedError:
        return {"word": "refused"}
    except TimeoutError:
        return {"word": "late"}
    except (ConnectionError, http.client.HTTPException, ssl.SSLError):
        return {"word": "closed"}
    except OSError as error:
        return {"word": str(error)}


def web(parts: urllib.parse.SplitResult) -> dict[str, Any]:
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        anybody = ssl.create_default_context()
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        if SHOWN:
            with tempfile.NamedTemporaryFile() as file:
                file.write(base64.b64decode(SHOWN[0]))
                file.flush()
                anybody.load_cert_chain(file.name)
        connection = http.client.HTTPSConnection(parts.netloc, timeout=PATIENCE_S, context=anybody)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE_S)
    try:
        connection.request("GET", parts.path or "/")
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace")
    finally:
        connection.close()
    said = json.loads(body) if answer.getheader("content-type") == "application/json" else {"text": body}
    return {"word": str(answer.status), **said}


def stream(parts: urllib.parse.SplitResult) -> dict[str, Any]:
    with socket.create_connection((parts.hostname, parts.port), PATIENCE_S) as connection:
        if parts.scheme == "tcp":
            connection.sendall(SAID)
        got = connection.recv(100)
    return {"word": got.decode().strip() or "closed"}


def packet(parts: urllib.parse.SplitResult) -> dict[str, Any]:
    with socket.socket(type=socket.SOCK_DGRAM) as plug:
        plug.settimeout(PATIENCE_S)
        plug.sendto(SAID, (parts.hostname, parts.port))
        return {"word": plug.recv(100).decode().strip()}


Speak = Callable[[urllib.parse.SplitResult], dict[str, Any]]
SPEAKS: dict[str, Speak] = {"http": web, "https": web, "tcp": stream, "first": stream, "udp": packet}


def main(url: str, times: str, until: str = "", within_s: str = "0") -> None:
    wanted, last = set(until.split("|")), time.monotonic() + float(within_s)
    seen = collections.deque((ask(url) for _ in range(int(times))), maxlen=int(times))
    while until and {each["word"] for each in seen} - wanted and time.monotonic() < last:
        time.sleep(0.1)
        seen.append(ask(url))
    print(json.dumps(list(seen)))  # noqa: T201  # what the program is for


main(*sys.argv[1:5])
