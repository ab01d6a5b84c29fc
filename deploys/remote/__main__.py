"""Command line of modelrack.pyz: weights, ollama, serve, artifact, build, venv, job, and others.

Exit 0: done. Exit 1: failed; the last line on standard error says why and what to do. Exit 75:
another process has the lock. Exit 143: stopped by a signal.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .lib.failure import Failure, exit_code, stop_on_signal

# Each program imports what it needs: nothing in an archive is kept compiled, and `job status` is
# asked every few seconds.


def main(arguments: list[str] | None = None) -> int:
    """Run the program that `arguments` name and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["lock"]:
        from .lib import lock

        return lock.main(arguments[1:])
    return exit_code(lambda: _run(arguments))


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["weights"]:
        from . import weights

        return weights.run(arguments[1:], "modelrack.pyz weights")
    if arguments[:1] == ["ollama"]:
        from .ollama import register

        return register.run(arguments[1:])
    options = _parser().parse_args(arguments)
    program: Callable[[Any], int] = options.program
    return program(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="modelrack.pyz")
    programs = parser.add_subparsers(required=True)

    programs.add_parser("weights", help="fetch, merge, verify, ls: models on the disk")
    programs.add_parser("ollama", help="register SPEC, unregister SPEC, load, registered")

    command = programs.add_parser("serve", help="run a unit in the foreground, without systemd")
    command.add_argument("unit", help="such as vllm@r1.service")
    command.set_defaults(program=_serve)

    command = programs.add_parser("artifact")
    command.add_argument("spec", help="a JSON file, - for standard input, or: tree-digest DIR")
    command.add_argument("directory", type=Path, nargs="?")
    command.set_defaults(program=_artifact)

    command = programs.add_parser("update", help="have this machine follow another bundle")
    command.add_argument("name", help="of the appliance, as the bundle has it")
    command.add_argument("bundle", type=Path, help="where its disk is mounted")
    command.add_argument("--signers", type=Path, help="names and public keys")
    command.set_defaults(program=_update)

    for name, program in (("build", _build), ("venv", _venv), ("kernels", _kernels)):
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
    command = programs.add_parser("guard")
    command.add_argument("title", help="what the titles of its workers begin with")
    command.add_argument("command", nargs=argparse.REMAINDER)
    command.set_defaults(program=_guard)
    command = programs.add_parser("together")
    command.add_argument("--group", type=Path, required=True, help="a JSON file")
    command.add_argument("command", nargs=argparse.REMAINDER)
    command.set_defaults(program=_together)
    gateway = programs.add_parser("gateway").add_subparsers(required=True)
    command = gateway.add_parser("acme")
    command.add_argument("step", choices=("request", "ask", "accept"))
    command.add_argument("settings", help="a JSON file")
    command.set_defaults(program=_gateway_acme)
    command = gateway.add_parser("spent")
    command.add_argument("--journal", required=True)
    command.add_argument("--folder", type=Path, required=True)
    command.set_defaults(program=_gateway_spent)
    command = programs.add_parser("chat").add_subparsers(required=True).add_parser("database")
    command.add_argument("data", type=Path, help="the chat page's folder")
    command.add_argument("software", type=Path, help="the version that is about to start")
    command.set_defaults(program=_chat_database)
    command = programs.add_parser("unit", help="what a unit of an appliance does by itself")
    command.add_argument("step", choices=("identity", "self-test"))
    command.set_defaults(program=_unit)
    monitoring = programs.add_parser("monitoring").add_subparsers(required=True)
    for name, program in (("write", _monitoring_write), ("notify", _monitoring_notify)):
        command = monitoring.add_parser(name)
        command.add_argument("settings", help="a JSON file")
        command.set_defaults(program=program)
    programs.add_parser("lock", help="hold --owner JSON PATH, or show PATH")
    return parser


def _serve(options: Any) -> int:
    from .services import foreground

    return foreground.run(options.unit)


def _artifact(options: Any) -> int:
    """Install an archive or a file and print its digests as one JSON object, for pinning.

    For `tree-digest DIR`, print the digest of that directory and install nothing.
    """
    from .formats import tree
    from .install import artifact, single_file
    from .lib import spec

    if options.spec == "tree-digest":
        if not options.directory or not options.directory.is_dir():
            raise Failure("tree-digest needs a directory")
        print(tree.tree_sha256(options.directory))
        return 0
    asked = spec.read_json(options.spec)
    if "file" in asked:
        file = single_file.parse(asked)
        single_file.install(file, stop=stop_on_signal())
        print(json.dumps({"file": str(file.directory), "sha256": file.sha256}))
        return 0
    wanted = artifact.parse(asked)
    made = artifact.install(wanted, stop=stop_on_signal())
    print(json.dumps({"directory": str(wanted.directory), **asdict(made)}))
    return 0


def _build(options: Any) -> int:
    from .install import build

    return build.main([options.spec])


def _update(options: Any) -> int:
    from .install import update

    return update.run(options.name, options.bundle, options.signers or update.SIGNERS)


def _venv(options: Any) -> int:
    from .install import venv

    return venv.main([options.spec])


def _kernels(options: Any) -> int:
    from .install import kernels

    return kernels.main([options.spec])


def _job_run(options: Any) -> int:
    from .install import job

    return job.run(options.directory, _command(options, "job run DIR"))


def _command(options: Any, before: str) -> list[str]:
    """Return what stands behind `--`; raise Failure if nothing does."""
    command: list[str] = options.command[options.command[:1] == ["--"] :]
    if not command:
        raise Failure(f"{before} -- COMMAND: the command is missing")
    return command


def _job_status(options: Any) -> int:
    from .install import job

    print(json.dumps(job.status(options.directory, options.tail)))
    return 0


def _guard(options: Any) -> int:
    from .services import guard

    return guard.run(options.title, _command(options, "guard TITLE"))


def _together(options: Any) -> int:
    from .group import together

    return together.run(options.group, _command(options, "together --group FILE"))


def _chat_database(options: Any) -> int:
    from .chat import database

    done = database.prepare(options.data, options.software)
    if done:
        print(done)
    return 0


def _unit(options: Any) -> int:
    from .unit import identity, self_test

    return identity.run() if options.step == "identity" else self_test.run()


def _last_words(options: Any) -> int:
    from .services import failure_log

    print(failure_log.keep(options.unit))
    return 0


def _gateway_acme(options: Any) -> int:
    from .gateway import acme
    from .lib import spec

    acme.run(options.step, spec.read_json(options.settings))
    return 0


def _gateway_spent(options: Any) -> int:
    from .gateway import spent

    spent.write(options.journal, options.folder)
    return 0


def _monitoring_write(options: Any) -> int:
    from .lib import spec
    from .monitoring import write

    return write.run(spec.read_json(options.settings), stop_on_signal())


def _monitoring_notify(options: Any) -> int:
    from .lib import spec
    from .monitoring import notify

    return notify.run(spec.read_json(options.settings), stop_on_signal())


if __name__ == "__main__":
    sys.exit(main())
