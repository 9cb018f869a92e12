"""As much HTTP/2 as rude clients speak: frames by hand, over plain sockets."""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING = 0, 1, 3, 4, 6
END_HEADERS, END_STREAM = 4, 1


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def headers(stream: int, path: str) -> bytes:
    """Headers of a gRPC call, none of them indexed (HPACK, RFC 7541, 6.2.2)."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    packed = b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields.items()
    )
    return frame(HEADERS, END_HEADERS, stream, packed)


def dial(address: str) -> socket.socket:
    """A TCP connection, nothing said yet."""
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)))


def greet(address: str) -> socket.socket:
    """An HTTP/2 connection with no stream."""
    connection = dial(address)
    connection.sendall(PREFACE + frame(SETTINGS, 0, 0))
    return connection


def until(connection: socket.socket, kind: int) -> None:
    """Read frames up to the first of a kind.

    Raises:
        EOFError: the other side has hung up.
    """
    with connection.makefile("rb") as stream:
        while head := stream.read(9):
            stream.read(int.from_bytes(head[:3], "big"))
            if head[3] == kind:
                return
    raise EOFError


def closed(connection: socket.socket) -> None:
    """Return when the other side has hung up."""
    try:
        while connection.recv(2**16):
            pass
    except ConnectionResetError:
        pass
