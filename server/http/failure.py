"""An error as HTTP says it: the same status and details, the reason and the time to retry as headers."""

import base64
import json
import math
from typing import Any, NamedTuple

from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from rdserve.server.grpc_api.interceptors.errors import PUSHBACK
from rdserve.server.http.asgi import JSON, Send, respond

REASON = "rdserve-reason"
# As Connect maps them: https://connectrpc.com/docs/protocol#error-codes.
HTTP_STATUS = {
    StatusCode.CANCELLED: 499,
    StatusCode.UNKNOWN: 500,
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.DEADLINE_EXCEEDED: 504,
    StatusCode.NOT_FOUND: 404,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.FAILED_PRECONDITION: 400,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.INTERNAL: 500,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.UNAUTHENTICATED: 401,
}


class Failure(NamedTuple):
    """How a call failed. metadata: what gRPC would have sent at its end."""

    code: StatusCode
    status: Status
    metadata: dict[str, str]

    @property
    def name(self) -> str:
        """The code as Connect writes it."""
        return "canceled" if self.code is StatusCode.CANCELLED else self.code.name.lower()

    @property
    def http_status(self) -> int:
        return HTTP_STATUS.get(self.code, 500)

    @property
    def reason(self) -> str:
        """That of ErrorInfo, or nothing."""
        told = ErrorInfo()
        return next((told.reason for detail in self.status.details if detail.Unpack(told)), "")

    def headers(self) -> list[tuple[str, str]]:
        """Reason and time to retry, and what every answer has."""
        pushback = int(self.metadata.get(PUSHBACK, -1))
        found = [(key, value) for key, value in self.metadata.items() if key != PUSHBACK]
        if reason := self.reason:
            found.append((REASON, reason))
        if pushback >= 0:
            found.append(("retry-after", str(math.ceil(pushback / 1000))))
        if self.code is StatusCode.UNAUTHENTICATED:
            found.append(("www-authenticate", "Bearer"))
        return found

    def as_dict(self) -> dict[str, Any]:
        """As Connect's JSON: https://connectrpc.com/docs/protocol#error-end-stream."""
        details = [
            {
                "type": detail.type_url.rpartition("/")[2],
                "value": base64.b64encode(detail.value).decode().rstrip("="),
            }
            for detail in self.status.details
        ]
        said: dict[str, Any] = {"code": self.name, "message": self.status.message}
        return said | ({"details": details} if details else {})

    async def respond(self, send: Send, body: dict[str, Any] | None = None) -> None:
        """As an answer; body: in place of Connect's."""
        data = json.dumps(body or self.as_dict()).encode()
        await respond(send, self.http_status, JSON, data, encoded(self.headers()))


def refusal(code: StatusCode, message: str) -> Failure:
    """One that no call stands behind."""
    return Failure(code, Status(code=code.value[0], message=message), {})


def encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers]
