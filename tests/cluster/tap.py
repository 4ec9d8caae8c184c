"""What passes between pods: a tap on the node's bridge, and what it saw of whom.

Runs where the node runs, by the machine's own Python, so its program is text and needs nothing but the standard
library. It counts what the kernel could not hand over: a capture with holes would prove no secrecy.
"""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.cluster.node import ROOT, Cluster

BRIDGE = "cni0"

PROGRAM = """
import collections, json, select, socket, struct, sys
SOL_PACKET, ADD_MEMBERSHIP, STATISTICS, PROMISCUOUS, RCVBUFFORCE, ALL, IPV4, TCP = 263, 1, 6, 1, 33, 3, 0x0800, 6
NOBODYS = 0x88b5  # IEEE 802: for local experiments
bridge, markers = sys.argv[1], [each.encode() for each in sys.argv[2:]]
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
tap.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, 64 << 20)
tap.bind((bridge, ALL))
everyone = struct.pack("IHH8s", socket.if_nametoindex(bridge), PROMISCUOUS, 0, b"")
tap.setsockopt(SOL_PACKET, ADD_MEMBERSHIP, everyone)
pairs = collections.defaultdict(lambda: {"packets": 0, "bytes": 0, "records": 0, "markers": 0})
print("ready", flush=True)
ending = False
while True:
    ready, _, _ = select.select([tap] if ending else [tap, sys.stdin], [], [], 0 if ending else None)
    if sys.stdin in ready:
        tap.bind((bridge, NOBODYS))  # nothing more comes; what is in the buffer stays
        ending = True
        continue
    if tap not in ready:
        break
    frame = tap.recv(1 << 17)
    if len(frame) < 34 or struct.unpack_from("!H", frame, 12)[0] != IPV4 or frame[23] != TCP:
        continue
    length = struct.unpack_from("!H", frame, 16)[0]
    head = 14 + (frame[14] & 15) * 4
    payload = frame[head + (frame[head + 12] >> 4) * 4 : 14 + length]
    if not payload:
        continue
    pair = pairs[socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])]
    pair["packets"] += 1
    pair["bytes"] += len(payload)
    pair["records"] += payload[0] in range(0x14, 0x18) and payload[1:2] == b"\\3"
    pair["markers"] += sum(payload.count(marker) for marker in markers)
_, lost = struct.unpack("II", tap.getsockopt(SOL_PACKET, STATISTICS, 8))
print(json.dumps({"lost": lost, "pairs": [[*pair, found] for pair, found in pairs.items()]}))
"""

ENDS_WITHIN_S = 180.0


@dataclass(frozen=True)
class Seen:
    """TCP payloads between addresses. `records`: packets that begin a TLS record (RFC 8446 §5.1)."""

    packets: int = 0
    bytes: int = 0
    records: int = 0
    markers: int = 0

    def __add__(self, other: "Seen") -> "Seen":
        return Seen(
            self.packets + other.packets,
            self.bytes + other.bytes,
            self.records + other.records,
            self.markers + other.markers,
        )


class Capture:
    """What a tap saw; filled when its block ends."""

    def __init__(self) -> None:
        self.lost = 0
        self._pairs: list[tuple[str, str, Seen]] = []

    def fill(self, said: str) -> None:
        found = json.loads(said)
        self.lost = found["lost"]
        self._pairs = [(source, to, Seen(**seen)) for source, to, seen in found["pairs"]]

    def between(self, some: Sequence[str], others: Sequence[str]) -> Seen:
        """Both directions."""
        ways = ((a, b) for a, b in ((some, others), (others, some)))
        wanted = {(source, to) for sources, tos in ways for source in sources for to in tos}
        return sum((seen for source, to, seen in self._pairs if (source, to) in wanted), Seen())


@contextmanager
def tapped(cluster: Cluster, *markers: str) -> Iterator[Capture]:
    """Listen on the bridge while the block runs, and look for the markers in all that passes."""
    command = [str(ROOT / "scripts/cluster"), "inside", "python3", "-c", PROGRAM, BRIDGE, *markers]
    capture = Capture()
    with subprocess.Popen(
        command, env=dict(cluster.environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as tap:
        try:
            assert tap.stdout
            assert tap.stdout.readline() == "ready\n"
            yield capture
            said, _ = tap.communicate(timeout=ENDS_WITHIN_S)
            capture.fill(said)
        finally:
            tap.kill()
