"""The messages of `proto/osm/ca/v1/ca.proto`, by their tables.

Written by hand, since generated code ties the product to the one release of protobuf that made it; a test compiles
the file and fails unless both are the same. Pure.
"""

from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

FILE, PACKAGE, SERVICE = "osm/ca/v1/ca.proto", "osm.ca.v1", "CertificateAuthority"

_TEXT, _FLAG, _NUMBER = (
    FieldDescriptorProto.TYPE_STRING,
    FieldDescriptorProto.TYPE_BOOL,
    FieldDescriptorProto.TYPE_INT64,
)


def _field(number: int, name: str, what: Any, *, repeated: bool = False, message: str = "") -> FieldDescriptorProto:
    label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
    if message:
        return FieldDescriptorProto(
            name=name, number=number, type=FieldDescriptorProto.TYPE_MESSAGE, label=label, type_name=message
        )
    return FieldDescriptorProto(name=name, number=number, type=what, label=label)


TABLES = (
    DescriptorProto(name="RootsRequest", field=[_field(1, "trust_domain", _TEXT)]),
    DescriptorProto(name="RootsResponse", field=[_field(1, "roots_pem", _TEXT)]),
    DescriptorProto(
        name="SignRequest",
        field=[
            _field(1, "csr_pem", _TEXT),
            _field(2, "subject", None, message=f".{PACKAGE}.Subject"),
            _field(3, "lifetime_s", _NUMBER),
        ],
    ),
    DescriptorProto(
        name="Subject",
        field=[
            _field(1, "uri", _TEXT),
            _field(2, "dns_names", _TEXT, repeated=True),
            _field(3, "client", _FLAG),
            _field(4, "server", _FLAG),
        ],
    ),
    DescriptorProto(name="SignResponse", field=[_field(1, "chain_pem", _TEXT)]),
)

_pool = DescriptorPool()  # of our own: a program that has compiled the file has them in the common one
_pool.Add(FileDescriptorProto(name=FILE, package=PACKAGE, syntax="proto3", message_type=TABLES))


def _message(name: str) -> Any:
    return GetMessageClass(_pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))


RootsRequest, RootsResponse = _message("RootsRequest"), _message("RootsResponse")
SignRequest, SignResponse = _message("SignRequest"), _message("SignResponse")
Subject = _message("Subject")
