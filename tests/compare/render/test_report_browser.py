"""The report in a real Chromium: seen, clicked, typed at and printed, with 2, 12 and 60 models."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from browsing import Browser, chromium
from drawn import pictures_of
from points import CROWDED, comparison_at
from rdserve.compare.comparison import Comparison
from rdserve.compare.render.html import report
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = pytest.mark.slow

SIXTY = [(0.3 * k, 22 - 0.3 * k + 0.4 * (k % 3)) for k in range(60)]
NAME = "return JSON.parse(document.getElementById('comparison').textContent).models[arguments[0]].name"
IN_SIGHT = """
    const found = document.querySelector(arguments[0]);
    found.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'});
    const box = found.getBoundingClientRect();
    return [box.left, box.top, box.width];
"""
PICK = """
    const select = document.getElementById('reference');
    select.value = arguments[0];
    select.dispatchEvent(new Event('change'));
"""
PAIRS = """
    const rows = [...document.querySelectorAll('#pair-table tbody tr')].map(row => [...row.cells]);
    return Object.fromEntries(rows.map(cells => [cells[0].textContent, cells.map(cell => cell.textContent)]));
"""
DISTORTIONS = """
    const rows = [...document.querySelectorAll('#models tbody tr')];
    return rows.map(row => Number(row.children[4].dataset.value));
"""
SORTS = """
    return [...document.querySelectorAll('#models th[aria-sort]')].map(h => h.getAttribute('aria-sort'));
"""
TEXT_SIZES = """
    const scale = document.getElementById('svg').getScreenCTM().a, sizes = {};
    for (const text of document.querySelectorAll('#svg text')) {
        if (!text.getClientRects().length || !text.textContent) continue;
        const size = scale * parseFloat(getComputedStyle(text).fontSize);
        sizes[text.classList[0]] = Math.min(size, sizes[text.classList[0]] ?? size);
    }
    return sizes;
"""
BOXES = """
    const found = [...document.querySelectorAll(arguments[0])].map(text => text.getBoundingClientRect());
    return found.map(b => [b.left, b.top, b.right, b.bottom]);
