"""Hostile sequences of messages on real gRPC streams: each may end its own stream, and nothing else.

After whatever was said, a bystander still gets what changes, and once the hostile streams are closed the server has
not one stream, session or task more than before. Most streams begin as an honest one does, so that what follows
reaches the engine and does not end at the door; the test fails if it did not.
"""

import asyncio
import gc
from collections import Counter
from contextlib import AsyncExitStack, suppress

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.service.discovery.v3 import discovery_pb2
from grpc import aio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, precondition, rule, run_state_machine_as_test

from osm.ads.methods import METHODS
from osm.ads.types import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from osm.testing.ads_client import ads_client, channel
from osm.testing.xds_server import xds_server

PATIENCE_S = 30
"""What takes longer is stuck."""

MOST_OPEN = 12
"""Below what a connection may have (`STREAMS_PER_CONNECTION`): one stream more would wait for another to end."""

MOMENT_S = 0.05
"""For a response that may never come."""

TYPES = st.sampled_from(["", CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, "nonsense", "\x00", "type.googleapis.com/"])
NAMES = st.lists(st.sampled_from(["*", "", "a", "b", "ghost", "é" * 50]) | st.text(max_size=8), max_size=5)
NONCES = st.sampled_from(["", "0", "1", "2", "3", "-1", "last", "9" * 40])
BYSTANDER = "bystander"
ERRORS = st.none() | st.sampled_from(["", "cluster(s) a: no", "ghost", "(" * 100, "a b c"])


