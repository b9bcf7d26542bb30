"""The documentation as a site: built strictly, and looked at as a browser would."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import andon

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.timeout(300)

#: What a browser fetches by itself, by element and attribute; links are for the reader to follow.
FETCHED = {
    ("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src"), ("source", "src"),
    ("video", "src"), ("audio", "src"), ("object", "data"), ("embed", "src"), ("use", "href"),
}  # fmt: skip
#: Relations of <link> that name a page and fetch nothing.
NAMED_ONLY = {"next", "prev", "index", "search", "author", "canonical", "copyright"}


class Page(HTMLParser):
    """What one page fetches, where it leads, and what can be led to on it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.fetched: set[str] = set()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values["id"]} if "id" in values else set()
        named_only = tag == "link" and values.get("rel", "") in NAMED_ONLY
        self.fetched |= {
            value for name, value in values.items() if (tag, name) in FETCHED and not named_only
        }
        if tag == "a" and "href" in values:
            self.links.add(values["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does: every warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet",
         "-d", str(folder / "doctrees"), str(ROOT / "docs"), str(folder / "html")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    files = [path for path in site.rglob("*.html") if "_static" not in path.parts]
    return {path.relative_to(site).as_posix(): Page(path) for path in files}


def inventory(site: Path) -> set[str]:
    """Return the Python names that other projects' documentation can link to."""
    _, _, packed = (site / "objects.inv").read_bytes().partition(b"zlib.\n")
    lines = zlib.decompress(packed).decode("utf-8").splitlines()
    return {line.split(" ")[0] for line in lines if " py:" in line}


def sources() -> set[str]:
    files = [p for kind in ("md", "rst") for p in (ROOT / "docs").rglob(f"*.{kind}")]
    return {
        path.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        for path in files
        if "_build" not in path.parts
    }


def test_the_index_links_every_page() -> None:
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    linked = {link + ".html" for link in re.findall(r"\]\(([\w./-]+)\.(?:md|rst)\)", index)}
    lost = sources() - linked - {"index.html"}
    assert lost == set(), "docs/index.md is the site's navigation: link these there"


def test_every_page_is_on_the_site_and_in_its_navigation(pages: dict[str, Page]) -> None:
    start = {unquote(urlsplit(link).path) for link in pages["index.html"].links}
    assert sources() - set(pages) == set()
    assert sources() - start - {"index.html"} == set()


def test_every_public_name_has_a_place(site: Path) -> None:
    from andon import testing

    there = inventory(site)
    public = {f"andon.{name}" for name in andon.__all__} - {"andon.__version__"}
    public |= {f"andon.testing.{name}" for name in testing.__all__}
    missing = {name for name in public if name not in there}
    assert missing - {"andon.hookimpl"} == set(), "docs/reference/python/ has no place for these"
    assert "andon.hookspecs.hookimpl" in there


def test_every_hook_event_and_error_has_a_place(site: Path) -> None:
    from andon import errors, events, hookspecs

    hooks = {name for name in vars(hookspecs) if name.startswith("andon_")}
    told = {
        name
        for module in (errors, events)
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    }
    last_words = {name.rpartition(".")[2] for name in inventory(site)}
    assert (hooks | told) - last_words == set()


def test_the_index_of_the_search_knows_every_page(site: Path) -> None:
    text = (site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(re.fullmatch(r"Search\.setIndex\((.*)\)", text, re.DOTALL)[1])  # type: ignore[index]
    assert {f"{name}.html" for name in index["docnames"]} == sources()
    assert "spillov" in index["terms"], "words are there by their stems"


def test_nothing_is_fetched_from_elsewhere(site: Path, pages: dict[str, Page]) -> None:
    abroad = {
        f"{name}: {address}"
        for name, page in pages.items()
        for address in page.fetched
        if urlsplit(address).netloc or urlsplit(address).scheme not in {"", "data"}
    }
    assert abroad == set()
    imports = re.compile(r"""(?:@import|url\()\s*["']?(?:https?:)?//[^"')]+""")
    styles = {
        f"{path.relative_to(site)}: {found}"
        for path in site.rglob("*.css")
        for found in imports.findall(path.read_text(encoding="utf-8"))
    }
    assert styles == set()


def test_every_link_within_the_site_leads_somewhere(site: Path, pages: dict[str, Page]) -> None:
    broken = {
        f"{name}: {link}"
        for name, page in pages.items()
        for link in page.links | page.fetched
        if not leads_somewhere(link, page, site, pages)
    }
    assert broken == set()


def leads_somewhere(link: str, page: Page, site: Path, pages: dict[str, Page]) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True  # elsewhere: for the reader to try
    target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
    known = pages.get(target.relative_to(site.resolve()).as_posix())
    anchor = unquote(parts.fragment)
    return target.exists() and (not anchor or known is None or anchor in known.anchors)
