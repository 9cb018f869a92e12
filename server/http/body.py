"""A request's body, read within a size."""

from rdserve.server.errors import InvalidRequest
from rdserve.server.http.asgi import ClientGone, Headers, Receive
from rdserve.wire.limits import MAX_MESSAGE_BYTES, MIB

# JSON is decoded in one go, during which nobody else is answered: 8 MiB of it take about 40 ms.
MAX_JSON_BYTES = 8 * MIB
# From the end of the head to the end of the body; waiting for room is part of it.
SECONDS = 30.0
# Of Content-Length; no number that long is meant.
MAX_DIGITS = 19


async def read_body(receive: Receive, headers: Headers, most: int) -> bytes:
    """The body.

    Raises:
        InvalidRequest: it has more than `most` bytes.
        ClientGone: nobody sends it any more.
    """
    for name, value in headers:
        if name == b"content-length" and (len(value) > MAX_DIGITS or int(value) > most):
            raise _too_large(most)
    parts, size = [], 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGone
        parts.append(event.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise _too_large(most)
        if not event.get("more_body"):
            return b"".join(parts)


def too_late() -> InvalidRequest:
    """The error of a body that did not come in time."""
    return InvalidRequest(f"the body did not come within {SECONDS:g} s", field="request")


def _too_large(most: int) -> InvalidRequest:
    hint = "" if most == MAX_MESSAGE_BYTES else "; more fit as application/proto, or over gRPC"
    return InvalidRequest(f"a body of this kind has at most {most} bytes{hint}", field="request")
