"""Who may call: those who send one of the tokens."""

from collections.abc import Iterable

import grpc
from grpc import aio
from rdserve.server.errors import MissingCredentials
from rdserve.server.grpc_api.interceptors.base import Context, Continuation, Handler, refusal
from rdserve.server.security.tokens import Tokens

# What probes ask, who hold no secret.
OPEN = (
    "/grpc.health.v1.Health/",
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
)


class RequireToken(aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Calls without one of the tokens are refused before their message is read. Health checks need none."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        if handler_call_details.method.startswith(OPEN):
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
    async def refuse(requests: object, context: Context) -> None:
        raise MissingCredentials(fault)

    return refusal(refuse)
