"""mkdocs hook: the site has the paths of the repository, so that one link serves both it and a forge.

Its pages are those of docs/, and whatever file of the repository a page links to, README first.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

START = "README.md"
LINK = re.compile(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Called once mkdocs has found the files of docs/ and of its theme."""
    root = Path(config.config_file_path).resolve().parent
    own = [file for file in files if file.src_dir == config.docs_dir]
    for file in own:
        files.remove(file)
    found = [Path(file.abs_src_path).resolve().relative_to(root) for file in own if file.abs_src_path]
    for path in _with_linked(root, [Path(START), *found]):
        files.append(File(path.as_posix(), str(root), config.site_dir, config.use_directory_urls))
    return files


def _with_linked(root: Path, paths: list[Path]) -> list[Path]:
    """These files, and those that they link to, and so on."""
    seen: dict[Path, None] = {}
    while paths:
        path = paths.pop()
        if path in seen:
            continue
        seen[path] = None
        if path.suffix == ".md":
            targets = (
                (root / path.parent / link).resolve() for link in LINK.findall((root / path).read_text())
            )
            paths += [
                target.relative_to(root) for target in targets if target.is_file() and root in target.parents
            ]
    return sorted(seen)
