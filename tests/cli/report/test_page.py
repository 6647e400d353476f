"""The page of ``report --html``: what is in it, and what a browser makes of it."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from httpx_resilience import Level
from httpx_resilience.cli.report.plots import plots_of
from support.commands import Run
from support.report_logs import call_line, gave_up, line, of_a_vault, retry

pytest_plugins = ["support.command_fixtures"]

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
in_a_browser = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="needs chromium and chromedriver (Debian: chromium-driver)",
)
EVIL = "<script>document.title='owned'</script><img src=x onerror=alert(1)>\"'&{{7*7}}"


def page_of(run: Run, folder: Path, *lines: str) -> Path:
    log, page = folder / "app.log", folder / "report.html"
    log.write_text("".join(f"{each}\n" for each in lines), encoding="utf-8")
    ran = run("report", str(log), "--html", str(page))
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    return page


def evil_lines() -> list[str]:
    return [
        retry("a", code=EVIL, path=f"/{EVIL}", origin=EVIL, delay_source=EVIL),
        call_line("recovered", "a", 1, attempt=2, status=200, path=f"/{EVIL}", origin=EVIL),
        gave_up("b", code=EVIL, escalated=True, advice=EVIL, request_id=EVIL, reason=EVIL),
        line("throttle_held", scope=EVIL, reason=EVIL, queued=1, origin=EVIL),
        line("origin_unavailable", reason=EVIL, failures=1, elapsed=1, queued=0, origin=EVIL),
        line("nested_transport", origin=EVIL, advice=EVIL),
    ]


def test_nothing_of_the_log_becomes_a_tag(run: Run, tmp_path: Path) -> None:
    text = page_of(run, tmp_path, *evil_lines()).read_text(encoding="utf-8")
    assert text.count("&lt;script&gt;") >= 10
    assert not re.search(r"<script|<img|<a |onerror=alert\(1\)>\"", text)
    assert "{{7*7}}" in text


def test_the_page_needs_nothing_from_anywhere(run: Run, tmp_path: Path) -> None:
    text = page_of(run, tmp_path, *of_a_vault(Level.DEBUG)).read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert not re.search(r"\b(src|href)=|url\(|@import|<link|<iframe", text)


def test_parts_of_plots_are_as_high_as_what_they_show() -> None:
    width, empty = 60, dict.fromkeys(("failures", "retries", "gave_up"), 0)
    waits: dict[str, Any] = {"throttle": 0.0, "backoff": 2.0, "parking": 6.0}
    parts = [
        {"at": 0.0, "calls": 10, "succeeded": 5, "attempts": 20, **empty, **waits},
        {"at": 60.0, "calls": None, "succeeded": None, "attempts": None, **empty, **waits},
    ]
    left: dict[str, Any] = {"rate_limit_left": 0.25}
    made = {"over_time": {"width": width, "parts": [{**each, **left} for each in parts]}}
    calls, amplification, failures, waited, limits = plots_of(made)
    (column,) = calls.columns  # of the other part nothing is known
    good, bad = column.bars
    assert good.height == bad.height
    assert good.y == bad.y + bad.height  # one stands on the other
    assert amplification.columns[0].text.endswith("attempts per call 2 x")
    assert failures.missing == "no attempt failed"
    backoff, parking = waited.columns[1].bars
    assert parking.height == pytest.approx(3 * backoff.height, abs=0.05)
    (left_bar,) = limits.columns[0].bars
    low, _, high = (height for height, _ in limits.rows)
    assert left_bar.height == pytest.approx((low - high) / 4, abs=0.05)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver  # it is slow to import, and most tests here need none of it
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    folder = tmp_path_factory.mktemp("browser")
    for argument in (
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--window-size=1000,1400", f"--user-data-dir={folder}"),
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    driver.get("about:blank")
    yield driver
    driver.quit()


def requests_of(browser: Any) -> list[str]:
    """Return the URLs that a page asked for."""
    messages = [json.loads(each["message"])["message"] for each in browser.get_log("performance")]
    return [
        each["params"]["request"]["url"]
        for each in messages
        if each["method"] == "Network.requestWillBeSent"
    ]


@in_a_browser
@pytest.mark.long
def test_a_browser_shows_what_was_counted(run: Run, tmp_path: Path, browser: Any) -> None:
    page = page_of(run, tmp_path, *of_a_vault(Level.DEBUG))
    requests_of(browser)  # those of Chromium's own first page
    browser.get(page.as_uri())
    table = {
        row.text.split()[1]: row.text.split()
        for row in browser.find_elements("css selector", "#failures tr")[1:]
    }
    assert table["service_unavailable"][2:5] == ["10", "10", "10"]
    assert table["internal_error"][2:] == ["2", "1", "0", "1", "attempts_exhausted"]
    calls = browser.find_element("css selector", "#calls").text.splitlines()[1]
    assert calls == "100 97 97.00 % 111 1.11 call_finished"
    plots = browser.find_elements("tag name", "svg")
    assert len(plots) == 5
    for plot in plots:
        assert plot.size["height"] > 100
    assert requests_of(browser) == [page.as_uri()]
    assert browser.get_log("browser") == []


@in_a_browser
@pytest.mark.long
def test_what_one_points_at_says_its_numbers(run: Run, tmp_path: Path, browser: Any) -> None:
    from selenium.webdriver import ActionChains

    browser.get(page_of(run, tmp_path, *of_a_vault(Level.DEBUG)).as_uri())
    part = browser.find_elements("css selector", "svg g")[3]
    said = part.find_element("css selector", ".said")
    assert not said.is_displayed()
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", part)
    ActionChains(browser).move_to_element(part.find_element("css selector", ".hit")).perform()
    assert said.is_displayed()
    assert re.fullmatch(r"2026-11-24 04:22:\d\d UTC, 1.0 s: succeeded 1, failed 0", said.text)
    assert browser.get_log("browser") == []


@in_a_browser
@pytest.mark.long
def test_the_page_is_readable_in_dark_and_light(run: Run, tmp_path: Path, browser: Any) -> None:
    browser.get(page_of(run, tmp_path, *of_a_vault(Level.DEBUG)).as_uri())
    contrasts = {}
    for scheme in ("light", "dark"):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        body, dim = (browser.find_element("css selector", each) for each in ("body", "th"))
        back = luminance(body.value_of_css_property("background-color"))
        contrasts[scheme] = back
        for text in (body, dim):
            front = luminance(text.value_of_css_property("color"))
            high, low = max(front, back), min(front, back)
            assert (high + 0.05) / (low + 0.05) > 4.5, scheme  # WCAG 2.2, AA
    assert contrasts["light"] > 0.9 > 0.1 > contrasts["dark"]


def luminance(color: str) -> float:
    """Return the relative luminance of a color (WCAG 2.2)."""
    parts = [int(each) / 255 for each in re.findall(r"\d+", color)[:3]]
    linear = [
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
    ]
    return sum(weight * each for weight, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@in_a_browser
@pytest.mark.long
def test_a_browser_runs_nothing_of_the_log(run: Run, tmp_path: Path, browser: Any) -> None:
    page = page_of(run, tmp_path, *evil_lines())
    browser.get(page.as_uri())
    assert browser.title == "httpx-resilience report"
    assert EVIL in browser.find_element("css selector", "#failures").text
    assert browser.find_elements("tag name", "script") == []
    assert browser.find_elements("tag name", "img") == []
    # Even a tag that came through would be refused: the page may load and run nothing.
    text = page.read_text(encoding="utf-8").replace(
        "</body>", "<script>document.title=1</script></body>"
    )
    page.write_text(text, encoding="utf-8")
    browser.get(page.as_uri())
    assert browser.title == "httpx-resilience report"
    assert any("Content Security Policy" in each["message"] for each in browser.get_log("browser"))
