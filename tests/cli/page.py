"""What a page of --html is held to, whatever command it is of: it parses, stands alone, and carries its data."""
import html.parser
import json
import re

VOID = {"meta", "link", "br", "img", "input", "hr"}
MOST_BYTES = 3_000_000


class Page(html.parser.HTMLParser):
    """A page that was read: `data`, `text` (what a reader sees), and how often each element is there."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.source, self.text, self.counts, self.faults, self.open, self.ids = source, "", {}, [], [], set()
        self.feed(source)
        self.close()
        if self.open:
            self.faults.append(f"not closed: {self.open}")
        found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', source, re.S)
        self.data = json.loads(found[0].replace("<\\/", "</")) if len(found) == 1 else None

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset", "action"):
                self.faults.append(f"<{tag} {name}={value}>")
            if name == "id":
                if value in self.ids:
                    self.faults.append(f"two of id {value}")
                self.ids.add(value)
            for number in re.findall(r"nan|inf(?!o)", value or "") if tag in ("rect", "line", "path", "text") else []:
                self.faults.append(f"<{tag} {name}={value}>: {number}")

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        if not {"script", "style", "title"} & set(self.open):
            self.text += data


def check(test, source, title):
    """The page of `source`, which is one: no fault, alone, with a picture and its data."""
    page = Page(source)
    test.assertEqual(page.faults, [])
    test.assertLess(len(source.encode()), MOST_BYTES)
    test.assertNotRegex(source, r"https?://|@import|url\((?!#p\d\))")
    for part in ("<!DOCTYPE html>", "prefers-color-scheme", 'name="viewport"', f"<title>yoke {title}"):
        test.assertIn(part, source)
    test.assertGreater(page.counts.get("svg", 0), 1)
    test.assertEqual(page.counts.get("script"), 1)
    test.assertIsNotNone(page.data)
    test.assertEqual(page.data["version"], 1)
    for pattern in set(re.findall(r"url\(#(p\d)\)", source)):
        test.assertIn(pattern, page.ids)
    return page
