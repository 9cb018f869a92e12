"""Bearer tokens: who may call. Kept as hashes, compared in constant time, never written anywhere."""

import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Self

import grpc
from grpc import aio
from rdserve.server.errors import MissingCredentials
from rdserve.server.grpc_api.interceptors.errors import Context, Handler
from rdserve.server.security.secret_files import read_private
from rdserve.server.settings import SettingsError

HEALTH = "/grpc.health.v1.Health/"
MIN_CHARACTERS = 16
MAX_TOKENS = 1000
# RFC 6750's b64token: what an Authorization header carries unquoted.
_TOKEN = re.compile(rf"[A-Za-z0-9._~+/-]{{{MIN_CHARACTERS},512}}=*")


class Tokens:
    """The tokens that open the service."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._digests = [_digest(token.encode()) for token in tokens]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Tokens from a file, one per line; empty lines do not count.

        Raises:
            SettingsError: unreadable, open to others than its owner and group, without tokens, or with a
                line that is none. The line's number is quoted, never the line.
        """
        lines = read_private(path, "the token file").decode(errors="replace").splitlines()
        tokens = {number: line.strip() for number, line in enumerate(lines, 1) if line.strip()}
        for number, token in tokens.items():
            if not _TOKEN.fullmatch(token):
                raise SettingsError(
                    f"{path}, line {number}: a token has {MIN_CHARACTERS} to 512 letters, digits or ._~+/-"
                )
        if not 1 <= len(tokens) <= MAX_TOKENS:
            raise SettingsError(f"{path} holds {len(tokens)} tokens; give 1 to {MAX_TOKENS}, one per line")
        return cls(tokens.values())

    def accept(self, token: bytes) -> bool:
        """Whether it is one of them; takes the same time whichever it is, and if it is none."""
        digest = _digest(token)
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(known, digest)
        return found


class RequireToken(aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Calls without one of the tokens are refused before their message is read. Health checks need none."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        if handler_call_details.method.startswith(HEALTH):
            return await continuation(handler_call_details)
        fault = self._fault(handler_call_details.invocation_metadata)
        return _refuse(fault) if fault else await continuation(handler_call_details)

    def _fault(self, metadata: Iterable[tuple[str, str | bytes]]) -> str:
        """What is wrong with a call's credentials, or nothing."""
        given = [value for key, value in metadata if key == "authorization"]
        if len(given) != 1:
            return "this service asks for a bearer token; send one as metadata `authorization: Bearer TOKEN`"
        value = given[0].encode() if isinstance(given[0], str) else given[0]
        scheme, _, token = value.partition(b" ")
        if scheme.lower() != b"bearer":
            return "this service takes bearer tokens only: `authorization: Bearer TOKEN`"
        return "" if self._tokens.accept(token.strip()) else "the token is not one that this service knows"


def _refuse(fault: str) -> Handler:
    async def refuse(requests: AsyncIterator[Any], context: Context) -> None:
        raise MissingCredentials(fault)

    # Whatever the method's kind: with a streaming handler, grpc waits for no message.
    return grpc.stream_stream_rpc_method_handler(refuse)


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
