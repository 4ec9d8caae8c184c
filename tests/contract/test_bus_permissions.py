"""Each service logs in to a real server with our permissions: it can do its work, and nothing of another's."""

import asyncio
from pathlib import Path

import msgspec
import nats
import nats.errors
import pytest

from osm.bus import BusError, nats_wire, rights
from osm.bus.nats import open_nats
from osm.bus.nats_settings import NatsSettings
from osm.bus.permissions import USERS, password_variable, permissions, render
from osm.contracts.channels import BUCKETS, RPCS, SERVICE_STATUS, SIGN
from osm.contracts.names import Identity
from osm.contracts.status import ServiceStatus
from osm.contracts.trust import MeshLeaf, Refused, SignReply, SignRequest
from osm.testing.picture import PATIENCE_S, Picture
from osm.testing.signing import signing

pytestmark = pytest.mark.nats

REQUEST = SignRequest(csr_pem="csr", subject=MeshLeaf(identity=Identity("default", "bookbuyer")))


@pytest.fixture
def settings(tmp_path, keys):
    def settings(user: str, mode: int = 0o600) -> NatsSettings:
        file = tmp_path / user
        file.write_text(f"secret-{user}\n")
        file.chmod(mode)
        return signing(keys, user, password_file=str(file))

    return settings


@pytest.mark.parametrize("bucket", [bucket for bucket in BUCKETS if bucket != rights.STATUS])
async def test_an_owner_writes_its_bucket_and_each_reader_reads_it(server, settings, bucket: str) -> None:
    async with open_nats(server.url, bucket, settings(bucket)) as owner, owner.writer(bucket) as writer:
        revision = await writer.publish({})
        for name in filter(lambda name: rights.may_read(name, bucket), USERS):
            async with open_nats(server.url, name, settings(name)) as bus:
                update = await Picture(bus.watch(bucket)).next()
                assert (update.full, update.revision >= revision) == (True, True)


@pytest.mark.parametrize("name", rights.SERVICES)
async def test_a_service_reports_its_status(server, settings, name: str) -> None:
    line = SERVICE_STATUS.key(name, "a")
    value = ServiceStatus(service=name, replica="a", version="1", started_at_s=1.0)
    async with (
        open_nats(server.url, name, settings(name)) as bus,
        open_nats(server.url, "cli", settings("cli")) as reader,
    ):
        await bus.status().put(line, value)
        await Picture(reader.watch("status")).until(lambda now: line in now.keys)


async def test_a_permitted_question_is_answered(server, settings) -> None:
    async def sign(caller: str, request: SignRequest) -> SignReply:
        return SignReply(outcome=Refused(why=caller))

    async with open_nats(server.url, "certmgr", settings("certmgr")) as certmgr, certmgr.serve(SIGN, sign):
        for caller in SIGN.callers:
            async with open_nats(server.url, caller, settings(caller)) as bus:
                assert await bus.ask(SIGN, REQUEST, timeout_s=PATIENCE_S) == SignReply(outcome=Refused(why=caller))


def forbidden(user: str) -> list[str]:
    """What the user must not publish: every subject of the bus that is somebody else's."""
    subjects = [f"$KV.{bucket}.x" for bucket in BUCKETS if bucket not in (user, rights.STATUS)]
    subjects += [f"$KV.{bucket}._leader" for bucket in BUCKETS if bucket not in (user, rights.STATUS)]
    subjects += [f"$KV.status.service.{other}.a" for other in rights.SERVICES if other != user]
    subjects += [rpc.subject(other) for rpc in RPCS for other in rpc.callers if other != user]
    subjects += [rpc.subject(user) for rpc in RPCS if user not in rpc.callers]
    for bucket in BUCKETS:
        stream = nats_wire.stream(bucket)
        subjects += [f"$JS.API.{verb}.{stream}" for verb in ("STREAM.DELETE", "STREAM.UPDATE", "STREAM.MSG.DELETE")]
        subjects += [f"$JS.API.CONSUMER.DELETE.{stream}.x", f"$JS.API.STREAM.SNAPSHOT.{stream}"]
        if bucket != user:
            subjects += [f"$JS.API.STREAM.PURGE.{stream}"]
            subjects += [] if bucket == rights.STATUS else [f"$JS.API.STREAM.CREATE.{stream}"]
        if not rights.may_read(user, bucket):
            subjects += [f"$JS.API.CONSUMER.CREATE.{stream}.x", f"$JS.API.STREAM.INFO.{stream}"]
            subjects += [f"$JS.API.STREAM.MSG.GET.{stream}", f"$JS.API.DIRECT.GET.{stream}"]
    return [*subjects, "$JS.API.STREAM.LIST", "$JS.API.STREAM.CREATE.mine", "_INBOX_thief.x", "anything"]


