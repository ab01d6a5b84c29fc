"""What is taken out of a tree, what is made the same in every build, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploys.control.image import sealed
from deploys.planning.inputs.refusal import Refusal
from deploys.remote.model_dir import manifest as manifests

EPOCH = 1_764_460_800
GONE = (
    *("etc/ssh/ssh_host_ed25519_key", "var/lib/systemd/random-seed", "root/.ssh/authorized_keys"),
    *("root/.bash_history", "home/a/.ssh/id_ed25519", "etc/modelrack/secrets/hf.token"),
    *("var/lib/dkms/mok.key", "var/lib/modelrack/jobs/fetch/log", "var/cache/ldconfig/aux-cache"),
    *("var/lib/apt/lists/partial.x", "var/lib/dpkg/status-old", "etc/passwd-", "tmp/x"),
    *("var/cache/apt/pkgcache.bin", "data/models/m/.fetch/wrong.json", "var/log/apt/history.log"),
    *("etc/modelrack/gateway/gateway.pem", "etc/apt/sources.list.d/inner.list"),
)
STAYS = (
    *("etc/ssh/sshd_config", "etc/passwd", "var/lib/dpkg/status", "var/lib/dkms/mok.pub"),
    *("data/models/m/model.gguf", "etc/modelrack/gateway/haproxy.cfg", "root/.bashrc"),
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (*GONE, *STAYS):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "etc/hostname").write_text("builder\n")
    (tmp_path / "etc/shadow").write_text("root:$y$secret:20000:0:99999:7:::\nman:*:20000::::::\n")
    listed = {"path": "model.gguf", "size": 24, "sha256": "ab" * 32, "mtime_ns": 5, "inode": 7}
    told = {
        "schema": 1,
        "model": "m",
        "repository": "",
        "revision": "",
        "files": [listed],
        "sources": [],
        "merged": False,
    }
    (tmp_path / "data/models/m/manifest.json").write_text(json.dumps(told))
    return tmp_path


def seal(tree: Path) -> list[str]:
    return sealed.seal(tree, EPOCH, tree / "data/models", own_sources=False)


def test_what_is_one_units_or_the_builders_is_taken_out_and_nothing_else(tree: Path) -> None:
    gone = seal(tree)
    assert not [name for name in GONE if (tree / name).exists()]
    assert [name for name in STAYS if not (tree / name).exists()] == []
    assert "etc/ssh/ssh_host_ed25519_key" in gone


def test_the_first_boot_is_one(tree: Path) -> None:
    """An empty file would be a machine-id, too; ConditionFirstBoot= is about this word."""
    seal(tree)
    assert (tree / "etc/machine-id").read_text() == "uninitialized\n"
    assert (tree / "etc/hostname").read_text() == "localhost\n"


def test_nobody_logs_in_by_a_password_of_the_builders(tree: Path) -> None:
    seal(tree)
    day = EPOCH // 86400
    assert (tree / "etc/shadow").read_text().splitlines() == [
        f"root:!:{day}:0:99999:7:::",
        f"man:*:{day}::::::",
    ]


def test_each_unit_proves_the_weights_by_reading_them(tree: Path) -> None:
    seal(tree)
    sealed.clamp(tree, EPOCH)
    folder = tree / "data/models/m"
    found = manifests.load(folder / manifests.NAME)
    assert found
    assert manifests.are_copied(manifests.problems(found, folder))


def test_no_file_is_younger_than_the_image(tree: Path) -> None:
    (tree / "link").symlink_to("/nowhere")
    seal(tree)
    sealed.clamp(tree, EPOCH)
    assert {path.lstat().st_mtime for path in tree.rglob("*")} == {EPOCH}


@pytest.mark.parametrize(
    "name, content, said",
    [
        (
            "opt/x/key.pem",
            f"-----BEGIN OPENSSH PRIVATE KEY-----\n{'a' * 70}\n",
            "opt/x/key.pem has a private",
        ),
        ("etc/token", f"hf_{'a' * 34}\n", "etc/token has a token"),
        ("etc/env", f"KEY=mr-{'b' * 43}\n", "etc/env has a token"),
        ("etc/hosts", "10.11.12.13 hub\n", "etc/hosts has 10.11.12.13, which is the builder's"),
    ],
)
def test_what_no_image_may_have_is_refused_by_name(
    tree: Path, name: str, content: str, said: str
) -> None:
    seal(tree)
    sealed.check(tree, [b"10.11.12.13"])
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text(content)
    with pytest.raises(Refusal, match=said):
        sealed.check(tree, [b"10.11.12.13"])


def test_what_only_begins_like_the_builders_words_is_no_leak(tree: Path) -> None:
    (tree / "etc/hosts").write_text("10.11.12.130 a\n110.11.12.13 b\n")
    (tree / "opt/ssh").parent.mkdir(exist_ok=True)
    (tree / "opt/ssh").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n\0\0")
    assert list(sealed.leaks(tree, [b"10.11.12.13"])) == []


def test_pinned_weights_are_not_read_and_what_lies_beside_them_is(tree: Path) -> None:
    models = tree / "data/models"
    folder = models / "beside"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"files": [{"path": "w.gguf"}]}))
    (folder / "w.gguf").write_text("10.11.12.13")
    assert list(sealed.leaks(tree, [b"10.11.12.13"], models)) == []
    (folder / "note").write_text("10.11.12.13")
    (found,) = sealed.leaks(tree, [b"10.11.12.13"], models)
    assert found == "data/models/beside/note has 10.11.12.13, which is the builder's"


def test_users_that_every_unit_would_let_in_are_refused(tree: Path) -> None:
    (tree / "etc/modelrack/gateway/keys.map").write_text(f"{'ab' * 32} alice\n")
    with pytest.raises(Refusal, match="with the same keys on each unit"):
        sealed.check(tree, [])
