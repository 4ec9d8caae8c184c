"""Run in a pod, from standard input: a gRPC server's health, `HOST:PORT [tls]`; prints `serving` or what it says."""

import ssl
import sys

import grpc

target, *tls = sys.argv[1:]
if tls:
    roots = ssl.get_server_certificate((target.split(":")[0], int(target.split(":")[1]))).encode()
    named = (("grpc.ssl_target_name_override", "app.example"),)
    channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(roots), options=named)
else:
    channel = grpc.insecure_channel(target)
try:
    check = channel.unary_unary("/grpc.health.v1.Health/Check", None, None)
    answer = check(b"", timeout=10, wait_for_ready=True)
    said = "serving" if answer == b"\x08\x01" else repr(answer)
except grpc.RpcError as error:
    said = error.code().name
print(said)  # noqa: T201  # what the program is for
