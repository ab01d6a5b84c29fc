"""Files on the operator's computer that are replaced as a whole, or not at all."""

from __future__ import annotations

from pathlib import Path


def replace(path: Path, content: str | bytes, mode: int = 0o666) -> None:
    """Give a file this content in one moment; its folder is there.

    + mode: of the file, less the umask
    """
    arriving = path.with_name(f"{path.name}.arriving")
    arriving.unlink(missing_ok=True)
    arriving.touch(mode=mode, exist_ok=False)
    arriving.write_bytes(content.encode() if isinstance(content, str) else content)
    arriving.replace(path)
