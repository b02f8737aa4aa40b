"""The page of a map, opened in a browser: no request leaves it, nothing goes wrong, and everything on it works."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.drawing.map_page import _doubtful, _morton
from engine.pictures.map_page import Points, write_page
from engine.pictures.palette import Groups
from engine.pictures.sprites import ACROSS, LADDER, Sheet, fitting, sheet

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
HOSTILE = [
    "</script><img src=http://example.org/x onerror=alert(1)>",
    'quote " comma, and \u2028 line',
    "<!-- <script> '{{script}}'",
    "\u202egpj.evil",
    "line\nbreak.jpg",
]
RED, BLUE = (200, 30, 30), (30, 30, 200)


def encoded(colour: tuple[int, int, int], size: tuple[int, int] = (64, 48)) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def points(n: int = 200) -> tuple[Points, list[Sheet]]:
    """Return two groups, far left and far right, and one point in the middle of nothing without a group."""
    rng = np.random.default_rng(0)
    half = n // 2
    xy = rng.normal(size=(n, 2)).astype(np.float32) * 0.5
    xy[:half, 0] -= 10
    xy[half:, 0] += 10
    xy[-1] = 0
    codes = np.repeat(np.array([0, 1], np.int32), half)
    codes[-1] = -1
    names = [*HOSTILE, *(f"images/{place}.jpeg" for place in range(len(HOSTILE), n))]
    made = sheet([encoded(RED if code == 0 else BLUE) for code in codes[:200]], side=48, quality=60)
    sizes = made.sizes + [(0, 0)] * (n - 200)
    groups = Groups(codes, ("left & <b>", "right"), "no label")
    return Points(xy, names, groups, {7: "id:0123456789abcdef"}, sizes, 48), [made]


def page_of(path: Path, n: int = 200) -> Path:
    made, sheets = points(n)
    with path.open("w", encoding="utf-8") as file:
        write_page(file, made, sheets, title="A map <of> it", note="seed 0", by="label")
    return path


# --- what is written ---


def test_sheets_hold_each_picture_in_its_place():
    made = sheet(
        [encoded(RED), None, b"not a picture", encoded(BLUE, (10, 40))] + [encoded(RED)] * 30, side=48, quality=90
    )
    image = np.asarray(Image.open(BytesIO(made.data)).convert("RGB"), int)
    assert image.shape == (2 * 48, ACROSS * 48, 3)
    assert made.sizes[:4] == [(48, 36), (0, 0), (0, 0), (10, 40)]
    assert (
        np.abs(image[4:30, 4:44] - RED).max() < 12 and np.abs(image[10:30, 3 * 48 + 3 : 3 * 48 + 7] - BLUE).max() < 40
    )
    assert np.abs(image[60:80, 52:90] - RED).max() < 12


def test_thumbnails_become_smaller_until_they_fit():
    noise = np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3), np.uint8)
    sample = []
    for picture in noise:
        buffer = BytesIO()
        Image.fromarray(picture).save(buffer, "PNG")
        sample.append(buffer.getvalue())
    sizes = [len(sheet(sample, side=side, quality=quality).data) for side, quality in LADDER]
    assert fitting(sample, 20, budget=sizes[0]) == LADDER[0]
    assert fitting(sample, 20, budget=sizes[3]) == LADDER[3]
    assert fitting(sample, 20, budget=1) == LADDER[-1]
    assert fitting([encoded(RED, (28, 20)), None], 2, budget=10**6) == (28, LADDER[0][1])


def test_points_that_lie_together_come_together():
    xy = np.array([[0, 0], [9, 9], [0.1, 0], [9, 8.9], [0, 9]], np.float32)
    order = _morton(xy).tolist()
    assert abs(order.index(0) - order.index(2)) == 1 and abs(order.index(1) - order.index(3)) == 1


def test_images_of_one_name_go_by_their_ids():
    ids = np.arange(96, dtype=np.uint8).reshape(3, 32)
    assert _doubtful(ids, ["a", "b", "a"]) == {0: "id:0001020304050607", 2: "id:4041424344454647"}


def test_the_page_holds_its_data_and_nothing_that_a_name_could_break(tmp_path):
    text = page_of(tmp_path / "map.html").read_text(encoding="utf-8")
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == text.count("<script") == 3
    data = json.loads(scripts[0])
    made, _ = points()
    assert data["names"] == list(made.names)
    assert np.array_equal(np.frombuffer(base64.b64decode(data["xy"]), "<f4").reshape(-1, 2), made.xy)
    assert [(one["name"], one["count"]) for one in data["groups"]] == [
        ("left & <b>", 100),
        ("right", 99),
        ("no label", 1),
    ]
    assert not re.search(r"https?://(?!example)", text)
    assert "<title>A map &lt;of&gt; it</title>" in text


@pytest.mark.parametrize(("ranges", "names", "named"), [(False, 2, True), (True, 2, False), (False, 1, False)])
def test_groups_are_named_on_the_map_unless_there_is_one_or_they_are_ranges(tmp_path, ranges, names, named):
    made, sheets = points()
    groups = Groups(np.minimum(made.groups.codes, names - 1), made.groups.names[:names], ranges=ranges)
    file = StringIO()
    write_page(file, replace(made, groups=groups), sheets, title="", note="", by="")
    assert f'"named":{str(named).lower()}' in file.getvalue()


def test_points_without_a_label_are_told_from_a_label_of_that_name():
    groups = Groups(np.array([0, -1], np.int32), ("no label",))
    assert (groups.without, Groups(groups.codes, ("cat",)).without) == ("(no label)", "no label")


# --- in the browser ---


@pytest.fixture(scope="module", params=["webgl", "canvas"])
def browser(request) -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    # Without a GPU, or with the flag that takes it away, the page draws on a plain canvas.
    more = WEBGL if request.param == "webgl" else ("--disable-gpu", "--disable-3d-apis", "--disable-webgl2")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *more])
        started.kind = request.param
        yield started
        started.close()


@pytest.fixture
def page(browser, tmp_path) -> Iterator[Any]:
    """Return the page, opened; at the end it must have asked for nothing and complained of nothing."""
    yield from opened(browser, page_of(tmp_path / "map.html"))


def opened(browser: Any, path: Path, **context: Any) -> Iterator[Any]:
    wrong: list[str] = []
    made = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, "accept_downloads": True} | context)
    tab = made.new_page()
    tab.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("request", lambda request: wrong.append(request.url) if outside(request.url) else None)
    tab.goto(path.as_uri())
    tab.wait_for_function("() => performance.getEntriesByName('drawn').length")
    yield tab
    assert wrong == []
    made.close()


def outside(url: str) -> bool:
    return not url.startswith(("file:", "data:", "blob:"))


def place(page: Any, image: int) -> tuple[float, float]:
    x, y = page.evaluate(f"mapOfImages.place({image})")
    return x, y


def colours(page: Any) -> set[str]:
    """Return which of the palette's first two colours are seen on the map, between its panels."""
    shot = Image.open(BytesIO(page.screenshot(clip={"x": 0, "y": 200, "width": 1050, "height": 540}))).convert("RGB")
    pixels = np.asarray(shot, int).reshape(-1, 3)
    blue = (pixels[:, 2] > pixels[:, 0] + 60) & (pixels[:, 2] > pixels[:, 1] + 30)
    red = (pixels[:, 0] > pixels[:, 2] + 60) & (pixels[:, 0] > pixels[:, 1] + 60)
    return {name for name, seen in (("blue", blue), ("red", red)) if np.count_nonzero(seen) > 30}


