"""The HTTP port in a real Chromium: its own page is read, other origins and rebound names read nothing."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from browsing import Browser, chromium
from front import Front
from selenium.webdriver.support.ui import WebDriverWait
from web import VAE

pytestmark = [pytest.mark.slow, pytest.mark.service]

# What a page can try; what counts is what it can read.
TRIES = """
const [address, done] = [arguments[0], arguments[arguments.length - 1]];
const body = '{}', json = {'Content-Type': 'application/json'};
const text = async answer => `${answer.status} ${await answer.text()}`;
const read = promise => promise.then(text, () => 'refused');
Promise.all([
    read(fetch(address, {method: 'POST', headers: json, body})),
    read(fetch(address, {method: 'POST', body})),
    read(fetch(address, {method: 'POST', body, mode: 'no-cors'})),
    read(fetch(address.replace(/rdserve.*/, 'openapi.json'))),
    read(fetch(address.replace(/rdserve.*/, 'v2/models/tiny-mmm'))),
]).then(done);
"""
FRAMED = """
const done = arguments[arguments.length - 1], frame = document.createElement('iframe');
frame.onload = () => { try { done(frame.contentDocument.body.innerText); } catch { done('refused'); } };
frame.src = arguments[0];
document.body.append(frame);
"""
REBOUND = "evil.example"


class Elsewhere(BaseHTTPRequestHandler):
    """An empty page of somebody else."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title><body></body>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def service(store: Path) -> Iterator[Front]:
    front = Front(store, http=0)
    yield front
    front.stop()


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    rules = f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1"
    with chromium(tmp_path_factory.mktemp("profile"), rules) as browser:
        yield browser


def tried(browser: Browser, address: str) -> Any:
    return browser.driver.execute_async_script(TRIES, address + VAE + "ListModels")


def test_its_own_page_reads_all(browser: Browser, service: Front) -> None:
    browser.driver.get(service.http + "/docs")
    own, plain, *_, openapi, _ = tried(browser, service.http)
    assert own.startswith("200 ")
    assert "tiny-mpv" in own
    assert plain.startswith("415 ")
    assert openapi.startswith("200 ")


def test_a_page_of_another_origin_reads_nothing(browser: Browser, service: Front, elsewhere: str) -> None:
    browser.driver.get(elsewhere)
    assert tried(browser, service.http) == ["refused"] * 5
    assert browser.driver.execute_async_script(FRAMED, service.http + "/docs") == "refused"


def test_a_page_under_a_rebound_name_reads_nothing(browser: Browser, service: Front) -> None:
    """To the browser it is of one origin with the service: the name alone tells them apart."""
    rebound = service.http.replace("127.0.0.1", REBOUND)
    browser.driver.get(rebound + "/docs")
    assert browser.run("return location.hostname") == REBOUND
    assert "tiny" not in browser.driver.page_source
    for answer in tried(browser, rebound):
        assert answer.startswith("421 ")
        assert "tiny" not in answer


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_the_docs_are_drawn(browser: Browser, service: Front, scheme: str, width: int) -> None:
    browser.complaints()
    browser.media(scheme)
    with browser.telephone(width):
        browser.driver.get(service.http + "/docs")
        drawn = "return document.querySelectorAll('#methods h3').length"
        WebDriverWait(browser.driver, 60).until(lambda _: browser.run(drawn) >= 8)
        text = browser.run("return document.body.innerText")
        assert "Images -> rate and distortion per image." in text
        assert "curl -H 'Content-Type: application/json' -d '{\"model\": ..., \"images\": ...}'" in text
        wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert browser.run(wide) <= 0
    assert browser.complaints() == []


def test_the_policy_stops_what_is_injected(browser: Browser, service: Front) -> None:
    browser.driver.get(service.http + "/docs")
    inject = "try { document.body.innerHTML = '<img>'; } catch (error) { return error.name; }"
    assert browser.run(inject) == "TypeError"