"""
POINTS = {2: CROWDED[6:8], 12: CROWDED[:12], 60: SIXTY}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def telephone(browser: Browser) -> Iterator[Browser]:
    with browser.telephone():
        yield browser


@pytest.fixture(scope="module")
def comparisons() -> dict[int, Comparison]:
    return {count: comparison_at(points, n=30, labels=True) for count, points in POINTS.items()}


@pytest.fixture(scope="module")
def pages(comparisons: dict[int, Comparison], tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("reports")
    for count, comparison in comparisons.items():
        html = report.render(comparison.analysis, pictures_of(comparison))
        (folder / f"{count}.html").write_text(html, encoding="utf-8")
    return {count: folder / f"{count}.html" for count in comparisons}


@pytest.mark.parametrize("count", POINTS)
def test_it_opens_without_a_complaint_or_a_request(
    browser: Browser, pages: dict[int, Path], count: int
) -> None:
    browser.open(pages[count])
    assert browser.run("return document.querySelectorAll('.point').length") == count
    assert browser.run("return document.querySelectorAll('#models tbody tr').length") == count
    assert browser.run("return document.querySelectorAll('#pair-table tbody tr').length") == count - 1
    assert browser.run("return document.querySelectorAll('details').length") == count
    assert browser.complaints() == []
    outside = [url for url in browser.requests() if not url.startswith(("data:", pages[count].as_uri()))]
    assert outside == []


@pytest.mark.parametrize("count", POINTS)
def test_names_in_the_plane_do_not_overlap_and_the_page_is_no_wider_than_the_window(
    browser: Browser, pages: dict[int, Path], count: int
) -> None:
    browser.open(pages[count])
    boxes = browser.run(
        "return [...document.querySelectorAll('#svg text.name:not(.tip)')].map(text => {"
        "const b = text.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; })"
    )
    assert len(boxes) == min(count, 12)
    for index, a in enumerate(boxes):
        for b in boxes[:index]:
            # The extent includes the font's full height, which no letter fills.
            assert min(a[2], b[2]) - max(a[0], b[0]) < 1 or min(a[3], b[3]) - max(a[1], b[1]) < 3
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("count", POINTS)
def test_on_a_telephone_nothing_scrolls_sideways_and_the_plane_can_be_read(
    telephone: Browser, pages: dict[int, Path], count: int
) -> None:
    telephone.open(pages[count])
    telephone.run("document.querySelectorAll('details').forEach(card => { card.open = true; })")
    assert telephone.run("return document.documentElement.scrollWidth") <= 400
    sizes = telephone.run(TEXT_SIZES)
    assert {"tick", "title", "short-name"} <= sizes.keys()
    assert min(size for kind, size in sizes.items() if kind != "level-words") >= 11
    boxes = telephone.run(BOXES, "#svg .short-name, #svg .tick, #svg .title:not(.side)")
    for index, a in enumerate(boxes):
        assert 0 <= a[0] <= a[2] <= 400
        for b in boxes[:index]:
            assert min(a[2], b[2]) - max(a[0], b[0]) < 1 or min(a[3], b[3]) - max(a[1], b[1]) < 3
    shown = "return [...document.querySelectorAll('.hover, .tap')].map(e => e.getClientRects().length > 0)"
    assert telephone.run(shown) == [False, True]


def test_a_tap_shows_the_model_and_does_not_leave_the_plane(
    telephone: Browser, pages: dict[int, Path]
) -> None:
    telephone.open(pages[12])
    left, top, width = telephone.run(IN_SIGHT, '.point[data-model="7"] path')
    at = {"x": left + width / 2, "y": top + width / 2}
    telephone.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
    telephone.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    name = telephone.run(NAME, 7)
    WebDriverWait(telephone.driver, 10).until(
        lambda _: telephone.run("return document.querySelector('#panel h3').textContent") == name
    )
    assert telephone.run("return location.hash") == ""
    assert telephone.run("return matchMedia('(hover: none)').matches")


def test_pointing_at_a_model_shows_what_it_makes_of_images(browser: Browser, pages: dict[int, Path]) -> None:
    browser.open(pages[12])
    for index in (7, 2):
        browser.run(
            "const at = document.querySelectorAll('.point')[arguments[0]].getBoundingClientRect();"
            "document.getElementById('svg').dispatchEvent(new PointerEvent('pointermove', {bubbles: true,"
            "clientX: (at.left + at.right) / 2, clientY: (at.top + at.bottom) / 2}))",
            index,
        )
        name = browser.run(NAME, index)
        assert browser.run("return document.querySelector('#panel h3').textContent") == name
        assert browser.run("return document.getElementById('tip').textContent") == name
        shown = browser.run("return [...document.querySelectorAll('#panel .px')].map(i => i.className)")
        assert {one.split()[1] for one in shown} == {"data", f"m{index}"}
    assert browser.complaints() == []


def test_a_sprite_shows_the_pixels_of_its_cell(
    browser: Browser, comparisons: dict[int, Comparison], pages: dict[int, Path]
) -> None:
    browser.open(pages[2])
    drawn = pictures_of(comparisons[2])
    name = browser.run(NAME, 1)
    for position in (4, len(drawn.rows) - 1):
        left, top, width = browser.run(IN_SIGHT, f"#differ .px.m1.x{position}.y0")
        cell = (width - 2) / 8
        middles = (1 + cell * (np.arange(8) + 0.5)).astype(int)
        seen = browser.screenshot()[int(top) + middles][:, int(left) + middles, 0]
        np.testing.assert_array_equal(seen < 128, drawn.reconstructions[name].images[position, 0] == 1)


def test_the_keyboard_walks_the_plane_and_opens_a_card(browser: Browser, pages: dict[int, Path]) -> None:
    browser.open(pages[12])
    where = "return Number(document.activeElement.dataset.model ?? -1)"
    assert browser.run("return document.querySelectorAll('.point[tabindex=\"0\"]').length") == 1
    for _ in range(20):
        browser.press(Keys.TAB)
        if browser.run(where) >= 0:
            break
    start = browser.run(where)
    assert start >= 0
    browser.press(Keys.ARROW_RIGHT)
    following = (start + 1) % 12
    assert browser.run(where) == following
    assert browser.run("return document.getElementById('panel-words').dataset.model") == str(following)
    browser.press(Keys.HOME)
    assert browser.run(where) == 0
    browser.press(Keys.ARROW_LEFT)
    assert browser.run(where) == 11
    browser.press(Keys.ENTER)
    assert browser.run("return document.getElementById('model-11').open")
    assert browser.run("return document.activeElement.parentElement.id") == "model-11"
    assert browser.complaints() == []


def test_a_heading_sorts_by_click_and_by_key(browser: Browser, pages: dict[int, Path]) -> None:
    browser.open(pages[12])
    press = "document.querySelectorAll('#models th button')[4].{}()"
    browser.run(press.format("click"))
    assert browser.run(DISTORTIONS) == sorted(browser.run(DISTORTIONS))
    assert browser.run(SORTS) == ["ascending"]
    browser.run(press.format("focus"))
    browser.press(Keys.ENTER)
    assert browser.run(DISTORTIONS) == sorted(browser.run(DISTORTIONS), reverse=True)
    assert browser.run(SORTS) == ["descending"]
    assert browser.run("return document.getElementById('said').textContent") == "Sorted by D, descending"
    browser.run("document.querySelectorAll('#models th button')[0].click()")
    names = browser.run("return [...document.querySelectorAll('#models tbody th')].map(h => h.dataset.value)")
    assert names == sorted(names)


def test_another_reference_turns_every_sign(
    browser: Browser, comparisons: dict[int, Comparison], pages: dict[int, Path]
) -> None:
    browser.open(pages[12])
    pair = comparisons[12].pairs[0]
    browser.run(PICK, pair.b)
    row = browser.run(PAIRS)[pair.a]
    assert row[3].replace("−", "-") == f"{pair.total.mean:+.2f}"
    assert row[6] == f"{pair.total.wins} / {pair.total.ties} / {pair.total.losses}"
    browser.run(PICK, pair.a)
    row = browser.run(PAIRS)[pair.b]
    assert row[3].replace("−", "-") == f"{-pair.total.mean:+.2f}"
    assert row[6] == f"{pair.total.losses} / {pair.total.ties} / {pair.total.wins}"


@pytest.mark.parametrize("count", POINTS)
def test_light_dark_and_paper(browser: Browser, pages: dict[int, Path], count: int) -> None:
    browser.open(pages[count])
    ground = {}
    for scheme, kind in (("light", ""), ("dark", ""), ("dark", "print")):
        browser.media(scheme, kind)
        seen = browser.screenshot()
        ground[scheme, kind] = seen[5, 5].mean()
        assert seen.std() > 5
    browser.media()
    assert ground["light", ""] > 250
    assert ground["dark", ""] < 40
    assert ground["dark", "print"] > 250
    printed = browser.pdf()
    assert printed.startswith(b"%PDF")
    # Cards are closed on screen and open on paper.
    assert printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") >= 2 + count // 6


def test_every_control_has_a_name_and_every_heading_its_level(
    browser: Browser, pages: dict[int, Path]
) -> None:
    browser.open(pages[12])
    tree = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    seen = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree
        if "role" in node and not node["ignored"]
    ]
    controls = [
        (role, name)
        for role, name in seen
        if role in ("link", "button", "combobox", "image", "table", "region")
    ]
    assert {role for role, _ in controls} >= {"link", "button", "combobox", "image", "table", "region"}
    assert [role for role, name in controls if not name.strip()] == []
    assert {"main", "banner", "contentinfo", "navigation"} <= {role for role, _ in seen}
    points = [name for role, name in seen if role == "link" and "distortion" in name]
    assert len(points) == 12
    levels = browser.run("return [...document.querySelectorAll('h1, h2, h3')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
