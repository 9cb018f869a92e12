"""ASGI, as far as it is used here: https://asgi.readthedocs.io/en/latest/specs/www.html."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = b"application/json"


class ClientGone(Exception):
    """The other side has hung up; there is nobody to answer."""


def values(scope: Scope, name: bytes) -> list[bytes]:
    """What the request's headers of this name say."""
    return [value for key, value in scope["headers"] if key == name]


def value(scope: Scope, name: bytes) -> bytes:
    """The first of them, or nothing."""
    return next(iter(values(scope, name)), b"")


def media_type(scope: Scope) -> bytes:
    """The request's media type, without parameters."""
    return value(scope, b"content-type").partition(b";")[0].strip().lower()


async def respond(
    send: Send, status: int, kind: bytes, data: bytes, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """A whole answer."""
    length = (b"content-length", str(len(data)).encode())
    start = {"type": "http.response.start", "status": status}
    await send({**start, "headers": [(b"content-type", kind), length, *headers]})
    await send({"type": "http.response.body", "body": data})
