"""Who may ask, as far as browsers are concerned; and the headers that every answer has.

A page of another origin can make a browser send requests here. Host says which name it thinks it talks to,
which a rebound name cannot hide; Origin and Sec-Fetch-Site say whose page it is. No answer allows another
origin (CORS), so what is sent past these checks cannot be read either.
"""

import ipaddress
import logging
from collections.abc import Collection, Iterable
from email.utils import formatdate

from grpc import StatusCode
from rdserve.server.http.asgi import App, ClientGone, Event, Receive, Scope, Send, values
from rdserve.server.http.failure import Failure, refusal
from rdserve.server.status import as_service_error

log = logging.getLogger(__name__)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
ALWAYS = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
MISDIRECTED = 421


class Guard:
    """An application behind these checks.

    hosts: names that Host may say, beside `localhost` and addresses in numbers, which no name server can
        lend to others. pages: paths to which links of other sites may lead.
    """

    def __init__(self, app: App, hosts: Iterable[str], pages: Collection[str]) -> None:
        self._app = app
        self._hosts = {"localhost", *map(str.lower, hosts)}
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def guarded(event: Event) -> None:
            nonlocal begun
            if event["type"] == "http.response.start":
                begun = True
                date = (b"date", formatdate(usegmt=True).encode())
                event = {**event, "headers": [*event.get("headers", ()), date, *ALWAYS]}
            await send(event)

        try:
            if fault := self._fault(scope):
                await fault.respond(guarded)
            else:
                await self._app(scope, receive, guarded)
        except ClientGone:
            pass
        except Exception as error:
            seen = as_service_error(error, scope["path"])
            if not begun:
                await refusal(seen.status, seen.message).respond(guarded)

    def _fault(self, scope: Scope) -> Failure | None:
        hosts = values(scope, b"host")
        if len(hosts) != 1 or not self._knows(host := hosts[0].decode("latin-1").lower()):
            return _Misdirected(
                StatusCode.PERMISSION_DENIED,
                refusal(
                    StatusCode.PERMISSION_DENIED,
                    "the service does not answer to this host name; --http-hosts lists those that it does",
                ).status,
                {},
            )
        ours = {f"{scheme}://{host}".encode("latin-1") for scheme in ("https", scope["scheme"])}
        foreign = any(origin.lower() not in ours for origin in values(scope, b"origin"))
        sites = set(values(scope, b"sec-fetch-site")) - {b"same-origin", b"none"}
        if foreign or (sites and not self._followed_link(scope)):
            return refusal(StatusCode.PERMISSION_DENIED, "pages of other origins may not call this service")
        return None

    def _knows(self, host: str) -> bool:
        name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _followed_link(self, scope: Scope) -> bool:
        return (
            scope["method"] in ("GET", "HEAD")
            and scope["path"] in self._pages
            and values(scope, b"sec-fetch-mode") == [b"navigate"]
        )


class _Misdirected(Failure):
    """Of another host's name."""

    @property
    def http_status(self) -> int:
        return MISDIRECTED
