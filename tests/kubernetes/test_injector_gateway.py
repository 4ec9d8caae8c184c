"""The ingress gateway's Secret on a real API server: made, changed with what is asked for, and nobody else's."""

from contextlib import asynccontextmanager

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from osm.contracts.channels import IDENTITY, MESH_CONFIG
from osm.contracts.endpoints import MeshIdentity
from osm.contracts.names import Identity
from osm.contracts.policy import IngressGateway, Mesh
from osm.k8s import resource
from osm.k8s.errors import NotFound
from osm.k8s.objects import Secret
from osm.pki.reading import load_chain
from services.injector import gateway_controller
from tests.kubernetes.running import until

NAME = "client-cert"


def asking(town, *names, secret=NAME):
    names = names or ("gateway.edge.cluster.local", "shop.example.com")
    gateway = IngressGateway(dns_names=names, lifetime_s=3600, namespace=town.shop, name=secret)
    return Mesh(ingress_gateway=gateway)


@asynccontextmanager
async def told(town, mesh):
    """The injector at work, and what tells it of another MeshConfig."""
    member = Identity(town.shop, "store")
    async with (
        town.core.bus("meshspec").writer("meshspec") as meshspec,
        town.core.bus("endpoints").writer("endpoints") as endpoints,
    ):
        await meshspec.publish({MESH_CONFIG.key(): mesh})
        await endpoints.publish({IDENTITY.key(town.shop, "store"): MeshIdentity(identity=member)})

        async def say(other):
            await meshspec.apply({MESH_CONFIG.key(): other}, ())

        async with town.certmgr(), town.injector():
            yield say


async def found(town, name=NAME):
    try:
        return await town.cluster.get(resource.SECRETS, name, town.shop, as_=Secret)
    except NotFound:
        return None


def leaf(secret):
    return load_chain(secret.data["tls.crt"])[0]


def names_of(secret):
    names = leaf(secret).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert len(list(names)) == len(names.get_values_for_type(x509.DNSName)), "no URI, no address"
    return tuple(sorted(names.get_values_for_type(x509.DNSName)))


async def test_the_secret_holds_a_clients_certificate_with_all_its_names(town):
    async with told(town, asking(town)):
        secret = await until(lambda: found(town))
    assert secret.type == "kubernetes.io/tls"
    assert names_of(secret) == ("gateway.edge.cluster.local", "shop.example.com")
    uses = leaf(secret).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    leaf(secret).verify_directly_issued_by(load_chain(secret.data["ca.crt"])[0])
    assert b"PRIVATE KEY" in secret.data["tls.key"]


async def test_it_follows_the_mesh_config_and_goes_with_it(town):
    async with told(town, asking(town)) as say:
        await until(lambda: found(town))
        await say(asking(town, "other.example.com"))

        async def changed():
            return names_of(await found(town)) == ("other.example.com",)

        await until(changed)
        await say(asking(town, "other.example.com", secret="elsewhere"))
        await until(lambda: found(town, "elsewhere"))

        async def gone():
            return await found(town) is None

        await until(gone)
        await say(Mesh())

        async def all_gone():
            return await found(town, "elsewhere") is None

        await until(all_gone)


async def test_one_that_was_deleted_is_made_again(town):
    async with told(town, asking(town)):
        first = await until(lambda: found(town))
        await town.cluster.delete(resource.SECRETS, NAME, town.shop)
        second = await until(lambda: found(town))
    assert first.data["tls.key"] != second.data["tls.key"]


async def test_a_secret_of_that_name_that_is_not_ours_is_left_alone(town, monkeypatch):
    monkeypatch.setattr(gateway_controller, "retry_in", lambda *_: 0.05)
    theirs = {"metadata": {"name": NAME, "namespace": town.shop}, "stringData": {"tls.key": "theirs"}}
    await town.cluster.create(resource.SECRETS, theirs)
    async with told(town, asking(town)) as say:
        await say(asking(town, secret="elsewhere"))
        await until(lambda: found(town, "elsewhere"))
    assert (await found(town)).data == {"tls.key": b"theirs"}


async def test_a_workloads_name_is_not_the_gateways_to_have(town, monkeypatch):
    monkeypatch.setattr(gateway_controller, "retry_in", lambda *_: 0.05)
    async with told(town, asking(town, f"store.{town.shop}.cluster.local", secret="posing")) as say:

        async def said():
            events = await town.cluster.list(resource.EVENTS, town.home, as_=dict)
            return [each["message"] for each in events if each["reason"] == "GatewayNotCertified"]

        (why,) = await until(said)
        assert f"is the name of workloads of {town.shop}/store" in why
        await say(asking(town, "free.example.com"))
        await until(lambda: found(town))
        assert await found(town, "posing") is None
