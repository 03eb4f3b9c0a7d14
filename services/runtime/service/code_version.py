"""Which code decides: the package's version and a hash of the kernel, so that a change shows."""

from functools import cache
from hashlib import blake2b
from pathlib import Path

import services
from services import kernel


@cache
def code_version() -> str:
    """Such as ``0.1.0+kernel.1f2e3d4c5b6a7988``: equal for equal version and kernel source."""
    return f"{services.__version__}+kernel.{digest_of(Path(kernel.__path__[0]))}"


def digest_of(folder: Path) -> str:
    """Hash over names and contents of the Python files below a folder."""
    digest = blake2b(digest_size=8)
    for path in sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).as_posix()):
        text = path.read_bytes().replace(b"\r\n", b"\n")  # a checkout on Windows is the same code
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(text)}\0".encode())
        digest.update(text)
    return digest.hexdigest()
