"""A hook of MkDocs: links to files that are not pages of the site become plain text.

In the repository they lead to the source; the site does not contain it.
"""

import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)#\s]+)(?:#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """The page with every link that leaves the documents folder as text and path.

    Raises:
        ValueError: A link leads to no file of the repository either.
    """
    documents = Path(config["docs_dir"])
    root = documents.parents[1]
    here = Path(page.file.abs_src_path).parent

    def text(link: re.Match[str]) -> str:
        target = (here / link[2]).resolve()
        if target.is_relative_to(documents):
            return link[0]
        if not target.exists():
            raise ValueError(f"{page.file.src_path}: {link[2]} does not exist")
        path = target.relative_to(root).as_posix()
        return link[1] if path in link[1] else f"{link[1]} (`{path}`)"

    return _LINK.sub(text, markdown)
