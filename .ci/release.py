"""Before a release is built: the tag must name the version, and the README's links must lead somewhere from PyPI's page, too.

Called by .github/workflows/release.yml as `release.py TAG ADDRESS`, ADDRESS being that of the repository, as
https://github.com/OWNER/NAME. PyPI shows the README on a page of its own, where relative links lead nowhere and pictures are
missing. The address is known to whoever makes the release and stands nowhere in the source.
"""

import re
import sys
from pathlib import Path

ROOT = Path.cwd()
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#|mailto:)([^)\s]+)\)")
"""A link, or a picture, with a relative address."""


def version():
    """Return the version that the source says."""
    text = (ROOT / "fastgrad" / "_version.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', text, re.M)[1]


def absolute(text, tag, address):
    """Return a page whose relative links lead into the repository at a tag."""

    def link(found):
        picture, words, target = found.groups()
        return f"{picture}[{words}]({address.rstrip('/')}/{'raw' if picture else 'blob'}/{tag}/{target})"

    return LINK.sub(link, text)


def main(tag, address):
    """Check the tag and rewrite the README in this checkout."""
    if tag != f"v{version()}":
        sys.exit(f"The tag is {tag}, and fastgrad/_version.py says {version()}: the tag of that version is v{version()}.")
    readme = ROOT / "README.md"
    readme.write_text(absolute(readme.read_text(encoding="utf-8"), tag, address), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