def draw_around(page: Any, left: float, right: float) -> None:
    """Draw a lasso around all that lies between two places, in lasso mode."""
    page.mouse.move(left, 250)
    page.mouse.down()
    for x, y in ((right, 250), (right, 700), (left, 700)):
        page.mouse.move(x, y, steps=3)
    page.mouse.up()


def test_it_draws_as_it_can(page, browser):
    assert colours(page) == {"blue", "red"}
    kind = page.evaluate("Boolean(document.getElementById('plot').getContext('webgl2'))")
    assert kind == (browser.kind == "webgl")
    assert page.inner_text("#title") == "A map <of> it"


def test_hover_shows_picture_name_and_group(page):
    page.mouse.move(*place(page, 0))
    page.wait_for_selector("#card:not([hidden])")
    assert page.inner_text("#card bdi") == HOSTILE[0]
    assert page.inner_text("#card span") == "left & <b>"
    page.wait_for_selector("#card canvas[data-drawn='0']")
    shot = Image.open(BytesIO(page.locator("#card canvas").screenshot())).convert("RGB")
    assert np.abs(np.array(shot.getpixel((60, 40))) - RED).max() < 16
    x, y = place(page, 199)
    page.mouse.move(x, y + 100)
    assert page.is_hidden("#card")


def test_search_finds_highlights_and_centres(page):
    page.fill("#query", "IMAGES/150.")
    page.press("#query", "Enter")
    assert page.inner_text("#found .bar").startswith("1 image found")
    x, y = place(page, 150)
    assert abs(x - (1280 - 236) / 2) < 3 and abs(y - 400) < 3
    assert page.inner_text("#card bdi") == "images/150.jpeg"
    page.fill("#query", "</SCRIPT>")
    page.wait_for_function(f"() => document.querySelector('#found > button')?.textContent === {json.dumps(HOSTILE[0])}")
    assert page.locator("#found > button").count() == 1
    page.press("#query", "Escape")
    assert page.is_hidden("#found")


