"""weights by hand: ls, verify, merge, and what it costs to look again."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploys.connection import programs
from deploys.remote import weights
from deploys.remote.download import fetch
from deploys.remote.lib import spec
from deploys.remote.model_dir import manifest, verify
from tests.unit.remote import support
from tests.unit.remote.merge.test_merge import DIGESTS, FIRST, MERGED, SHARDS, written

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = weights.main([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def fetched(folder: Path, files: dict[str, bytes]) -> Path:
    """A model directory with a manifest that holds."""
    written(folder, files)
    value = support.request(folder, files)
    value["sources"] = [{"kind": "directory", "endpoint": str(folder)}]
    value["model"] = folder.name
    fetch.fetch(spec.parse(value))
    return folder


def test_merge_prints_the_digests(tmp_path: Path, run: Run) -> None:
    folder, output = written(tmp_path / "old", SHARDS), tmp_path / "new" / "t.gguf"
    code, said, _ = run("merge", folder / FIRST, output)
    assert code == 0
    lines = said.splitlines()
    for name, digest in {**DIGESTS, "t.gguf": hashlib.sha256(MERGED).hexdigest()}.items():
        assert f"{digest}  {name}" in lines
    assert run("merge", folder / FIRST, output) == (0, f"{output} is complete already\n", "")


def test_merge_takes_what_sha256sum_prints(tmp_path: Path, run: Run) -> None:
    folder, output = written(tmp_path / "old", SHARDS), tmp_path / "new" / "t.gguf"
    sums = subprocess.run(
        ["sha256sum", *SHARDS], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    (tmp_path / "sums").write_text(sums.replace(sums[:4], "0000", 1))
    code, _, said = run("merge", folder / FIRST, output, "--sums", tmp_path / "sums")
    assert code == 1 and "sha256 expected 0000" in said
    (tmp_path / "sums").write_text(sums)
    assert run("merge", folder / FIRST, output, "--sums", tmp_path / "sums")[0] == 0
    (tmp_path / "sums").write_text("hello\n")
    code, _, said = run("merge", folder / FIRST, output, "--sums", tmp_path / "sums")
    assert code == 1 and "not a digest and a name: 'hello'" in said


def test_verify(tmp_path: Path, run: Run) -> None:
    folder = fetched(tmp_path / "tiny", SHARDS)
    for words in ([], ["--deep"]):
        code, said, _ = run("verify", folder, *words)
        assert code == 0 and json.loads(said) == {"ok": True, "model": "tiny", "problems": []}
    before = (folder / FIRST).stat()
    spoilt = bytearray(SHARDS[FIRST])
    spoilt[-1] ^= 1
    (folder / FIRST).write_bytes(spoilt)
    os.utime(folder / FIRST, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert run("verify", folder)[0] == 0  # bits that changed by themselves
    code, said, error = run("verify", folder, "--deep")
    assert code == 1 and f"expected {DIGESTS[FIRST]}" in said and "weights fetch" in error


@pytest.fixture(params=["fetched", "merged by hand"])
def one_file(request: pytest.FixtureRequest, tmp_path: Path, run: Run) -> Path:
    """The one file that shards became."""
    source, made = written(tmp_path / "shards", SHARDS), tmp_path / "made" / "tiny.gguf"
    if request.param == "fetched":
        value = support.request(made.parent, SHARDS, merge={"output": made.name})
        value["sources"] = [{"kind": "directory", "endpoint": str(source)}]
        fetch.fetch(spec.parse(value))
    else:
        assert run("merge", source / FIRST, made)[0] == 0
    return made


def test_one_file_is_verified_by_its_shards(
    one_file: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Side by side that is, and not once more as a whole."""
    monkeypatch.setattr(verify, "sha256_of", None)
    assert run("verify", one_file.parent, "--deep")[0] == 0


