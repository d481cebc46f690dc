"""Makes the relative links of README.md absolute in the metadata, because package indexes have no repository."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)]+)\)")


def absolute(text: str, address: str) -> str:
    """Return the text with links to the files of the repository at this address, as GitHub has them."""

    def link(found: re.Match[str]) -> str:
        image, label, target = found.groups()
        return f"{image}[{label}]({address}/{'raw' if image else 'blob'}/HEAD/{target})"

    return _LINK.sub(link, text)


class ReadmeHook(MetadataHookInterface):
    """Gives the field `readme`, which pyproject.toml declares as dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": absolute(text, metadata["urls"]["Homepage"]),
        }