class Hostile:
    """A raw stream. What it is sent is read, or not."""

    def __init__(self, connection, method, *, reads):
        self.is_delta = method.is_delta
        self.call = connection.stream_stream(f"/{method.service}/{method.name}")()
        self.nonce = ""
        self.unanswered = asyncio.Queue()
        self.reader = asyncio.ensure_future(self._read()) if reads else None

    async def _read(self):
        with suppress(aio.AioRpcError, asyncio.CancelledError):
            while isinstance(data := await self.call.read(), bytes):
                kind = discovery_pb2.DeltaDiscoveryResponse if self.is_delta else discovery_pb2.DiscoveryResponse
                got = kind.FromString(data)
                self.nonce = got.nonce
                self.unanswered.put_nowait((got.type_url, got.nonce))

    async def begin(self, type_url, names):
        """As an honest client does."""
        about = {"resource_names_subscribe": names} if self.is_delta else {"resource_names": names}
        await self.say(self.request(node={"id": "n"}, type_url=type_url, **about).SerializeToString())

    async def answer(self, error, names, *, twice):
        """What has come, if anything comes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(MOMENT_S):
                type_url, nonce = await self.unanswered.get()
                about = {"resource_names_subscribe": names} if self.is_delta else {"resource_names": names}
                message = self.request(type_url=type_url, response_nonce=nonce, **about)
                if error is not None:
                    message.error_detail.message = error
                for _ in range(2 if twice else 1):
                    await self.say(message.SerializeToString())

    @property
    def request(self):
        return discovery_pb2.DeltaDiscoveryRequest if self.is_delta else discovery_pb2.DiscoveryRequest

    async def say(self, data):
        with suppress(aio.AioRpcError, asyncio.InvalidStateError, aio.UsageError):
            await self.call.write(data)

    async def close(self, *, politely):
        if politely:
            with suppress(aio.AioRpcError, asyncio.InvalidStateError, aio.UsageError):
                await self.call.done_writing()
        self.call.cancel()
        if self.reader is not None:
            await self.reader


class HostileStreams(RuleBasedStateMachine):
    """Streams that say anything in any order, over one server, beside one honest client."""

    streams = Bundle("streams")
    reached = Counter()
    """What of the hostile has come as far as the engine, over all examples."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.open = []
        self.changes = 0
        self._run(self._begin())

    def _run(self, work):
        async def in_time():
            async with asyncio.timeout(PATIENCE_S):
                return await work

        return self.loop.run_until_complete(in_time())

    async def _begin(self):
        self.xds = await self.stack.enter_async_context(xds_server())
        self.xds.put(*(cluster_pb2.Cluster(name=name) for name in "ab"))
        target = f"127.0.0.1:{self.xds.port}"
        self.bystander = await self.stack.enter_async_context(ads_client(target, node_id=BYSTANDER))
        await self.bystander.version(CLUSTER, "a")
        await self.xds.acked()
        self.channel = await self.stack.enter_async_context(channel(target, None))

    @precondition(lambda self: len(self.open) < MOST_OPEN)
    @rule(
        target=streams,
        method=st.sampled_from((*METHODS[:2] * 6, *METHODS)),
        reads=st.sampled_from([True, True, False]),
        asks=st.sampled_from([CLUSTER, CLUSTER, LISTENER, ENDPOINT, None]),
        names=st.sampled_from([["a"], [], ["*", "a", "ghost"]]),
        error=st.sampled_from(["cluster(s) a: no", None, ""]),
    )
    def come(self, method, reads, asks, names, error):
        async def begin():
            stream = Hostile(self.channel, method, reads=reads)
            if asks is not None:
                await stream.begin(method.only_type or asks, names)
                if reads:
                    await stream.answer(error, names, twice=False)
            return stream

        stream = self._run(begin())
        self.open.append(stream)
        return stream

    @rule(stream=streams, data=st.binary(max_size=200))
    def say_nonsense(self, stream, data):
        self._run(stream.say(data))

    @rule(
        stream=streams,
        node=st.sampled_from(["n", "n", "n", "n" * 500, ""]),
        kind=TYPES,
        nonce=NONCES,
        error=ERRORS,
        names=NAMES,
        gone=NAMES,
        held=st.dictionaries(st.sampled_from(["a", "b", "ghost", ""]), st.sampled_from(["", "x", "0"]), max_size=3),
    )
    def say_something(self, stream, *, node, kind, nonce, error, names, gone, held):
        nonce = stream.nonce if nonce == "last" else nonce
        node = {"id": node}
        if stream.is_delta:
            message = stream.request(
                node=node,
                type_url=kind,
                response_nonce=nonce,
                resource_names_subscribe=names,
                resource_names_unsubscribe=gone,
                initial_resource_versions=held,
            )
        else:
            message = stream.request(
                node=node,
                type_url=kind,
                response_nonce=nonce,
                resource_names=names,
                version_info="".join(held.values()),
            )
        if error is not None:
            message.error_detail.message = error
        self._run(stream.say(message.SerializeToString()))

    @rule(stream=streams, error=ERRORS, names=NAMES, twice=st.booleans())
    def answer(self, stream, error, names, twice):
        if stream.reader is not None:
            self._run(stream.answer(error, names, twice=twice))

    @rule(stream=consumes(streams), politely=st.booleans())
    def leave(self, stream, politely):
        self.open.remove(stream)
        self._run(stream.close(politely=politely))

    @rule(name=st.sampled_from(["a", "b", "c"]), remove=st.booleans())
    def change(self, name, remove):
        self.changes += 1
        if remove:
            self.xds.remove(CLUSTER, name)
        else:
            cluster = cluster_pb2.Cluster(name=name)
            cluster.connect_timeout.seconds = self.changes
            self.xds.put(cluster, endpoint_pb2.ClusterLoadAssignment(cluster_name=name))
        self._run(asyncio.sleep(0))

    def teardown(self):
        try:
            self._run(self._end())
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    async def _end(self):
        self.xds.put(cluster_pb2.Cluster(name="after"))
        await self.bystander.version(CLUSTER, "after")
        for stream in self.open:
            await stream.close(politely=False)
        while self.xds.open_streams > 1:
            await asyncio.sleep(0.005)
        await self.xds.acked()
        assert len(self.xds.streams) == 1
        self._count()
        await self.stack.aclose()
        while self.xds.open_streams or of_ours():  # a stopped server's handlers end in the loop's next rounds
            await asyncio.sleep(0.005)
            gc.collect()

    def _count(self):
        self.reached["acks"] += sum(node != BYSTANDER for node, _ in self.xds.acks)
        self.reached["rejections"] += len(self.xds.rejections)
        self.reached["admitted"] += sum(node != BYSTANDER for node, _ in self.xds.disconnections)


def of_ours():
    return [task for task in asyncio.all_tasks() - {asyncio.current_task()} if "osm" in str(task.get_coro())]


HOSTILE = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def test_whatever_hostile_streams_say_they_end_themselves_alone():
    run_state_machine_as_test(HostileStreams, settings=HOSTILE)
    reached = HostileStreams.reached
    assert min(reached[what] for what in ("acks", "rejections", "admitted")) >= 3, reached
