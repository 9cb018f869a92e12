"""Pages and files, which hold nothing of any model; the explorer will be one of them."""

from importlib.resources import files

from rdserve.server.http.asgi import Scope, Send, respond

# Path -> file, and its type.
PAGES = {
    "/": ("pages/docs.html", b"text/html; charset=utf-8"),
    "/docs": ("pages/docs.html", b"text/html; charset=utf-8"),
    "/docs.css": ("pages/docs.css", b"text/css; charset=utf-8"),
    "/docs.js": ("pages/docs.js", b"text/javascript; charset=utf-8"),
    "/openapi.json": ("openapi.json", b"application/json"),
}


async def show(scope: Scope, send: Send) -> None:
    """The page of a path that is among `PAGES`."""
    if scope["method"] not in ("GET", "HEAD"):
        await respond(send, 405, b"text/plain", b"", [(b"allow", b"GET, HEAD")])
        return
    file, kind = PAGES[scope["path"]]
    data = (files("rdserve.server.http") / file).read_bytes()
    await respond(send, 200, kind, data)
