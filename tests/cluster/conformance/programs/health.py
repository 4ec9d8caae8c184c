"""Run in a pod, from standard input: a gRPC server's health, `HOST:PORT WITHIN_S [tls]`.

Asks until it is `serving`, or the time is over; prints what it heard last.
"""

import ssl
import sys
import time

import grpc

PATIENCE_S = 10.0

target, within_s, *tls = sys.argv[1:]


def opened() -> grpc.Channel:
    """With TLS, whatever certificate the server shows. Raises OSError."""
    if not tls:
        return grpc.insecure_channel(target)
    roots = ssl.get_server_certificate((target.split(":")[0], int(target.split(":")[1])), timeout=PATIENCE_S).encode()
    named = (("grpc.ssl_target_name_override", "app.example"),)
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(roots), options=named)


def health() -> str:
    try:
        with opened() as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check", None, None)
            answer = check(b"", timeout=PATIENCE_S, wait_for_ready=True)
    except grpc.RpcError as error:
        return str(error.code().name)
    except OSError as error:
        return str(error)
    return "serving" if answer == b"\x08\x01" else repr(answer)


last = time.monotonic() + float(within_s)
while (said := health()) != "serving" and time.monotonic() < last:
    time.sleep(0.1)
print(said)  # noqa: T201  # what the program is for
