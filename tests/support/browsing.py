"""A real Chromium without a screen, driven by its own protocol."""

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
# A root user's container has no sandbox; and nothing here may ask for the network.
SWITCHES = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --window-size=1280,1000"
)


@contextmanager
def chromium(profile: Path, *switches: str) -> Iterator["Browser"]:
    """A browser with a profile of its own, which ends with the block. switches: beside those of all."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no chromium and chromedriver on this machine; `make browser` installs them")
    options = Options()
    options.binary_location = CHROMIUM
    for switch in (*SWITCHES.split(), *switches, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


class Browser:
    """What the tests ask of a page."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, page: Path) -> None:
        self.driver.get_log("performance")
        self.driver.get_log("browser")
        self.driver.get(page.as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns; `arguments[0]` is the first of them."""
        return self.driver.execute_script(script, *arguments)

    def press(self, key: str) -> None:
        """A key, as a person would: to whatever has the focus."""
        webdriver.ActionChains(self.driver).send_keys(key).perform()

    def complaints(self) -> list[str]:
        """What the console has said: errors, breaches of the page's policy."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses that the page has asked for, what it holds itself included."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
        return [one["request"]["url"] for one in sent]

    def media(self, scheme: str = "light", kind: str = "") -> None:
        """Light or dark; on screen or on paper."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": kind, "features": features})

    @contextmanager
    def telephone(self, width: int = 400) -> Iterator[None]:
        """A screen of so many pixels and a finger, which does not hover, until the block ends."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": True}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
        yield
        self.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def screenshot(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """The window as (H, W, 3)."""
        image = Image.open(BytesIO(base64.b64decode(self.driver.get_screenshot_as_base64())))
        return np.asarray(image.convert("RGB"))

    def pdf(self) -> bytes:
        """The page as it prints."""
        made = self.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
        return base64.b64decode(made["data"])
