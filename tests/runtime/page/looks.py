"""How a page looks in a browser."""

from __future__ import annotations

from tests.runtime.page.chromium import Browser, wait_for

#: Required contrast of the colors of text and background (WCAG 2, level AA).
READABLE = 4.5

#: Elements whose own text is too close to its background color.
_UNREADABLE = """
(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const written = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  const seen = [...document.querySelectorAll('body *')].filter((e) => e.offsetParent && written(e));
  return seen.filter((e) => !e.matches('svg *, :disabled')).map((e) => {
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))];
    return [e.id || e.textContent, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
  }).filter(([, ratio]) => ratio < %s);
})()
"""


def shows(browser: Browser, selector: str, text: str) -> None:
    """Wait until an element shows a text."""
    wait_for(lambda: text in browser.text(selector), f"{text!r} in {selector}")


def fits(browser: Browser, width: int) -> None:
    """A page fits a screen of that width, can be touched and read, and names what it has."""
    assert browser.js("document.documentElement.scrollWidth") <= width, "no scrolling sideways"
    small = browser.js(
        "[...document.querySelectorAll('button, input, a')].filter(e => e.offsetParent && "
        "!e.closest('.choice')).map(e => [e.id || e.textContent, e.getBoundingClientRect()])"
        ".filter(([, box]) => box.height < 44 - 0.5 || box.width < 44 - 0.5).map(([name]) => name)"
    )
    assert small == [], f"touched, and below 44 pixels high or wide: {small}"
    assert browser.js(_UNREADABLE % READABLE) == []
    nameless = browser.js(
        "[...document.querySelectorAll('input')].filter(e => !e.labels.length).map(e => e.id)"
        ".concat([...document.querySelectorAll('img')].filter(e => e.offsetParent && !e.alt).map(e => e.id))"
    )
    assert nameless == []
