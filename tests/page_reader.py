"""What a page of HTML holds, and what of it is no good for a reader who cannot see, or has no network."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise

ADDRESSES = ("src", "href", "srcset", "xlink:href", "action", "poster", "data", "background", "ping")
VOID = {"meta", "img", "br", "link", "input", "hr", "rect", "circle", "line", "path", "polyline", "image"}


class Page(HTMLParser):
    """The tags of a page in order with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.styles: list[str] = []
        self.unclosed: list[str] = []
        self.source = text
        self.feed(text)
        self.close()
        self.unclosed += self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.unclosed.append(tag)

    def handle_data(self, data):
        (self.styles if self.open and self.open[-1] == "style" else self.words).append(data)

    def all(self, *names: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag in names]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def outside(self) -> list[str]:
        """Whatever the page would fetch, or run: there must be none of it."""
        found = [f"<{tag}>" for tag, _ in self.tags if tag in ("script", "link", "iframe", "object", "embed", "base")]
        for tag, attributes in self.tags:
            for name, value in attributes.items():
                if name.startswith("on"):
                    found.append(f"{tag} {name}")
                if name in ADDRESSES and not value.startswith(("data:", "#")):
                    found.append(f"{tag} {name}={value[:40]}")
                if name == "style" and re.search(r"url\(|@import|expression", value):
                    found.append(f"{tag} style={value[:40]}")
        found += [match for style in self.styles for match in re.findall(r"url\([^)]*\)|@import[^;]*", style)]
        return found

    def inaccessible(self) -> list[str]:
        """What a reader who cannot see does not get, or cannot find: there must be none of it."""
        found = [f"not closed: {tag}" for tag in self.unclosed]
        if not self.all("html")[0].get("lang"):
            found.append("no language")
        if not self.all("title") or not self.all("main") or not all(nav.get("aria-label") for nav in self.all("nav")):
            found.append("no title, main, or name of the navigation")
        found += [f"image without a text: {image}" for image in self.all("img") if not image.get("alt", "").strip()]
        found += [
            f"picture without a text: {svg.get('class')}"
            for svg in self.all("svg")
            if svg.get("role") != "img" or not svg.get("aria-label", "").strip()
        ]
        levels = [int(tag[1]) for tag, _ in self.tags if re.fullmatch("h[1-6]", tag)]
        if levels.count(1) != 1 or levels[0] != 1:
            found.append("not one first heading")
        found += [f"heading {b} after {a}" for a, b in pairwise(levels) if b > a + 1]
        names = [attributes["id"] for _, attributes in self.tags if "id" in attributes]
        found += [f"twice: {name}" for name in set(names) if names.count(name) > 1]
        targets = [link["href"][1:] for link in self.all("a") if link.get("href", "").startswith("#")]
        found += [f"nothing is called {name}" for name in targets if name not in names]
        tables = [tag for tag, _ in self.tags if tag in ("table", "caption")]
        found += ["a table without a caption"] if tables != ["table", "caption"] * (len(tables) // 2) else []
        found += ["a head of a table without a scope" for head in self.all("th") if not head.get("scope")]
        found += ["a head of a table without a word"] if re.search("<th[^>]*></th>", self.source) else []
        figures = re.findall('alt="([^"]+)"[^>]*><figcaption><span>([^<]*)<', self.source)
        found += [f"said twice: {alt}" for alt, caption in figures if alt == caption]
        found += ["what scrolls cannot be reached" for each in self.all("div") if each.get("class") == "wide"
                  and (each.get("tabindex") != "0" or not each.get("aria-label"))]  # fmt: skip
        return found


def contrast(one: str, other: str) -> float:
    """The contrast of two colors such as #0b57b7 (WCAG 2.2, relative luminance), 1 to 21."""
    lighter, darker = sorted(map(_luminance, (one, other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def mixed(color: tuple[int, int, int], share: float, paper: str) -> str:
    """A color of some opacity over a paper, as #rrggbb."""
    below = [int(paper[place : place + 2], 16) for place in (1, 3, 5)]
    return "#" + "".join(f"{round(share * a + (1 - share) * b):02x}" for a, b in zip(color, below, strict=True))