def test_what_search_finds_can_be_chosen_with_keys_alone(page):
    page.keyboard.press("/")
    page.keyboard.type("images/19")
    page.keyboard.press("Enter")
    for _ in range(5):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Choose"
    page.keyboard.press("Enter")
    assert page.inner_text("#count") == "11 images chosen"


def test_lasso_exports_the_names(page, browser):
    page.click("#lasso")
    draw_around(page, 20, 430)
    assert page.inner_text("#count") == "100 images chosen"
    with page.expect_download() as download:
        page.click("#csv")
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_bytes().decode())))
    made, _ = points()
    expected = [made.ids.get(place, made.names[place]) for place in range(100)]
    assert [row["image"] for row in rows] == expected
    assert {row["label"] for row in rows} == {"left & <b>"}
    with page.expect_download() as download:
        page.click("#text")
    assert Path(download.value.path()).read_bytes().decode() == "".join(f"{name}\n" for name in expected)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#copy")
    page.wait_for_function("() => document.getElementById('status').textContent === '100 images copied'")
    assert page.evaluate("navigator.clipboard.readText()") == "".join(f"{name}\n" for name in expected)
    page.keyboard.press("Escape")
    assert page.is_hidden("#chosen")


def test_shift_and_drag_is_a_lasso_and_a_name_without_group_has_no_label(page):
    x, _ = place(page, 199)
    page.keyboard.down("Shift")
    draw_around(page, x - 60, x + 60)
    page.keyboard.up("Shift")
    with page.expect_download() as download:
        page.click("#csv")
    assert Path(download.value.path()).read_text() == "image,label\nimages/199.jpeg,\n"


def test_the_legend_filters(page):
    left = page.locator("#groups button").first
    assert left.inner_text().split("\n") == ["left & <b>", "100"]
    left.click()
    assert left.get_attribute("aria-pressed") == "false" and colours(page) == {"red"}
    page.click("#lasso")
    draw_around(page, 20, 430)
    assert page.is_hidden("#chosen")
    page.click("#all")
    assert colours(page) == {"blue", "red"}
    left.dblclick()
    assert colours(page) == {"blue"}
    left.focus()
    page.keyboard.press("Enter")
    assert colours(page) == set()


def test_names_of_groups_stand_where_they_lie_and_can_be_left_out(page):
    texts = page.locator("#names text")
    assert texts.all_text_contents() == ["left & <b>", "right"]
    # A group's own middle, to a tenth of the screen; the one point without a label has no name.
    for number, images in ((0, range(100)), (1, range(100, 199))):
        x, y = np.mean([place(page, image) for image in images], axis=0)
        box = texts.nth(number).bounding_box()
        assert abs(box["x"] + box["width"] / 2 - x) < 64 and abs(box["y"] + box["height"] / 2 - y) < 128
    page.locator("#groups button").first.click()
    page.wait_for_function("() => document.querySelectorAll('#names text').length === 1")
    assert texts.all_text_contents() == ["right"]
    page.focus("#plot")
    page.keyboard.press("n")
    page.wait_for_function("() => document.querySelectorAll('#names text').length === 0")
    page.click("#naming")
    page.wait_for_function("() => document.querySelectorAll('#names text').length === 1")


