"""What a bug report holds, what it leaves out, and that there is none if it was not finished."""

import tarfile
import zipfile
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from osm.cli.kubernetes.archive import archived
from osm.cli.kubernetes.bug_report import Asked
from osm.cli.kubernetes.kubernetes_objects import Pod
from osm.cli.kubernetes.redaction import redacted
from osm.cli.output import CommandError

SECRETS = (
    "-----BEGIN EC PRIVATE KEY-----\nhunter2222\n-----END EC PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\\nhunter2222\\n",
    "data: LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCmh1bnRlcg==",
    "LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS0tLS0tCmh1bnRlcg==",
    "Authorization: Bearer hunter2222",
    "authorization: Basic hunter2222==",
    '{"authorization": "Basic hunter2222=="}',
    "Set-Cookie: session=hunter2222; Path=/",
    '{"password": "hunter2222"}',
    '{"password": "a, b hunter2222"}',
    '{"password": "a\\"hunter2222"}',
    '{"password": "x1"}',
    "{'password': 'hunter2222'}",
    '{\\"password\\":\\"hunter2222\\"}',
    '"name": "DB_PASSWORD",\n  "value": "hunter2222"',
    "OSM_NATS_PASSWORD=hunter2222",
    "OSM_NATS_PASSWORD_XDS: hunter2222",
    "aws_secret_access_key=hunter2222",
    "clientSecret: hunter2222",
    "GET /a?api_key=hunter2222&b=1",
    "nats://cli:hunter2222@nats:4222",
    "redis://:hunter2222@cache",
    "eyJhbGciOiJI.eyJzdWIiOiIx.hunter2222",
    "AKIAABCDEFGHIJKLMNOP",
    "ghp_hunter2222hunter2222hunter2222",
    "hvs.hunter2222hunter2222hunter2222",
)


@pytest.mark.parametrize("secret", SECRETS)
def test_what_looks_like_a_secret_is_hidden(secret: str) -> None:
    hidden = redacted(f"before\n{secret}\nafter")
    assert "[hidden]" in hidden
    for word in ("hunter2222", "x1", "aHVudGVy", "Cmh1bnRlcg", "AKIAABCD"):
        assert word not in hidden
    assert hidden.startswith("before\n")


def test_what_is_hidden_once_is_not_hidden_again() -> None:
    assert redacted('{"token": "abc", "password": ""}') == '{"token": "[hidden]", "password": ""}'


@pytest.mark.parametrize(
    "said",
    [
        "service-cert:shop/web is active; secret osm-nats-xds not found; token expired",
        '"secretName": "osm-nats-tls"',
        '"token_bucket": {"max_tokens": 100}',
        "OSM_NATS_PASSWORD_FILE=/etc/osm/password",
        "caBundle: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t",
        "http://store.shop:8080/a@b",
    ],
)
def test_ordinary_words_stay(said: str) -> None:
    assert redacted(said) == said


def test_the_archive_is_what_its_name_says_and_for_its_owner_alone(tmp_path: Path) -> None:
    names = ("r.zip", "r.tar.gz", "r.tar")
    for name in names:
        with archived(tmp_path / name) as texts:
            texts |= {"b/c.log": "one\n", "a.json": "{}\n"}
    with zipfile.ZipFile(tmp_path / "r.zip") as made:
        assert made.namelist() == ["a.json", "b/c.log"]
    for name in names[1:]:
        with tarfile.open(tmp_path / name) as tar:
            assert tar.getnames() == ["a.json", "b/c.log"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_a_report_that_is_broken_off_leaves_nothing_and_spoils_nothing(tmp_path: Path) -> None:
    file = tmp_path / "r.tar.gz"
    file.write_text("an older one")
    with pytest.raises(KeyboardInterrupt), archived(file):
        raise KeyboardInterrupt
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"r.tar.gz": "an older one"}


def test_a_place_that_cannot_be_is_told_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"r\.doc: the name must end in \.zip"), archived(tmp_path / "r.doc"):
        pytest.fail("the work was begun")
    with pytest.raises(CommandError, match="No such file or directory"), archived(tmp_path / "no" / "r.zip"):
        pytest.fail("the work was begun")


def test_pods_are_asked_for_by_namespace_deployment_or_name() -> None:
    found = msgspec.convert(
        {"metadata": {"name": "web-7d4b9c6f5-x2x8q", "namespace": "shop", "labels": {"osm-proxy-uuid": "u"}}}, Pod
    )
    assert Asked(namespaces=("shop",)).includes(found)
    assert Asked(deployments=("shop/web",)).includes(found)
    assert Asked(pods=("shop/web-7d4b9c6f5-x2x8q",)).includes(found)
    assert Asked(everything=True).includes(found)
    assert not Asked(deployments=("shop/we",)).includes(found)
    assert not Asked(everything=True).includes(
        structs.replace(found, metadata=structs.replace(found.metadata, labels={}))
    )