def test_any_byte_of_one_file_that_changed_is_seen(one_file: Path, run: Run) -> None:
    length = len(MERGED)
    for at in (0, 8, *range(100, length, length // 7), length - 1):
        spoilt = bytearray(MERGED)
        spoilt[at] ^= 1
        one_file.write_bytes(spoilt)
        code, said, _ = run("verify", one_file.parent, "--deep")
        (problem,) = json.loads(said)["problems"]
        assert code == 1 and problem.startswith(f"{one_file.name}: sha256 expected "), at
    for other in (MERGED[:-1], MERGED + b"x", b""):
        one_file.write_bytes(other)
        assert run("verify", one_file.parent, "--deep")[0] == 1
    one_file.unlink()
    _, said, _ = run("verify", one_file.parent, "--deep")
    assert json.loads(said)["problems"] == [f"{one_file.name}: No such file or directory"]


def test_without_a_kept_header_one_file_is_verified_all_the_same(one_file: Path, run: Run) -> None:
    heads = sorted((one_file.parent / ".fetch").glob("*.head"))
    assert len(heads) == len(SHARDS)
    # Damaged in the name of a tensor, in the middle, or gone.
    for data in (heads[0].read_bytes().replace(b"blk", b"blq"), heads[0].read_bytes()[:40], None):
        heads[0].unlink() if data is None else heads[0].write_bytes(data)
        assert run("verify", one_file.parent, "--deep")[0] == 0
    one_file.write_bytes(bytes(len(MERGED)))
    assert run("verify", one_file.parent, "--deep")[0] == 1


def test_ls(tmp_path: Path, run: Run) -> None:
    root = tmp_path / "models"
    fetched(root / "whole", SHARDS)
    written(root / "whole", {"old.gguf": b"x" * 5000})
    fetched(root / "owner" / "spoilt", SHARDS)
    (root / "owner" / "spoilt" / FIRST).unlink()
    written(root / "begun" / ".fetch", {"journal": b""})
    written(root / "begun", {"t.gguf.part": b""})
    written(root / "found", SHARDS)
    written(root / "upper", {"MODEL.GGUF": b""})
    written(root / "cut", {"m.gguf.part1of2": b"", "m.gguf.part2of2": b""})
    written(root / "nothing", {"m.gguf.bak": b""})
    written(root / "unread", {"manifest.json": b"{"})
    written(root / "nothing", {"README.md": b""})
    code, said, _ = run("ls", root)
    assert code == 0
    lines = said.splitlines()
    states = {line.split()[-1]: line.split()[0] for line in lines if not line.startswith(" ")}
    assert states == {
        "FOLDER": "STATE",
        str(root / "begun"): "partial",
        str(root / "found"): "unproven",
        str(root / "owner" / "spoilt"): "damaged",
        str(root / "upper"): "unproven",
        str(root / "cut"): "unproven",
        str(root / "unread"): "damaged",
        str(root / "whole"): "complete",
    }
    notes = [line.strip() for line in lines if line.startswith(" ")]
    assert "unfinished: run the same fetch again, it goes on from here" in notes
    assert f"{FIRST}: No such file or directory" in notes
    first = root / "cut" / "m.gguf.part1of2"
    assert f"no engine opens pieces: weights merge {first} OUTPUT" in notes
    assert any("beside it 1 files, 8.2 kB, that the manifest" in note for note in notes)
    code, said, _ = run("ls", root / "whole")
    assert code == 0 and len(said.splitlines()) == 3
    assert run("ls", root / "nothing")[0] == 1
    assert "is not a folder" in run("ls", root / "nowhere")[2]


def test_the_archive_to_take_along(tmp_path: Path) -> None:
    archive = tmp_path / "weights.pyz"
    subprocess.run(
        [sys.executable, "-m", "deploys.connection.programs", archive],
        check=True,
        cwd=Path(programs.__file__).parents[2],
    )
    fetched(tmp_path / "tiny", SHARDS)
    said = subprocess.run(
        [archive, "ls", tmp_path],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin"},
    ).stdout
    assert said.splitlines()[1].split()[0] == "complete"
    words = subprocess.run([archive, "--help"], capture_output=True, text=True, check=True).stdout
    assert all(each in words for each in ("ls", "verify", "merge", "fetch"))


@pytest.mark.parametrize("merged", [False, True])
def test_a_second_look_reads_no_weights(tmp_path: Path, merged: bool) -> None:
    """As the kernel counts it, beside what Python itself reads."""
    files = support.split([[("a", b"1" * (4 << 20))], [("b", b"2" * (4 << 20))]])
    written(tmp_path / "disk", files)
    value = support.request(tmp_path / "m", files)
    value["sources"] = [{"kind": "directory", "endpoint": str(tmp_path / "disk")}]
    value["merge"] = {"output": "t.gguf"} if merged else None
    fetch.fetch(spec.parse(value))
    (tmp_path / "spec.json").write_text(json.dumps(value))
    (tmp_path / "specs.json").write_text(json.dumps([value]))

    def read(*words: object, given: str = "/dev/null") -> int:
        program = (
            # The programs themselves are read whatever they are told.
            "import sys; from deploys.remote.download import fetch;"
            "from deploys.remote.model_dir import models, publish, verify;"
            "from deploys.remote.__main__ import main; code = main(sys.argv[1:]);"
            "print(open('/proc/self/io').read().split()[1]); sys.exit(code)"
        )
        command = [sys.executable, "-c", program, "weights", *map(str, words)]
        with Path(given).open() as text:
            done = subprocess.run(command, stdin=text, stdout=subprocess.PIPE, check=True)
        return int(done.stdout.split()[-1])

    idle = read("ls", tmp_path)
    for words in (["fetch", tmp_path / "spec.json"], ["verify", tmp_path / "m"]):
        assert read(*words) < idle + (1 << 20)
    assert read("proven", given=str(tmp_path / "specs.json")) < idle + (1 << 20)
    assert read("verify", tmp_path / "m", "--deep") > idle + (7 << 20)


def test_a_manifest_that_names_it_holds_it(tmp_path: Path) -> None:
    folder = fetched(tmp_path / "tiny", SHARDS)
    assert manifest.holds(folder, FIRST) and not manifest.holds(folder, "other")
    (folder / FIRST).touch()
    assert not manifest.holds(folder, FIRST)
