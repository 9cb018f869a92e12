"""What a failed connection means, read from grpc's own words: it has a status for all of them only."""

from collections.abc import Callable

import grpc
from rdserve.client.errors import (
    DeadlineExceeded,
    ServiceError,
    Unavailable,
    Unreachable,
    Untrusted,
    from_rpc_error,
)

# grpc's words before those of the last address that it tried.
UNCONNECTED = ("failed to connect to all addresses", "errors resolving")
# And of a deadline that passed on this side.
OVERDUE = "Deadline Exceeded"
# And of a connection that ended under a call.
LOST = ("Stream removed", "Socket closed", "Connection reset", "Broken pipe")

# What the words hold, what that is, and how to say it.
_CAUSES: tuple[tuple[str, type[Unavailable], str], ...] = (
    (
        "Hostname Verification",
        Untrusted,
        "the server's certificate is of another host; use the name that it was issued for",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        Untrusted,
        "the server's certificate is not trusted{detail}; give the file of the authority that signed it",
    ),
    ("WRONG_VERSION_NUMBER", Untrusted, "what answers there does not speak TLS; it may be a plain service"),
    ("security handshaker", Untrusted, "the certificates given for TLS are no readable PEM files"),
    ("handshake failed", Untrusted, "TLS fails{detail}"),
    (
        "Socket closed",
        Untrusted,
        "what answers there hangs up at once; does it ask for TLS, or for a client's certificate?",
    ),
    ("SETTINGS", Unavailable, "what listens there says nothing; is it a gRPC service, and is it alive?"),
    ("Connection reset", Untrusted, "what answers there hangs up at once; does it ask for TLS?"),
    ("name not found", Unreachable, "there is no host of that name"),
    ("", Unreachable, "nothing answers there{detail}"),
)


def typed(error: grpc.RpcError, address: str, connected: Callable[[], bool], timeout: float) -> ServiceError:
    """As `from_rpc_error`; what never reached a service says so in words, with the address.

    connected: whether there is a connection now, which is asked only after a deadline that passed.
    """
    found = from_rpc_error(error)
    said = str(found)
    if found.reason or found.request_id:
        return found
    if type(found) is Unavailable and said.startswith(UNCONNECTED):
        kind, words = next((kind, words) for mark, kind, words in _CAUSES if mark in said)
        return kind(f"{address}: {words.format(detail=_detail(said))}")
    if type(found) is Unavailable and any(mark in said for mark in LOST):
        return Unavailable(f"{address}: the connection was lost under the call")
    if type(found) is DeadlineExceeded and OVERDUE in said:
        if not connected():
            return Unreachable(f"{address}: no connection within {timeout:g} s")
        return DeadlineExceeded(f"{address}: no answer within {timeout:g} s")
    return found


def _detail(said: str) -> str:
    """The end of grpc's words, which are causes within causes, divided by colons."""
    causes = [part.strip(" ]") for part in said.split(": ") if part.strip(" ]") not in ("", "OK")]
    return f" ({causes[-1]})"