def test_wheel_drag_keys_and_double_click_move_the_view(page):
    before = place(page, 0)
    page.mouse.move(*before)
    page.mouse.wheel(0, -300)
    page.wait_for_function(f"() => Math.abs(mapOfImages.place(199)[0] - {before[0]}) > 700")
    assert np.allclose(place(page, 0), before, atol=0.5) and abs(place(page, 199)[0] - before[0]) > 700
    page.mouse.move(640, 400)
    page.mouse.down()
    page.mouse.move(740, 430, steps=4)
    page.mouse.up()
    assert np.allclose(place(page, 0), (before[0] + 100, before[1] + 30), atol=0.5)
    page.mouse.dblclick(640, 740)
    assert np.allclose(place(page, 0), before, atol=0.5)
    page.focus("#plot")
    page.keyboard.press("ArrowRight")
    assert np.allclose(place(page, 0), (before[0] - 60, before[1]), atol=0.5)
    page.keyboard.press("+")
    page.keyboard.press("0")
    assert np.allclose(place(page, 0), before, atol=0.5)


def test_two_fingers_zoom(browser, tmp_path):
    for tab in opened(browser, page_of(tmp_path / "map.html"), has_touch=True):
        client = tab.context.new_cdp_session(tab)
        before = np.array(place(tab, 0)) - place(tab, 199)

        def touch(kind: str, *fingers: tuple[int, int], client: Any = client) -> None:
            made = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(fingers)]
            client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": made})

        touch("touchStart", (500, 400), (600, 400))
        touch("touchMove", (450, 400), (650, 400))
        touch("touchEnd")
        after = np.array(place(tab, 0)) - place(tab, 199)
        assert np.allclose(after, 2 * before, rtol=0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_dark_paper_for_those_who_want_it(browser, tmp_path, scheme):
    for tab in opened(browser, page_of(tmp_path / "map.html"), color_scheme=scheme, device_scale_factor=2):
        shot = Image.open(BytesIO(tab.screenshot())).convert("L")
        assert shot.size == (2560, 1600)
        assert (shot.getpixel((1200, 1560)) < 40) == (scheme == "dark")
        assert tab.evaluate("document.getElementById('plot').width") == 2560


def test_on_a_narrow_screen_nothing_of_the_map_lies_under_the_tools(browser, tmp_path):
    for tab in opened(browser, page_of(tmp_path / "map.html"), viewport={"width": 390, "height": 800}):
        header, legend = (tab.locator(one).bounding_box() for one in ("header", "#legend"))
        xy = np.array([place(tab, image) for image in range(200)])
        assert xy.min() >= 0 and xy[:, 0].max() <= 390
        assert header["y"] + header["height"] < xy[:, 1].min() and xy[:, 1].max() < legend["y"]


def test_a_list_that_fills_a_narrow_screen_does_not_turn_the_map_over(browser, tmp_path):
    for tab in opened(browser, page_of(tmp_path / "map.html"), viewport={"width": 330, "height": 340}):
        before = np.array(place(tab, 0)) - place(tab, 199)
        tab.fill("#query", "i")
        tab.wait_for_selector("#found button")
        tab.locator("#found button", has_text="Show").click()
        after = np.array(place(tab, 0)) - place(tab, 199)
        assert (np.sign(after) == np.sign(before)).all()


def test_fifty_thousand_points_are_drawn(browser, tmp_path):
    for tab in opened(browser, page_of(tmp_path / "map.html", 50_000)):
        assert colours(tab) == {"blue", "red"}
        tab.fill("#query", "images/49998.")
        tab.press("#query", "Enter")
        assert tab.inner_text("#found .bar").startswith("1 image found")
