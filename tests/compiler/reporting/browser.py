"""A headless browser that looks at a page, where the machine has one."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_QUIET = ["headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync"]
_QUIET += ["disable-background-networking", "disable-component-update"]


@contextmanager
def browser(width: int, height: int = 900, dark: bool = False) -> Iterator[Any]:
    """A driver of Chromium whose window is ``width`` wide; the test is skipped where there is none."""
    selenium = pytest.importorskip("selenium.webdriver")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("needs Chromium with its driver (Debian: chromium, chromium-driver)")
    options = selenium.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in _QUIET:
        options.add_argument(f"--{argument}")
    opened = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    try:
        opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        opened.execute_cdp_cmd("Network.enable", {})
        opened.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["http://*", "https://*"]})
        yield opened
    finally:
        opened.quit()
