"""What tests of the server over real sockets have in common: resources, raw requests, and who may connect."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.service.discovery.v3 import discovery_pb2

from osm.ads.credentials import ServerIdentity
from osm.ads.types import CLUSTER
from osm.testing.ads_client import DELTA_METHOD, ClientIdentity

PROXY = "spiffe://cluster.local/ns/shop/sa/web/proxy/1"


def cluster(name, seconds=1):
    message = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.EDS)
    message.connect_timeout.seconds = seconds
    message.eds_cluster_config.eds_config.ads.SetInParent()
    return message


def endpoints(name, priority=0):
    return endpoint_pb2.ClusterLoadAssignment(cluster_name=name, endpoints=[{"priority": priority}])


def target(xds):
    return f"127.0.0.1:{xds.port}"


class Authority:
    """A root, and certificates signed by it."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign("root", self.key.public_key(), x509.BasicConstraints(True, None))
        self.identity = None
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, *names, lifetime=timedelta(hours=1)):
        """Chain and key, both PEM, for DNS names or URIs."""
        key = ec.generate_private_key(ec.SECP256R1())
        sans = [x509.UniformResourceIdentifier(n) if "://" in n else x509.DNSName(n) for n in names]
        signed = self._sign("leaf", key.public_key(), x509.SubjectAlternativeName(sans), lifetime)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return signed.public_bytes(serialization.Encoding.PEM), private

    def server(self):
        """Always the same, as a server's identity is."""
        if self.identity is None:
            chain, key = self.issue("xds.test")
            self.identity = ServerIdentity(chain_pem=chain, key_pem=key, client_roots_pem=self.pem)
        return self.identity

    def client(self, *names, lifetime=timedelta(hours=1)):
        chain, key = self.issue(*names, lifetime=lifetime)
        return ClientIdentity(chain_pem=chain, key_pem=key, roots_pem=self.pem, server_name="xds.test")

    def _sign(self, name, public_key, extension, lifetime=timedelta(hours=1)):
        now = datetime.now(UTC)
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")]))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=1))
            .not_valid_after(now + lifetime)
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        )
        if name != "root":
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def raw(xds_channel, method=DELTA_METHOD):
    return xds_channel.stream_stream(method)()


def request(**fields):
    fields = {"node": {"id": "n"}, "type_url": CLUSTER} | fields
    return discovery_pb2.DeltaDiscoveryRequest(**fields).SerializeToString()