@pytest.mark.parametrize("user", USERS)
async def test_a_user_can_do_nothing_of_anothers(server, user: str) -> None:
    denied: list[str] = []

    async def note(error: Exception) -> None:
        denied.append(str(error).lower())

    client = await nats.connect(server.url, user=user, password=f"secret-{user}", error_cb=note)
    try:
        publishing = forbidden(user)
        for subject in publishing:
            await client.publish(subject, b"{}")
        listening = [f"_INBOX_{other}.>" for other in USERS if other != user]
        listening += ["$KV.>", "_INBOX.>", ">", "$JS.>"]
        listening += [rpc.subject("*") for rpc in RPCS if rpc.owner != user]
        for subject in listening:
            await client.subscribe(subject)
        wanted = {f'publish to "{subject}"'.lower() for subject in publishing}
        wanted |= {f'subscription to "{subject}"'.lower() for subject in listening}
        async with asyncio.timeout(PATIENCE_S):
            while missing := {want for want in wanted if not any(want in words for words in denied)}:
                await asyncio.sleep(0.05)
        assert not missing
    finally:
        await client.close()


async def test_a_wrong_password_is_refused_at_once(server, settings) -> None:
    guess = settings("catalog")
    Path(guess.password_file).write_text("guess")
    with pytest.raises(BusError, match="the server refuses catalog"):
        await open_nats(server.url, "catalog", guess).__aenter__()


async def test_a_password_that_others_may_read_is_refused(server, settings, keys) -> None:
    with pytest.raises(BusError, match="mode 0640 lets others read it, allowed are 0600 and 0400"):
        await open_nats(server.url, "catalog", settings("catalog", 0o640)).__aenter__()
    with pytest.raises(BusError, match="nowhere: No such file"):
        await open_nats(server.url, "catalog", signing(keys, "catalog", password_file="/nowhere")).__aenter__()


def test_nobody_may_publish_or_hear_everything() -> None:
    for user in USERS:
        allowed = permissions(user)
        for subject in (*allowed.publish, *allowed.subscribe):
            assert subject.split(".")[0] not in ("*", ">")
            assert subject not in ("$KV.>", "$JS.API.>", "$JS.>")


def test_the_shipped_users_are_those_of_the_channel_table() -> None:
    shipped = Path(__file__).parents[2] / "deploy" / "nats" / "users.conf"
    assert shipped.read_text().partition("\n")[2] == render()


def test_leases_and_marks_survive_their_encoding() -> None:
    lease = nats_wire.Lease(holder="a", lease_s=4.0)
    assert nats_wire.read_lease(msgspec.json.encode(lease)) == lease
    assert nats_wire.read_lease(b"nonsense") == nats_wire.Lease(holder="", lease_s=nats_wire.UNKNOWN_LEASE_S)
    assert nats_wire.read_lease(None) is None
    assert nats_wire.read_mark(b"nonsense") is None


def test_delivered_messages_are_located_with_and_without_a_domain() -> None:
    short = nats_wire.position("$JS.ACK.KV_catalog.c.1.42.7.1700000000000000000.3")
    long = nats_wire.position("$JS.ACK.hub.hash.KV_catalog.c.1.42.7.1700000000000000000.3.token")
    assert short == long == nats_wire.Position("c", 42, 7, 1.7e9, 3)


async def test_the_shipped_configuration_is_valid(binary, monkeypatch) -> None:
    for user in USERS:
        monkeypatch.setenv(password_variable(user), "secret")
    configuration = Path(__file__).parents[2] / "deploy" / "nats" / "nats-server.conf"
    checking = await asyncio.create_subprocess_exec(binary, "-t", "-c", configuration, stderr=asyncio.subprocess.PIPE)
    _, words = await checking.communicate()
    assert (checking.returncode, b"is valid" in words) == (0, True), words
