"""A kernel module file: a real ELF object whose only content is its .modinfo section.

`modinfo` reads it, as does any program that looks for a module's version and licence. Nothing can
run it, and the kernels of test machines often load no modules at all.
"""

from __future__ import annotations

import struct

_HEADER = "<16sHHIQQQIHHHHHH"
_SECTION = "<IIQQQQIIQQ"
_MAGIC = b"\x7fELF\x02\x01\x01"
# What the kernel's sign-file appends, and what the kernel looks for.
SIGNATURE = b"~Module signature appended~\n"


def module(*, signed: bool = False, **modinfo: str) -> bytes:
    """The file; with `signed` it ends as a signed module does (the signature itself is empty)."""
    content = b"".join(f"{key}={value}".encode() + b"\0" for key, value in modinfo.items())
    names = b"\0.modinfo\0.shstrtab\0"
    begin = struct.calcsize(_HEADER)
    table = (begin + len(content) + len(names) + 7) & ~7
    sections = (
        (0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        (1, 1, 2, 0, begin, len(content), 0, 0, 1, 0),
        (10, 3, 0, 0, begin + len(content), len(names), 0, 0, 1, 0),
    )
    # Relocatable, x86-64, three sections, names in the third.
    head = struct.pack(_HEADER, _MAGIC, 1, 62, 1, 0, 0, table, 0, begin, 0, 0, 64, 3, 2)
    body = (head + content + names).ljust(table, b"\0")
    body += b"".join(struct.pack(_SECTION, *section) for section in sections)
    # struct module_signature: five bytes of kinds, three of padding, the length of the signature.
    return body + (struct.pack(">8BI", *[0] * 8, 0) + SIGNATURE if signed else b"")
