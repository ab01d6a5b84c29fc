"""Models on this machine's disk, by hand or from a deploy: fetch, merge, verify, prove and others.

Exit 0: done. Exit 1: failed, the last line on standard error says why and what to do. Exit 143:
stopped by a signal; the same command goes on from there.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from .lib.failure import Failure, exit_code, stop_on_signal

MERGE = """\
Makes one GGUF file, the one that llama-gguf-split --merge makes, of shards
(x-00001-of-00002.gguf), or of the pieces of a cut file (x.gguf.part1of2,
x.gguf-split-a, x.gguf.a, x.gguf.001). Every part is checked before a byte is
written and hashed while it is read. What the parts should be is known from the
manifest beside them or from --sums; otherwise the digests are printed, for you
to compare with those of the hub. Run it again after an interruption.
"""
SUMS = re.compile(r"\\?([0-9a-fA-F]{64})[ *]+(.+)")


def main(arguments: list[str] | None = None) -> int:
    """Run the command that `arguments` name and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return exit_code(lambda: run(arguments, "weights.pyz"))


def run(arguments: list[str], called: str) -> int:
    """Run the command that `arguments` name and return its exit code; let failures propagate.

    + called: what the operator typed before the arguments, for the usage text
    """
    options = _parser(called).parse_args(arguments)
    code: int = options.program(options)
    return code


def _parser(called: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=called, description="Models on this machine's disk: every byte proven."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("ls", help="show the models below a folder, and their state")
    command.add_argument("folder", type=Path, nargs="?", default=Path())
    command.set_defaults(program=_ls)

    command = commands.add_parser("verify", help="check a model directory against its manifest")
    command.add_argument("directory", type=Path)
    command.add_argument("--deep", action="store_true", help="read every byte")
    command.set_defaults(program=_verify)

    command = commands.add_parser(
        "prove", help="read what was copied or restored, and record it anew where it is right"
    )
    command.add_argument("directory", type=Path, nargs="+")
    command.set_defaults(program=_prove)

    command = commands.add_parser(
        "uncache", help="have a model's files leave the page cache, so that they are read anew"
    )
    command.add_argument("directory", type=Path)
    command.set_defaults(program=_uncache)

    command = commands.add_parser(
        "merge",
        help="make one GGUF file of shards or pieces on this machine",
        description=MERGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("first", type=Path, help="the first shard or piece")
    command.add_argument("output", type=Path, help="the file to make; its folder gets a manifest")
    command.add_argument("--sums", type=Path, help="digests of parts or output, as of sha256sum")
    command.add_argument(
        "--free", action="store_true", help="remove each part once its bytes are safe in OUTPUT"
    )
    command.set_defaults(program=_merge)

    command = commands.add_parser("fetch", help="fetch a model that a JSON file describes")
    command.add_argument("spec", help="the file, or - for standard input")
    command.set_defaults(program=_fetch)

    command = commands.add_parser("proven", help="which of many specs are complete (for deploys)")
    command.set_defaults(program=_proven)
    return parser


def _ls(options: Any) -> int:
    from .model_dir import models

    found = models.models_in(options.folder)
    if not found:
        raise Failure(f"no models below {options.folder}: name the folder that they are in")
    print(models.table(found))
    return 0


def _verify(options: Any) -> int:
    """Check a model directory against its manifest and print the result as one JSON object."""
    from .lib.progress import Progress
    from .model_dir import manifest, verify

    found, problems = None, []
    try:
        found = manifest.load(options.directory / manifest.NAME)
        if not found:
            problems = [f"{options.directory / manifest.NAME} is missing: fetch the weights first"]
        elif options.deep:
            progress = Progress("verify", sum(each.size for each in found.files), log=sys.stderr)
            problems = verify.problems(found, options.directory, progress.advance)
        else:
            problems = manifest.problems(found, options.directory)
    except Failure as failure:
        problems = [str(failure)]
    model = found.model if found else None
    print(json.dumps({"ok": not problems, "model": model, "problems": problems}))
    if problems:
        again = f"weights prove {options.directory}, or run weights fetch again"
        again = again if manifest.are_copied(problems) else "run weights fetch again"
        print(f"{problems[0]}: {again}", file=sys.stderr)
    return 1 if problems else 0


def _prove(options: Any) -> int:
    from .model_dir import prove

    stop = stop_on_signal()
    for directory in options.directory:
        problems = prove.renew(directory, stop)
        if problems:
            raise Failure(f"{problems[0]}: run weights fetch again")
        print(f"{directory} is as its manifest says")
    return 0


def _uncache(options: Any) -> int:
    from .model_dir import page_cache

    count, size = page_cache.leave(options.directory)
    print(f"{count} files of {options.directory} left the page cache, {size} bytes in all")
    return 0


def _merge(options: Any) -> int:
    from .merge import merge

    output = options.output
    digests = _sums(options.sums) if options.sums else {}
    made = merge.join(
        options.first, output, digests=digests, free=options.free, stop=stop_on_signal()
    )
    if not made:
        print(f"{output} is complete already")
        return 0
    whole = next(each for each in made.files if each.path == output.name)
    for each in made.sources:
        print(f"{each.sha256}  {each.path}")
    print(f"{whole.sha256}  {whole.path}")
    print(f"{output} is complete, {whole.size} bytes")
    return 0


def _fetch(options: Any) -> int:
    from .download import fetch
    from .lib import spec

    wanted = spec.parse(spec.read_json(options.spec))
    made = fetch.fetch(wanted, stop=stop_on_signal())
    print(f"{wanted.model}: {'complete' if made else 'already complete'} in {wanted.directory}")
    return 0


def _proven(options: Any) -> int:
    """Read a JSON list of specs from standard input and print the directories that are complete.

    Where a spec asks for sharing, the other machines must have been told of it, too.
    """
    from .lib import spec
    from .model_dir import publish

    wanted = [spec.parse(each) for each in json.load(sys.stdin)]
    complete = [each for each in wanted if publish.complete(each) and _is_shared(each)]
    print(json.dumps([str(each.directory) for each in complete]))
    return 0


def _is_shared(wanted: Any) -> bool:
    from .peers import seed

    return wanted.sharing is None or seed.is_published(wanted, wanted.sharing.folder)


def _sums(path: Path) -> dict[str, str]:
    """Return digests by file name, from a file in the format of sha256sum."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise Failure(f"{path} cannot be read ({error}): give what sha256sum prints") from error
    found = {}
    for line in filter(str.strip, lines):
        named = SUMS.fullmatch(line.strip())
        if not named:
            raise Failure(f"{path} has a line that is not a digest and a name: {line[:80]!r}")
        found[Path(named[2]).name] = named[1].lower()
    return found


if __name__ == "__main__":
    sys.exit(main())
