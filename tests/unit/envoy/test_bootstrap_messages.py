import asyncio
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf import message_factory, symbol_database
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message

from osm.contracts.names import Address, Identity
from osm.envoy import admin, binary
from osm.envoy.bootstrap import Sidecar, bootstrap, certificate_sds, roots_sds, text
from osm.envoy.end_with_parent import tied_to_parent


def sidecar(folder: Path) -> Sidecar:
    return Sidecar(
        proxy_id="bookbuyer-0.bookbuyer",
        identity=Identity("bookbuyer", "buyer"),
        trust_domain="cluster.local",
        xds=Address("127.0.0.1", 1),
        admin=folder / "admin.sock",
        certificate_sds=folder / "certificate.json",
        roots_sds=folder / "roots.json",
    )


def test_load_reports_go_to_xds_if_they_are_wanted(tmp_path):
    assert "cluster_manager" not in as_dict(tmp_path)
    wanted = msgspec.structs.replace(sidecar(tmp_path), load_reports=True)
    config = json.loads(text(bootstrap(wanted)))["cluster_manager"]["load_stats_config"]
    assert config["api_type"] == "GRPC"
    assert [each["envoy_grpc"]["cluster_name"] for each in config["grpc_services"]] == ["osm-xds"]


def as_dict(folder: Path) -> dict:
    return json.loads(text(bootstrap(sidecar(folder))))


def test_the_node_is_named_by_proxy_and_identity(tmp_path):
    assert as_dict(tmp_path)["node"] == {"id": "bookbuyer-0.bookbuyer", "cluster": "buyer.bookbuyer"}


def test_its_text_is_deterministic(tmp_path):
    assert text(bootstrap(sidecar(tmp_path))) == text(bootstrap(sidecar(tmp_path)))


def test_admin_is_a_unix_socket_that_only_its_owner_opens(tmp_path):
    pipe = as_dict(tmp_path)["admin"]["address"]["pipe"]
    assert pipe == {"path": str(tmp_path / "admin.sock"), "mode": 0o600}


def test_configuration_comes_by_delta_ads_and_is_waited_for_without_limit(tmp_path):
    dynamic = as_dict(tmp_path)["dynamic_resources"]
    assert dynamic["ads_config"]["api_type"] == "DELTA_GRPC"
    assert dynamic["ads_config"]["set_node_on_first_message_only"] is True
    assert {dynamic[kind]["initial_fetch_timeout"] for kind in ("cds_config", "lds_config")} == {"0s"}


def test_every_stream_to_xds_has_a_connection_of_its_own(tmp_path):
    (cluster,) = as_dict(tmp_path)["static_resources"]["clusters"]
    (options,) = cluster["typed_extension_protocol_options"].values()
    assert options["common_http_protocol_options"] == {"max_requests_per_connection": 1}
    assert "connection_keepalive" in options["explicit_http_config"]["http2_protocol_options"]


def test_the_identity_of_xds_is_pinned(tmp_path):
    (cluster,) = as_dict(tmp_path)["static_resources"]["clusters"]
    common = cluster["transport_socket"]["typed_config"]["common_tls_context"]
    context = common["combined_validation_context"]["default_validation_context"]
    assert context["match_typed_subject_alt_names"] == [
        {"san_type": "URI", "matcher": {"exact": "spiffe://cluster.local/ns/osm-system/sa/osm-xds"}}
    ]


def sds(folder: Path, **changes: Any) -> list[dict]:
    (cluster,) = json.loads(text(bootstrap(msgspec.structs.replace(sidecar(folder), **changes))))["static_resources"][
        "clusters"
    ]
    common = cluster["transport_socket"]["typed_config"]["common_tls_context"]
    (certificate,) = common["tls_certificate_sds_secret_configs"]
    roots = common["combined_validation_context"]["validation_context_sds_secret_config"]
    return [each["sds_config"]["path_config_source"] for each in (certificate, roots)]


