import hashlib
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from rdserve.data import DataError
from rdserve.data.download import Remote, fetch


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[str]:
    """A web server over tmp_path."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path))) as server:
        Thread(target=server.serve_forever, args=(0.01,)).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _remote(url: str, content: bytes) -> Remote:
    return Remote(url, len(content), hashlib.sha256(content).hexdigest())


def test_files_arrive_in_turn_and_progress_counts_over_all(origin: str, tmp_path: Path) -> None:
    contents = [b"a" * 10, b"b" * 3_000_000]
    for i, content in enumerate(contents):
        (tmp_path / str(i)).write_bytes(content)
    seen: list[tuple[int, int]] = []
    remotes = [_remote(f"{origin}/{i}", content) for i, content in enumerate(contents)]
    assert list(fetch(remotes, lambda *at: seen.append(at))) == contents
    assert seen[0] == (10, 3_000_010)
    assert seen[-1] == (3_000_010, 3_000_010)


@pytest.mark.parametrize("served", [b"othe", b"shor", b"right and much more"])
def test_other_bytes_are_refused(origin: str, tmp_path: Path, served: bytes) -> None:
    (tmp_path / "file").write_bytes(served)
    with pytest.raises(DataError, match=r"expected sha256 .*, got"):
        list(fetch([_remote(f"{origin}/file", b"right")]))


def test_a_missing_file_is_an_error_that_says_what_to_do(origin: str) -> None:
    with pytest.raises(DataError, match=r"404.*RDSERVE_DATA"):
        list(fetch([_remote(f"{origin}/absent", b"")]))


def test_no_connection_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(DataError, match=r"refused.*RDSERVE_DATA"):
        list(fetch([_remote("http://127.0.0.1:1/file", b"")]))
