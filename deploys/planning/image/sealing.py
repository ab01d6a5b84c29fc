"""What is taken out of a deployed tree before it becomes an image, by path.

An image is one for many: what must be new on each unit, what is secret, and what tells of the
builder or differs between two builds does not belong in it.
"""

from __future__ import annotations

import re

# Made anew by each unit.
IDENTITY = (
    *("etc/ssh/ssh_host_*", "var/lib/dbus/machine-id", "var/lib/systemd/random-seed"),
    *("var/lib/systemd/credential.secret", "var/lib/systemd/timesync", "var/lib/private/systemd/*"),
    *("var/lib/dhcp/*", "var/lib/NetworkManager/*", "etc/udev/rules.d/70-persistent*"),
    *("etc/netplan/50-cloud-init.yaml", "var/lib/cloud/*"),
    "etc/modelrack/gateway/card.html",
    *("etc/ssl/certs/ssl-cert-snakeoil.pem", "etc/ssl/private/ssl-cert-snakeoil.key"),
)
# The builder's, or of whoever tried the tree. DKMS leaves the key there that it signs modules with.
SECRETS = (
    *("root/.ssh", "home/*/.ssh", "root/.*_history", "home/*/.*_history", "root/.cache"),
    *("root/.config", "root/.netrc", "root/.wget-hsts", "root/.lesshst", "etc/modelrack/secrets/*"),
    *("var/lib/dkms/mok.key", "var/lib/shim-signed/mok/*.priv", "etc/apt/auth.conf.d/*"),
    *("etc/modelrack/gateway/*.pem", "etc/modelrack/gateway/.*", "etc/modelrack/acme"),
)
# What a build leaves behind, and what is written in another order or at another time in each.
TRACES = (
    *("var/lib/modelrack/jobs/*", "var/lib/modelrack/build", "var/lib/modelrack/failures/*"),
    *("var/cache/modelrack/*", "var/cache/apt/*.bin", "var/cache/apt/archives/*.deb"),
    *("var/lib/apt/lists/*", "var/cache/debconf/*-old"),
    *("var/lib/dpkg/*-old", "var/backups/*", "var/cache/ldconfig/aux-cache", "var/cache/man/*"),
    *("etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/subuid-", "etc/subgid-"),
    *("etc/.pwd.lock", "var/lib/systemd/catalog/database", "var/lib/dkms/*/*/build"),
    *("var/lib/dkms/*/*/*/*/log", "tmp/*", "tmp/.*", "var/tmp/*", "var/tmp/.*", "run/*"),
    *("var/crash/*", "var/lib/systemd/coredump/*", "core", "usr/sbin/policy-rc.d"),
    *("etc/apt/apt.conf.d/99mmdebstrap", "etc/apt/apt.conf.d/00builder"),
    *("etc/modelrack/apt.sources", "etc/modelrack/apt.sources.d"),
)
# Folders whose files go and that stay.
LOGS = "var/log"
# Files that are rewritten: an identity that the first boot makes, and a name that says nothing.
REWRITTEN = {
    "etc/machine-id": "uninitialized\n",
    "etc/hostname": "localhost\n",
    "etc/resolv.conf": None,
}
# A private key of any kind, as text. Programs that read them have the first line alone.
PRIVATE_KEY = (
    rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\r?\n(?:[A-Za-z-]+: [^\n]*\n|\r?\n)*[A-Za-z0-9+/]{32}"
)
# A key of our gateway, and tokens of hubs and forges, as they are given out.
TOKEN = rb"(?<![\w-])(?:mr-[A-Za-z0-9_-]{43}|hf_[A-Za-z0-9]{34}|gh[pousr]_[A-Za-z0-9]{36})(?![\w-])"
# What comes from elsewhere as it is has examples and tests with keys in them, and is looked at no
# further: files of packages, as dpkg lists their sums, what Python compiles of them, engines.
SUMS = "var/lib/dpkg/info/*.md5sums"
OF_OTHERS = re.compile(r"usr/lib/python3.*/__pycache__/|opt/modelrack/engines/")