def test_certificate_and_roots_are_read_again_when_their_files_are_replaced(tmp_path):
    assert sds(tmp_path) == [{"path": str(tmp_path / name)} for name in ("certificate.json", "roots.json")]


def test_a_platform_that_moves_a_link_has_the_folder_of_that_link_watched(tmp_path):
    watched = [each["watched_directory"] for each in sds(tmp_path, watched=tmp_path / "secret")]
    assert watched == [{"path": str(tmp_path / "secret")}] * 2


def test_the_secrets_name_no_further_file(tmp_path):
    """Each file that an Envoy watches is one of the 128 inotify instances of its user."""
    secrets = [certificate_sds(key_pem="K", chain_pem="C"), roots_sds("R")]
    bodies = [json.loads(text(each))["resources"][0] for each in secrets]
    assert bodies[0]["tls_certificate"] == {
        "certificate_chain": {"inline_string": "C"},
        "private_key": {"inline_string": "K"},
    }
    assert bodies[1]["validation_context"] == {"trusted_ca": {"inline_string": "R"}}


def messages(message: Message) -> Iterator[Message]:
    """The message and all it holds, packed ones unpacked."""
    yield message
    if isinstance(message, AnyMessage):
        kind = message.type_url.rpartition("/")[2]
        descriptor = symbol_database.Default().pool.FindMessageTypeByName(kind)
        inner = message_factory.GetMessageClass(descriptor)()
        message.Unpack(inner)
        yield from messages(inner)
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            values = [v for v in value.values() if isinstance(v, Message)]
        else:
            values = value if field.is_repeated else [value]
        for inner in values:
            yield from messages(inner)


def test_no_deprecated_field_is_used(tmp_path):
    whole = [bootstrap(sidecar(tmp_path)), certificate_sds(key_pem="K", chain_pem="C"), roots_sds("R")]
    used = [field for top in whole for message in messages(top) for field, _ in message.ListFields()]
    assert len(used) > 30
    assert [field.full_name for field in used if field.GetOptions().deprecated] == []


async def test_an_envoy_that_is_not_there_is_said_so(tmp_path):
    reply = await admin.read(tmp_path / "admin.sock", "clusters")
    assert reply.body == ""
    assert str(tmp_path / "admin.sock") in reply.why


async def test_a_leashed_child_dies_with_its_parent():
    """A middle process starts a tied_to_parent `sleep`, says its id, and is killed."""
    script = (
        "import subprocess, sys, time; from osm.envoy.end_with_parent import tied_to_parent;"
        "child = subprocess.Popen(tied_to_parent('sleep', '600')); print(child.pid, flush=True); time.sleep(600)"
    )
    middle = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    child = int(await middle.stdout.readline())
    async with asyncio.timeout(30):
        while not Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"sleep"):
            await asyncio.sleep(0.01)
        middle.kill()
        await middle.wait()
        while is_alive(child):
            await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_leash_names_the_program_that_cannot_be_started():
    process = await asyncio.create_subprocess_exec(*tied_to_parent("/no/such/program"), stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert (process.returncode, said) == (127, b"/no/such/program: No such file or directory\n")


def test_the_envoy_program_is_found_beside_its_messages():
    assert os.access(binary.find(), os.X_OK)


def test_a_program_that_is_not_there_is_named():
    with pytest.raises(binary.NoEnvoy, match="no program at /no/such/envoy"):
        binary.find("/no/such/envoy")


def test_a_mark_is_put_on_every_connection_that_is_opened(tmp_path):
    plain = sidecar(tmp_path)
    marked = bootstrap(msgspec.structs.replace(plain, mark=0x5DC))
    (option,) = marked.cluster_manager.upstream_bind_config.socket_options
    assert (option.level, option.name, option.int_value) == (socket.SOL_SOCKET, socket.SO_MARK, 0x5DC)
    assert not bootstrap(plain).HasField("cluster_manager")
