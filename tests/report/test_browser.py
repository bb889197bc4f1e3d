"""Pages in a real browser: nothing is asked of the network, nothing complains, they fit the window, and tables sort."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from landscape.cli import run

pytestmark = pytest.mark.slow
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


class Browser:
    """Shows pages at a width and a colour scheme, and knows what they asked for and complained of."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, page: Path, width: int, scheme: str) -> None:
        for log in ("browser", "performance"):
            self.driver.get_log(log)  # forgets the last page
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.get(page.as_uri())

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """What was asked for beyond the page itself and what it holds (data:)."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in sent if not url.startswith("data:") and url != self.driver.current_url]

    def ask(self, script: str) -> Any:
        return self.driver.execute_script(f"return {script}")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    places = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in places:
        pytest.skip("no chromium with chromedriver on this machine (scripts/packages installs them as root on Debian)")
    options = ChromeOptions()
    options.binary_location = places[0]
    for argument in (*QUIET, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(places[1]))
    driver.get("about:blank")  # away from the browser's own start page
    yield Browser(driver)
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of a point and that of a folder with points of several kinds, one of them not critical, and a damaged file."""
    folder = tmp_path_factory.mktemp("points")
    model = ["--classes", "4", "--samples", "2", "--depth", "2", "--decay", "1e-2"]
    for place, (start, width) in enumerate([("dnc", "6"), ("pairs", "6"), ("partition:3,1", "9")]):
        out = str(folder / f"{place}.safetensors")
        assert run(["solve", *model, "--start", start, "--width", width, "--out", out]) == 0
    unfinished = ["--width", "6", "--method", "gd", "--max-steps", "50", "--out", str(folder / "3.safetensors")]
    assert run(["solve", *model, *unfinished]) == 1
    (folder / "damaged.safetensors").write_text("no point")
    found = {"point": folder / "point.html", "folder": folder / "folder.html"}
    assert run(["report", str(folder / "0.safetensors"), "--out", str(found["point"])]) == 0
    assert run(["report", str(folder), "--out", str(found["folder"])]) == 1
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("name", ["point", "folder"])
def test_a_page_is_quiet_and_fits(name: str, width: int, scheme: str, pages: dict[str, Path], browser: Browser) -> None:
    browser.open(pages[name], width, scheme)
    assert browser.complaints() == []
    assert browser.requests() == []
    assert browser.ask("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert browser.ask("[...document.images].every((image) => image.complete && image.naturalWidth > 100)")
    assert browser.ask("document.images.length") >= 3
    red, green, blue = (int(part) for part in browser.ask("getComputedStyle(document.body).backgroundColor")[4:-1].split(","))
    assert (red + green + blue > 384) == (scheme == "light")
    letters = browser.ask("parseFloat(getComputedStyle(document.querySelector('td')).fontSize)")
    assert letters >= 12


def test_the_checks_see_what_they_look_for(tmp_path: Path, browser: Browser) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<div style='width:2000px'>x</div><script>console.error('no')</script><img src='http://127.0.0.1:9/x.png'>")
    browser.open(page, 400, "light")
    assert any("no" in complaint for complaint in browser.complaints())
    assert browser.requests() == ["http://127.0.0.1:9/x.png"]
    assert browser.ask("document.documentElement.scrollWidth > document.documentElement.clientWidth")


def column(browser: Any, heading: str) -> list[str]:
    script = """(() => {
        const table = [...document.querySelectorAll('table.sortable')].at(-1);
        const place = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent === arguments[0]);
        return [...table.tBodies[0].rows].map((row) => row.cells[place].textContent);
    })()"""
    return browser.driver.execute_script(f"return {script.replace('arguments[0]', repr(heading))}")


def test_tables_sort_by_keyboard_and_by_pointer(pages: dict[str, Path], browser: Browser) -> None:
    browser.open(pages["folder"], 1280, "light")
    assert column(browser, "file") == [f"{place}.safetensors" for place in range(4)]
    buttons = browser.driver.find_elements(By.CSS_SELECTOR, "table.sortable:last-of-type button")
    nullity = next(button for button in buttons[::-1] if button.text == "nullity")
    nullity.send_keys(Keys.ENTER)
    rising = column(browser, "nullity")
    assert rising[0] == "undecided"
    assert [int(text) for text in rising[1:]] == sorted(int(text) for text in rising[1:])
    assert len(set(rising)) == 4
    heading = nullity.find_element(By.XPATH, "..")
    assert heading.get_attribute("aria-sort") == "ascending"
    nullity.click()
    assert column(browser, "nullity") == rising[::-1]
    assert heading.get_attribute("aria-sort") == "descending"
    name = next(button for button in buttons[::-1] if button.text == "structure")
    name.click()
    assert column(browser, "structure") == sorted(column(browser, "structure"), key=str.lower)
    assert heading.get_attribute("aria-sort") is None


def test_the_data_can_be_read_where_the_page_says(pages: dict[str, Path], browser: Browser) -> None:
    browser.open(pages["point"], 1280, "light")
    assert browser.ask("JSON.parse(document.getElementById('data').textContent).report.nullity") == 24
