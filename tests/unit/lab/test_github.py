"""The GitHub stand-in, the llama.cpp archive and the package index it comes from."""

from __future__ import annotations

import io
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.lab import llama_cpp_source, package_index
from tests.lab.github import GitHub
from tests.lab.http_server import Reply, StandIn, json_reply


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url) as reply:
        data: bytes = reply.read()
        return data


def test_archives_and_release_files_come_by_a_redirect(tmp_path: Path) -> None:
    for name in ("o/r/abc.tar.gz", "o/r/v1.tar.gz", "o/r/releases/v1/tool.zst"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    with GitHub(tmp_path) as github:
        assert _get(f"{github.url}/o/r/archive/abc.tar.gz") == b"o/r/abc.tar.gz"
        assert _get(f"{github.url}/o/r/archive/refs/tags/v1.tar.gz") == b"o/r/v1.tar.gz"
        release = f"{github.url}/o/r/releases/download/v1/tool.zst"
        assert _get(release) == b"o/r/releases/v1/tool.zst"
        assert [request.status for request in github.requests[:2]] == [302, 200]
        github.faults.add("corrupt", "o/r/abc*", count=1, at=0)
        assert _get(f"{github.url}/o/r/archive/abc.tar.gz")[1:] == b"/r/abc.tar.gz"
        for wrong in ("o/r/archive/other.tar.gz", "o/../../etc/passwd"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                _get(f"{github.url}/{wrong}")


def _sdist(path: Path) -> Path:
    root = "llama_cpp_python-0.3.36/"
    files = {
        "setup.py": 0o644,
        "vendor/llama.cpp/tools/run.sh": 0o775,
        "vendor/llama.cpp/CMakeLists.txt": 0o664,
        "vendor/llama.cpp/.git": 0o644,
    }
    with tarfile.open(path, "w:gz") as tar:
        for name, mode in files.items():
            info = tarfile.TarInfo(root + name)
            info.mode, info.mtime, info.size = mode, 1_600_000_000, len(name)
            tar.addfile(info, io.BytesIO(name.encode()))
    return path


def test_the_llama_cpp_archive_looks_like_githubs(tmp_path: Path) -> None:
    sdist = _sdist(tmp_path / "sdist.tar.gz")
    for target in ("one", "two"):
        llama_cpp_source.repack(sdist, tmp_path / target)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with tarfile.open(tmp_path / "one") as tar:
        prefix = f"llama.cpp-{llama_cpp_source.COMMIT}"
        assert {member.name: oct(member.mode) for member in tar} == {
            prefix: "0o755",
            f"{prefix}/CMakeLists.txt": "0o644",
            f"{prefix}/tools": "0o755",
            f"{prefix}/tools/run.sh": "0o755",
        }
        assert {(m.uid, m.gid, m.uname, m.mtime) for m in tar} == {(0, 0, "root", 1_600_000_000)}
        assert tar.pax_headers["comment"] == llama_cpp_source.COMMIT


def test_a_source_distribution_with_another_hash_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(ValueError, match="sha256"):
        llama_cpp_source.archive(_sdist(tmp_path / "sdist.tar.gz"))
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


class _Index(StandIn):
    """A package index: the new JSON page, or the old HTML one."""

    html = False

    def answer(self, path: str, query: dict[str, str]) -> Reply:
        if path == "/simple/some-project/" and self.html:
            page = b"<a href='../../files/some_project-1.tar.gz#sha256=00'>x</a>"
            return Reply(body=page, headers={"Content-Type": "text/html"})
        if path == "/simple/some-project/":
            files = [{"filename": "some_project-1.tar.gz", "url": "/files/some_project-1.tar.gz"}]
            reply = json_reply({"files": files})
            reply.headers["Content-Type"] = "application/vnd.pypi.simple.v1+json"
            return reply
        found = path == "/files/some_project-1.tar.gz"
        return Reply(body=b"content") if found else json_reply({}, 404)


@pytest.mark.parametrize("html", [False, True])
def test_the_index_that_is_configured_is_used(
    html: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _Index(tmp_path) as index:
        index.html = html
        monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/simple")
        path = package_index.download("some-project", "some_project-1.tar.gz", tmp_path)
        assert path.read_bytes() == b"content"
        with pytest.raises(LookupError, match=r"no some_project-2\.tar\.gz"):
            package_index.download("some-project", "some_project-2.tar.gz", tmp_path)
