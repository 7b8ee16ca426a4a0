"""Pages as a reader of HTML and as a real browser sees them."""

from __future__ import annotations

import html
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = "</style><script>alert('you')</script><img src=x onerror=alert(1)>"

needs_chromium = pytest.mark.skipif(
    not CHROMIUM.exists(), reason="no /usr/bin/chromium here: apt-get install chromium"
)


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and the words in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def assert_self_contained(page: str) -> None:
    """Nothing is loaded or run; pictures are blurred until a box is ticked; wide tables scroll by keyboard, too."""
    tags = Tags(page).tags
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"data:[\w/+;]+,[\w+/=]*", "data:", page))
    assert not {tag for tag, _ in tags} & {"script", "iframe", "object", "embed", "form", "base"}
    for tag, attributes in tags:
        for name in ("src", "href", "srcset", "action", "background"):
            assert (attributes.get(name) or "data:").startswith("data:"), tag
        assert not [name for name in attributes if name.startswith("on")]
        if attributes.get("class") == "scroll":
            assert (attributes["tabindex"], attributes["role"]) == ("0", "region") and attributes[
                "aria-label"
            ]
    assert page.count('<div class="scroll"') == page.count("<table>") and page.count("</style>") == 1
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert re.search(r"\.picture img \{[^}]*filter: blur\(\d+px\) grayscale\(1\)", style)
    # Nothing but a ticked box takes the blur off.
    (unblurred,) = re.findall(r"([^{}]*)\{ filter: none; \}", style)
    assert all(":checked" in selector for selector in unblurred.split(","))
    # Text in colour is read by people of weak sight, on white and on a dark page.
    for scheme, paper in zip(re.findall(r":root \{([^}]*)\}", style), ("#ffffff", "#121212"), strict=True):
        for colour in re.findall(r"--(?:good|bad|warn): (#\w{6})", scheme):
            assert contrast(colour, paper) >= 4.5, colour


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours by WCAG 2."""
    light = []
    for colour in (first, second):
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
        light.append(0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)
    return max(light) / min(light)


# Measures the page in a frame as wide as a phone, by day and by night, and says so in the document's title.
_FRAME = """<!doctype html><title></title>
<iframe width="390" height="844" style="border:0" srcdoc="%s"></iframe>
<iframe width="390" height="844" style="border:0; color-scheme: dark" srcdoc="%s"></iframe>
<script>
const blend = ([r, g, b], [r2, g2, b2, a]) => [r + (r2 - r) * a, g + (g2 - g) * a, b + (b2 - b) * a];
const parse = colour => { const parts = colour.match(/[\\d.]+/g).map(Number); return [...parts, 1].slice(0, 4); };
const light = colour => { const [r, g, b] = colour.map(x => x / 255 <= 0.04045 ? x / 255 / 12.92
  : ((x / 255 + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05; };
// The contrast of an element's text (WCAG 2) with what is painted under it, through every see-through layer.
function contrast(element, style) {
  const layers = [];
  for (let box = element; box; box = box.parentElement) layers.unshift(style(box));
  const root = element.ownerDocument.documentElement;
  const dark = root.ownerDocument.defaultView.matchMedia("(prefers-color-scheme: dark)").matches;
  const paper = layers.reduce((under, layer) => blend(under, parse(layer.backgroundColor)),
    dark ? [18, 18, 18] : [255, 255, 255]);
  const [r, g, b, a] = parse(style(element).color);
  const shown = layers.reduce((opacity, layer) => opacity * layer.opacity, a);
  const sides = [light(paper), light(blend(paper, [r, g, b, shown]))];
  return Math.max(...sides) / Math.min(...sides);
}
function measure(frame) {
  const inner = frame.contentDocument, view = inner.defaultView, root = inner.documentElement;
  const style = element => view.getComputedStyle(element);
  for (const box of inner.querySelectorAll("details")) box.open = true;
  const blurred = [...inner.querySelectorAll(".picture img")].map(image => style(image).filter);
  const faint = [], texts = inner.createTreeWalker(inner.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.data.trim(), ratio = contrast(texts.currentNode.parentElement, style);
    if (text && ratio < 4.5) faint.push(`${ratio.toFixed(2)}: ${text.slice(0, 40)}`);
  }
  const unreachable = [...inner.body.querySelectorAll("*")].filter(box =>
    /auto|scroll/.test(style(box).overflowX) && box.tabIndex < 0).map(box => box.className);
  return {width: view.innerWidth, beyond: root.scrollWidth - root.clientWidth,
    blurred: blurred.every(filter => filter.startsWith("blur")), pictures: blurred.length,
    decoded: [...inner.images].every(image => image.naturalWidth > 0), faint, unreachable,
    dark: view.matchMedia("(prefers-color-scheme: dark)").matches};
}
addEventListener("load", () => {
  const [day, night] = [...document.querySelectorAll("iframe")].map(measure);
  document.title = JSON.stringify({...day, dark: night.dark, faint: [...day.faint, ...night.faint]});
});</script>"""


def browse(page: Path, profile: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Open a page without a window; what the browser prints."""
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --virtual-time-budget=2000"
    )
    command = [str(CHROMIUM), *flags.split(), f"--user-data-dir={profile}", *more, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)


def measure_on_a_phone(page: str, folder: Path) -> dict[str, Any]:
    """A page in a frame 390 pixels wide: its width, what reaches beyond, whether pictures are blurred and decoded.

    Also texts of too little contrast, by day or by night, and boxes that scroll and are not reached by keyboard.
    """
    (folder / "frame.html").write_text(_FRAME % ((html.escape(page),) * 2), encoding="utf-8")
    shown = browse(folder / "frame.html", folder / "profile", "--dump-dom").stdout
    measured: dict[str, Any] = json.loads(Tags(shown[: shown.index("</title>") + 8]).words)
    return measured
