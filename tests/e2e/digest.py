"""What a machine has become, in a form that two machines can be compared in."""

from __future__ import annotations

import json

from tests.lab import Machine

# What differs between two machines of one kind, or from one minute to the next.
_PROGRAM = r"""
import hashlib, json, os, subprocess, sys

ROOTS = sys.argv[1:]
# What every machine writes by itself, and what the package manager keeps beside its packages.
PASSING = {
    "/proc", "/sys", "/dev", "/run", "/tmp", "/var/log", "/var/cache", "/var/tmp", "/var/lib/apt",
    "/var/lib/dpkg", "/var/lib/systemd", "/var/lib/ucf",
}
OWN = {
    "/etc/hostname", "/etc/hosts", "/etc/machine-id", "/etc/resolv.conf", "/etc/ld.so.cache",
    "/etc/.pwd.lock", "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-",
    "/etc/subuid-", "/etc/subgid-", "/etc/shadow",
}
# Keys and passwords of the machine's own: they are there, and nobody else may read them.
SECRET = {
    "/etc/modelrack/gateway/gateway.pem", "/etc/modelrack/gateway/chat.map",
    "/etc/modelrack/secrets/webui-key.env", "/etc/modelrack/secrets/webui.env",
}

def state(path):
    status = os.lstat(path)
    kind = "link" if os.path.islink(path) else "folder" if os.path.isdir(path) else "file"
    entry = [kind, oct(status.st_mode & 0o7777), status.st_uid, status.st_gid]
    if kind == "link":
        entry.append(os.readlink(path))
    elif kind == "file" and path not in SECRET:
        data = open(path, "rb").read()
        if path.startswith("/data/") and path.endswith("/manifest.json"):
            record = json.loads(data)
            for file in record["files"]:
                file.pop("mtime_ns", None), file.pop("inode", None)
            data = json.dumps(record, sort_keys=True).encode()
        entry.append(hashlib.sha256(data).hexdigest())
    return entry

found = {}
for root in ROOTS:
    for folder, folders, files in os.walk(root):
        # Compiled modules have the time of their sources in them.
        folders[:] = [
            name for name in folders
            if name not in (".fetch", "ssh", "__pycache__")
            and os.path.join(folder, name) not in PASSING
        ]
        for name in folders + files:
            path = os.path.join(folder, name)
            if path not in OWN:
                found[path] = state(path)

def lines(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()

print(json.dumps({
    "files": found,
    "packages": lines("dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Abbrev}\n"),
    "units": lines("systemctl", "list-units", "llama-server@*", "--all", "--plain", "--no-legend"),
    "ours": lines(
        "systemctl", "list-units", "modelrack-*", "--state=active", "--plain", "--no-legend"
    ),
    "enabled": lines("systemctl", "list-unit-files", "--state=enabled", "--no-legend"),
    "users": [line for line in open("/etc/passwd") if line.startswith("modelrack")],
    "settings": [open(f"/proc/sys/{path}").read() for path in (
        "kernel/numa_balancing", "net/core/somaxconn", "vm/max_map_count", "vm/swappiness",
    ) if os.path.exists(f"/proc/sys/{path}")],
    "failed": lines("systemctl", "--failed", "--plain", "--no-legend"),
}))
"""


# Where a deploy is known to write.
OURS = ("/etc", "/opt/modelrack", "/data", "/usr/lib/systemd/system")


def digest(machine: Machine, roots: tuple[str, ...] = OURS) -> dict[str, object]:
    """Files with modes and content, packages, units and users of `machine`."""
    answer = machine.ssh(["python3", "-c", _PROGRAM, *roots]).stdout
    state: dict[str, object] = json.loads(answer)
    return state


def whole(machine: Machine) -> dict[str, object]:
    """The same of all that is on its disk."""
    return digest(machine, ("/",))


def difference(one: dict[str, object], other: dict[str, object]) -> dict[str, object]:
    """What is not the same, for a message; empty when the machines are alike."""
    found: dict[str, object] = {}
    for part in one.keys() | other.keys():
        mine, theirs = one.get(part), other.get(part)
        if isinstance(mine, dict) and isinstance(theirs, dict):
            for path in mine.keys() | theirs.keys():
                if mine.get(path) != theirs.get(path):
                    found[path] = (mine.get(path), theirs.get(path))
        elif mine != theirs:
            found[part] = (mine, theirs)
    return found
