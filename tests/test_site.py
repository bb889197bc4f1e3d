"""The site in a real browser: no page complains, no code is wider than the page, no link is broken. No tutorial is run for it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from tests.report.test_browser import Browser, browser  # noqa: F401  the fixture

pytestmark = pytest.mark.slow
WIDE = "[...document.querySelectorAll('article pre')].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.innerText)"
NARROW = "[...document.querySelectorAll('table.docutils td')].filter(e => e.clientWidth < 60).map(e => e.innerText)"
SPLIT = "[...document.querySelectorAll('article .highlight-bash .na')].filter(e => e.offsetHeight > 30).map(e => e.innerText)"
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LANDSCAPE_TUTORIALS": "skip"}
    command = [sys.executable, "-m", "sphinx", "-W", "-q", str(ROOT / "docs"), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def pages(site: Path) -> Iterator[Path]:
    for page in sorted(site.rglob("*.html")):
        if "_static" not in page.parts:
            yield page


@pytest.mark.parametrize(("width", "scheme"), [(1300, "light"), (390, "dark")])
def test_no_page_complains_or_is_wider_than_the_window(site: Path, browser: Browser, width: int, scheme: str) -> None:  # noqa: F811
    shown = list(pages(site))
    assert len(shown) > 25
    for page in shown:
        browser.open(page, width, scheme)
        assert browser.complaints() == [], page.name
        assert browser.ask("document.documentElement.scrollWidth") <= width, f"{page.name} is wider than {width}"
        assert browser.ask(NARROW) == [], f"{page.name}: columns of some letters"
        assert browser.ask(WIDE) == [], page.name
        assert browser.ask(SPLIT) == [], f"{page.name}: options broken over two lines"


def test_no_link_of_the_site_is_broken(site: Path, browser: Browser) -> None:  # noqa: F811
    known: dict[Path, set[str]] = {}
    wanted: list[tuple[Path, Path, str]] = []
    for page in pages(site):
        browser.open(page, 1300, "light")
        known[page] = set(browser.ask("[...document.querySelectorAll('[id]')].map(e => e.id)"))
        for link in browser.ask("[...document.querySelectorAll('a[href], img[src]')].map(e => e.href || e.src)"):
            parts = urlparse(link)
            if parts.scheme == "file":
                wanted.append((page, Path(unquote(parts.path)), unquote(parts.fragment)))
    for page, target, anchor in wanted:
        assert target.exists(), f"{page.name}: {target}"
        if anchor and target in known:
            assert anchor in known[target], f"{page.name}: {target.name}#{anchor}"
