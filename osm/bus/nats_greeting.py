"""Whether a NATS server answers, asked without a client: it needs no credentials and trusts no certificate.

Separate from `nats_dial`, which wants to get in: whoever starts a server wants to know when it is there.
"""

import asyncio


async def greets(host: str, port: int) -> bool:
    """A server speaks first, in the clear, before any TLS: it says what it is."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    try:
        return (await reader.readline()).startswith(b"INFO")
    except OSError:
        return False
    finally:
        writer.close()
