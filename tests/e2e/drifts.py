"""What can be other on a machine than planned, and the words by which an audit has to name it."""

from __future__ import annotations

from dataclasses import dataclass

GATEWAY, SERVER = "modelrack-gateway.service", "llama-server@tiny.service"
_SOCKET = "/run/modelrack-gateway/master.sock"
# A key that the running process takes, and no file has.
_KEY = (
    'import socket; s = socket.socket(socket.AF_UNIX); s.connect("' + _SOCKET + '");'
    ' s.sendall(b"@1 add map /etc/modelrack/gateway/keys.map ' + "0" * 64 + ' mallory\\n");'
    " s.recv(100)"
)
# A program that runs cannot be written to; another file can take its place.
_APPEND = "cp -p {0} {0}.new; printf x >> {0}.new; mv {0}.new {0}"
_UNIT = (
    r"# Written by modelrack.\n[Service]\nExecStart=/bin/true\n"
    r"[Install]\nWantedBy=multi-user.target\n"
)


@dataclass(frozen=True)
class Drift:
    """A change by hand: what is typed, and what is said of it."""

    typed: str
    said: str


# In this order: what one does may need what another takes away.
QUICK = (
    # Files, folders and links.
    Drift("sed -i s/512/256/ /etc/modelrack/services/tiny.env", "tiny.env has other content"),
    Drift("chmod 666 /etc/sysctl.d/60-modelrack.conf", "60-modelrack.conf has mode 666"),
    Drift("chown nobody /etc/security/limits.d/60-modelrack.conf", "has user nobody instead"),
    Drift("rm /etc/apt/apt.conf.d/60modelrack", "/etc/apt/apt.conf.d/60modelrack is missing"),
    Drift("chmod 755 /etc/modelrack/secrets", "/etc/modelrack/secrets has mode 755"),
    Drift("ln -sfn /bin/true /opt/modelrack/bin/uv", "bin/uv leads to /bin/true"),
    Drift(
        "ln -sfn /usr /opt/modelrack/engines/llama.cpp/current", "llama.cpp/current leads to /usr"
    ),
    Drift("rm -r /var/lib/modelrack/failures", "/var/lib/modelrack/failures is missing"),
    Drift("sed -i s/tiny/other/ /var/lib/modelrack/state.json", "state.json has other content"),
    Drift("rm /var/lib/modelrack/engines/llama.cpp/serving.json", "serving.json is missing"),
    Drift(
        "printf x | dd of=/opt/modelrack/bin/uv-* bs=1 seek=5000 conv=notrunc status=none",
        "uv-0",
    ),
    # Packages, accounts, the kernel.
    Drift("dpkg --remove --force-depends libgomp1", "package libgomp1 is not installed"),
    Drift(
        "sed -i '/^Package: openssl$/,/^$/ s/ok installed/ok half-configured/'"
        " /var/lib/dpkg/status",
        "package openssl is half installed",
    ),
    Drift("usermod --shell /bin/bash modelrack", "user modelrack has"),
    Drift("useradd --system modelrack-old", "user modelrack-old is called like one of ours"),
    Drift("echo 128 > /proc/sys/net/core/somaxconn", "net.core.somaxconn is 128 instead of 4096"),
    # Weights.
    Drift("touch /data/models/tiny-qwen2/tiny-qwen2-F16.gguf", "tiny-qwen2 is not what was proven"),
    # Keys and certificates.
    Drift(f"python3 -c '{_KEY}'", "the running gateway knows another"),
    Drift("rm /etc/modelrack/gateway/gateway.pem", "gateway.pem is missing"),
    Drift("rm /etc/modelrack/gateway/keys.map", "keys.map is missing"),
    # What runs, and what starts it.
    Drift(f"systemctl disable --quiet {GATEWAY}", f"{GATEWAY} is disabled"),
    Drift(f"systemctl stop {SERVER}", f"{SERVER} is inactive"),
    Drift(
        f"echo >> /etc/systemd/system/{GATEWAY}", f"/etc/systemd/system/{GATEWAY} has other content"
    ),
    Drift(
        "systemctl enable --quiet llama-server@ghost",
        "llama-server@ghost.service is enabled or runs, and is not planned",
    ),
    Drift(
        f"mkdir /run/systemd/system/{GATEWAY}.d;"
        f" echo [Service] > /run/systemd/system/{GATEWAY}.d/mine.conf",
        f"/run/systemd/system/{GATEWAY}.d/mine.conf adds to a unit",
    ),
    Drift(
        f"echo [Service] > /etc/systemd/system/{SERVER}.d/mine.conf",
        f"/etc/systemd/system/{SERVER}.d/mine.conf adds to a unit",
    ),
    # The firewall and ports.
    Drift("nft add rule inet modelrack input tcp dport 9999 accept", "the kernel has other rules"),
    Drift(
        "systemctl disable --quiet modelrack-firewall",
        "modelrack-firewall.service does not run or is not enabled",
    ),
    Drift("chmod 600 /etc/modelrack/firewall.nft", "firewall.nft has mode 600"),
    Drift(
        "systemd-run --quiet --unit=stranger python3 -m http.server 9999 --directory /var/empty;"
        " until ss -ltn | grep -q :9999; do sleep 0.1; done",
        "port 9999 of 0.0.0.0 is open to other machines, by stranger.service",
    ),
    # What is ours, and of no plan.
    Drift(
        f"printf '{_UNIT}' > /etc/systemd/system/modelrack-old.service;"
        " systemctl enable --quiet modelrack-old",
        "/etc/systemd/system/modelrack-old.service is called, or says that it is, ours",
    ),
    Drift("touch /etc/modelrack/services/old.env", "services/old.env is in a folder of ours"),
    Drift("mkdir -p /opt/modelrack/engines/old/1.0", "engines/old/1.0 is in a folder of ours"),
    Drift("mkdir /data/models/old", "/data/models/old is in a folder of ours"),
)
# What the one drift before has as its consequence.
FOLLOWS = (
    "the running gateway was started with other files",
    "/opt/modelrack/engines/old is in a folder of ours",
    "multi-user.target.wants/modelrack-old.service starts a unit that no plan has",
    "multi-user.target.wants/llama-server@ghost.service starts a unit that no plan has",
)
# What nobody sees who reads no content.
DEEP = (
    Drift(
        _APPEND.format("/usr/sbin/haproxy"),
        "/usr/sbin/haproxy is not what its package brought",
    ),
    Drift(
        _APPEND.format("/opt/modelrack/engines/llama.cpp/current/bin/llama-server"),
        "bin/llama-server is not what was built",
    ),
    Drift(
        "cd /data/models/tiny-qwen2; touch -r tiny-qwen2-F16.gguf /run/then;"
        " printf x | dd of=tiny-qwen2-F16.gguf bs=1 seek=220000 conv=notrunc status=none;"
        " touch -r /run/then tiny-qwen2-F16.gguf",
        "tiny-qwen2-F16.gguf: sha256 expected",
    ),
)
