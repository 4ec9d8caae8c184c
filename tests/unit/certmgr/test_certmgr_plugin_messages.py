"""The messages in code are those of the file that plug-ins are written by."""

from pathlib import Path

import grpc_tools
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

from services.certmgr.plugin_messages import FILE, PACKAGE, SERVICE, TABLES

PROTO = Path(__file__).parents[3] / "proto"


def compiled(tmp_path: Path) -> FileDescriptorProto:
    includes = Path(grpc_tools.__file__).parent / "_proto"
    out = tmp_path / "ca.binpb"
    status = protoc.main(["protoc", f"-I{PROTO}", f"-I{includes}", f"--descriptor_set_out={out}", FILE])
    assert status == 0
    (file,) = FileDescriptorSet.FromString(out.read_bytes()).file
    return file


def test_the_tables_in_code_are_what_the_file_compiles_to(tmp_path: Path) -> None:
    messages = []
    for message in compiled(tmp_path).message_type:
        for field in message.field:
            field.ClearField("json_name")  # which the compiler adds
        messages.append(message)
    assert messages == list(TABLES)


def test_the_service_has_the_methods_that_certmgr_calls(tmp_path: Path) -> None:
    file = compiled(tmp_path)
    assert (file.package, [service.name for service in file.service]) == (PACKAGE, [SERVICE])
    assert [(each.name, each.input_type, each.output_type) for each in file.service[0].method] == [
        ("Roots", f".{PACKAGE}.RootsRequest", f".{PACKAGE}.RootsResponse"),
        ("Sign", f".{PACKAGE}.SignRequest", f".{PACKAGE}.SignResponse"),
    ]
