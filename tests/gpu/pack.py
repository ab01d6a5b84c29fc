"""A Debian machine in one archive: for a computer with GPUs that has neither systemd nor a network.

tests/gpu/boot starts it there. In /srv/modelrack it has the project with its environment, and all
that `python -m tests.gpu.deploy` serves, so nothing is fetched on the way. The packages of a Python
engine take as much as sixty such archives: whoever deploys one lays its wheels into /srv/wheels.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import sysconfig
from pathlib import Path

import uv

from deploys.planning.driver import packages as names
from tests import temporary
from tests.gpu.deploy import REPOSITORY
from tests.lab import llama_cpp_source, nvidia_repository, ssh_key, tree
from tests.lab.debian_package import Package, build
from tests.lab.process import PROJECT, run

HOME = "srv/modelrack"
# What a deploy would install there, and what the machine is started and entered with.
PACKAGES = (
    *tree.PACKAGES,
    *("cmake", "g++", "libgomp1", "libnuma1", "ninja-build", "python3-dev"),
    *("kmod", "openssh-client", "pciutils", "python3-venv", "systemd-container", "zstd"),
)
# The toolkit is that of the computer, at /usr/local/cuda; for what wants an older one, too.
CUDA = "13.0"
# That the engines' locks are for, and what of it nobody needs there.
PYTHON = "3.12"
NOT_OF_PYTHON = ("__pycache__", "config-*", "ensurepip", "idlelib", "site-packages", "test*", "tk*")
NOT_READ = tuple(f"/usr/share/{folder}/*" for folder in ("doc", "locale", "man"))
NOT_CARRIED = (
    "mypy*",
    "*__mypyc*",
    "ruff*",
    "pip",
    "pip-*",
    "__pycache__",
)


def pack(archive: Path) -> None:
    """Write the archive, .tar.xz; it takes root, as the lab does, and some minutes."""
    with temporary.folder("modelrack-machine-") as folder:
        root = folder / "root"
        _system(root, folder)
        _python(root)
        _project(root)
        _served(root)
        words = ["tar", "--directory", str(root), "--use-compress-program", "xz -T0 -4"]
        run([*words, "--create", "--file", str(archive.absolute()), "."])


def _system(root: Path, folder: Path) -> None:
    """Debian, a toolkit's packages without the toolkit, and a key that opens the door to root."""
    tree.make("bookworm", root, PACKAGES, NOT_READ)
    toolkit = [
        Package(name=name, version=f"{release}.1-1")
        for release, of_release in (
            (CUDA, (*names.libraries(CUDA), *names.compiler(CUDA))),
            (names.AT_RUN_TIME, names.at_run_time()),
        )
        for name in of_release
    ]
    build(toolkit, root / "debs", folder / "shared")
    run(["chroot", str(root), "sh", "-c", "dpkg --install debs/*.deb && rm -r debs"])
    for release in (CUDA, names.AT_RUN_TIME):
        (root / f"usr/local/cuda-{release}").symlink_to("cuda")
    # What is compiled for the older one with this one's compiler loads this one's libraries.
    (root / "etc/ld.so.conf.d/cuda.conf").write_text("/usr/local/cuda/lib64\n")
    ssh = root / "root/.ssh"
    ssh.mkdir(mode=0o700, exist_ok=True)
    key = ssh_key.make(ssh / "id_ed25519", "root")
    shutil.copy(key.with_suffix(".pub"), ssh / "authorized_keys")
    run(["chroot", str(root), "ssh-keygen", "-A"])
    host = (root / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
    (ssh / "known_hosts").write_text(f"127.0.0.1 {host}")


def _python(root: Path) -> None:
    """As a machine has it that fetched or compiled one beside the distribution's."""
    program = run([uv.find_uv_bin(), "python", "find", "--no-project", PYTHON]).strip()
    prefix = Path(run([program, "-c", "import sys; print(sys.base_prefix)"]).strip())
    local, name = root / "usr/local", f"python{PYTHON}"
    shutil.copy(prefix / "bin" / name, local / "bin" / name)
    for folder in ("include", "lib"):
        left = shutil.ignore_patterns(*NOT_OF_PYTHON)
        shutil.copytree(prefix / folder / name, local / folder / name, ignore=left)
    (local / "lib" / name / "site-packages").mkdir()
    for library in (prefix / "lib").glob(f"lib{name}.so*"):
        shutil.copy(library, local / "lib", follow_symlinks=False)
    run(["chroot", str(root), "ldconfig"])
    run(["chroot", str(root), f"/usr/local/bin/{name}", "-c", "import ctypes, lzma, sqlite3, ssl"])


def _project(root: Path) -> None:
    """What is in this folder, and its environment."""
    home = root / HOME
    listed = run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=PROJECT
    )
    for name in filter(None, listed.split("\0")):
        if (PROJECT / name).is_file():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, home / name)
    run(["chroot", str(root), "python3", "-m", "venv", "--without-pip", f"/{HOME}/.venv"])
    (packages,) = (home / ".venv/lib").glob("python3*/site-packages")
    shutil.copytree(
        sysconfig.get_path("purelib"),
        packages,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns(*NOT_CARRIED, "__editable__*"),
    )
    (packages / "modelrack.pth").write_text(f"/{HOME}\n")
    # uv is a program beside the packages.
    shutil.copy(uv.find_uv_bin(), home / ".venv/bin/uv")


def _served(root: Path) -> None:
    """Source of llama.cpp, NVIDIA's repository, and the packages that machines with GPUs get."""
    source = root / "root/.cache/modelrack/sources" / llama_cpp_source.NAME
    source.parent.mkdir(parents=True)
    shutil.copy(llama_cpp_source.archive(), source)
    shutil.copytree(nvidia_repository.repositories(), root / REPOSITORY.relative_to("/"))
    wheels = root / "srv/wheels"
    lock = PROJECT / "deploys/locks/engines/nvitop.txt"
    words = ("download", "--no-deps", "--require-hashes", "--only-binary", ":all:")
    given = ("--requirement", str(lock), "--dest", str(wheels))
    run([sys.executable, "-m", "pip", *words, *given])
    settings = root / "etc/uv/uv.toml"
    settings.parent.mkdir()
    settings.write_text('no-index = true\nfind-links = ["/srv/wheels"]\n')


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.pack")
    parser.add_argument("archive", type=Path, help=".tar.xz")
    pack(parser.parse_args().archive)
