"""The programs by name: weights, artifact, build, venv, job, last-words, lock.

Exit 0: done. Exit 1: failed, the last line on standard error says why and what to do. Exit 75:
another process has the lock. Exit 143: stopped by a signal.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .failure import Failure, Stopped

# Each program imports what it needs: nothing in an archive is kept compiled, and `job status` is
# asked every few seconds.

STOPPED = 128 + signal.SIGTERM


def main(arguments: list[str] | None = None) -> int:
    """The exit code of the program that `arguments` name."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["lock"]:
        from . import lock

        return lock.main(arguments[1:])
    options = _parser().parse_args(arguments)
    try:
        program: Callable[[Any], int] = options.program
        return program(options)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return STOPPED
    except (Failure, OSError) as failure:
        print(failure, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="modelrack.pyz")
    programs = parser.add_subparsers(required=True)

    weights = programs.add_parser("weights").add_subparsers(required=True)
    for name, program in (("fetch", _fetch), ("merge", _merge)):
        command = weights.add_parser(name)
        command.add_argument("spec", help="a JSON file, or - for standard input")
        command.set_defaults(program=program)
    weights.add_parser("proven").set_defaults(program=_proven)
    verify = weights.add_parser("verify")
    verify.add_argument("directory", type=Path)
    verify.add_argument("--deep", action="store_true", help="read every byte")
    verify.set_defaults(program=_verify)

    command = programs.add_parser("artifact")
    command.add_argument("spec", help="a JSON file, - for standard input, or: tree-digest DIR")
    command.add_argument("directory", type=Path, nargs="?")
    command.set_defaults(program=_artifact)

    for name, program in (("build", _build), ("venv", _venv)):
        command = programs.add_parser(name)
        command.add_argument("spec", help="a JSON file")
        command.set_defaults(program=program)

    jobs = programs.add_parser("job").add_subparsers(required=True)
    command = jobs.add_parser("run")
    command.add_argument("directory", type=Path)
    command.add_argument("command", nargs=argparse.REMAINDER)
    command.set_defaults(program=_job_run)
    command = jobs.add_parser("status")
    command.add_argument("directory", type=Path)
    command.add_argument("--tail", type=int, default=10)
    command.set_defaults(program=_job_status)
    command = programs.add_parser("last-words")
    command.add_argument("unit")
    command.set_defaults(program=_last_words)
    programs.add_parser("lock", help="hold --owner JSON PATH, or show PATH")
    return parser


def _fetch(options: Any) -> int:
    from . import fetch, spec

    wanted = spec.parse(spec.read_json(options.spec))
    changed = fetch.fetch(wanted, stop=_stop_on_signal())
    print(f"{wanted.model}: {'complete' if changed else 'already complete'} in {wanted.directory}")
    return 0


def _merge(options: Any) -> int:
    from . import fetch, spec

    wanted = spec.parse(spec.read_json(options.spec))
    changed = fetch.merge(wanted, stop=_stop_on_signal())
    print(f"{wanted.model}: {'merged' if changed else 'already merged'} in {wanted.directory}")
    return 0


def _proven(options: Any) -> int:
    """Takes a JSON list of specs on standard input, prints the directories that are complete."""
    from . import publish, spec

    wanted = [spec.parse(each) for each in json.load(sys.stdin)]
    print(json.dumps([str(each.directory) for each in wanted if publish.complete(each)]))
    return 0


def _verify(options: Any) -> int:
    """Prints one JSON object on standard output."""
    from . import manifest
    from .progress import Progress

    found, problems = None, []
    try:
        found = manifest.load(options.directory / manifest.NAME)
        if not found:
            problems = [f"{options.directory / manifest.NAME} is missing: fetch the weights first"]
        elif options.deep:
            progress = Progress("verify", sum(each.size for each in found.files), log=sys.stderr)
            problems = manifest.deep_problems(found, options.directory, progress.advance)
        else:
            problems = manifest.problems(found, options.directory)
    except Failure as failure:
        problems = [str(failure)]
    model = found.model if found else None
    print(json.dumps({"ok": not problems, "model": model, "problems": problems}))
    if problems:
        print(f"{problems[0]}: run weights fetch again", file=sys.stderr)
    return 1 if problems else 0


def _artifact(options: Any) -> int:
    """Prints the digests as one JSON object, so that they can be pinned."""
    from . import artifact, single_file, spec, tree

    if options.spec == "tree-digest":
        if not options.directory or not options.directory.is_dir():
            raise Failure("tree-digest needs a directory")
        print(tree.tree_sha256(options.directory))
        return 0
    asked = spec.read_json(options.spec)
    if "file" in asked:
        file = single_file.parse(asked)
        single_file.install(file, stop=_stop_on_signal())
        print(json.dumps({"file": str(file.directory), "sha256": file.sha256}))
        return 0
    wanted = artifact.parse(asked)
    made = artifact.install(wanted, stop=_stop_on_signal())
    print(json.dumps({"directory": str(wanted.directory), **asdict(made)}))
    return 0


def _build(options: Any) -> int:
    from . import build

    return build.main([options.spec])


def _venv(options: Any) -> int:
    from . import venv

    return venv.main([options.spec])


def _job_run(options: Any) -> int:
    from . import job

    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise Failure("job run DIR -- COMMAND: the command is missing")
    return job.run(options.directory, command)


def _job_status(options: Any) -> int:
    from . import job

    print(json.dumps(job.status(options.directory, options.tail)))
    return 0


def _last_words(options: Any) -> int:
    from . import last_words

    print(last_words.keep(options.unit))
    return 0


def _stop_on_signal() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


if __name__ == "__main__":
    sys.exit(main())
