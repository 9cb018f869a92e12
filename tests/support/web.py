"""HTTP for the tests: plain requests over plain sockets, nothing that a client would add by itself."""

import http.client
import json
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

VAE = "/rdserve.v1.VaeService/"
JSON = {"Content-Type": "application/json"}


class Answer(NamedTuple):
    """One HTTP answer. headers: lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


def ask(
    address: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] = JSON,
    *,
    method: str = "",
    trust: ssl.SSLContext | None = None,
) -> Answer:
    """One request; a body that is no bytes is sent as JSON."""
    where = urlsplit(address)
    if where.scheme == "https":
        connection = http.client.HTTPSConnection(where.netloc, timeout=60, context=trust)
    else:
        connection = http.client.HTTPConnection(where.netloc, timeout=60)
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    try:
        connection.request(method or ("GET" if body is None else "POST"), path, data, dict(headers))
        answer = connection.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, named, answer.read())
    finally:
        connection.close()
