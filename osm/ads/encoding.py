"""The one thing of protobuf's encoding we write by hand: the head of a length-delimited field.

It lets responses be joined from pieces encoded earlier. Everything else is left to the generated messages.
"""

LENGTH_DELIMITED = 2
"""Wire type of strings, bytes and messages (protobuf encoding guide, "Message structure")."""


def length_delimited_head(field_number: int, length: int) -> bytes:
    """Tag and length of a field whose `length` bytes of content follow."""
    return varint(field_number << 3 | LENGTH_DELIMITED) + varint(length)


def text_field(field_number: int, text: str) -> bytes:
    """A whole string field."""
    content = text.encode()
    return length_delimited_head(field_number, len(content)) + content


def varint(number: int) -> bytes:
    """Base-128 encoding of a number that is not negative."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
