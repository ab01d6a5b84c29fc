"""Throwaway machines by hand: ``python -m tests.lab up | ssh | ask | team | status | down``."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from tests import temporary
from tests.lab import removal
from tests.lab.lab import Lab
from tests.lab.process import PROJECT, LabError
from tests.lab.removal import Owner
from tests.lab.requirements import missing

SELF = "python -m tests.lab"


def main() -> int:
    arguments = _arguments()
    temporary.end_in_order()
    if arguments.verb != "status" and (reasons := missing()):
        print("; ".join(reasons), file=sys.stderr)
        return 2
    try:
        return int(arguments.run(arguments) or 0)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def up(arguments: argparse.Namespace) -> None:
    """Start a lab that stays until ``down``."""
    name, begun = arguments.name, time.monotonic()
    if _kept(name):
        if arguments.reuse:
            print(f"{name} is up already")
            return
        raise LabError(f"{name} is up already: {SELF} ssh, or {SELF} down --name {name}")
    count = arguments.machines
    names = [name] if count == 1 else [f"{name}{number}" for number in range(1, count + 1)]
    lab = Lab(
        names,
        name=name,
        suite=arguments.suite,
        air_gapped=arguments.air_gapped,
        keep=True,
        say=lambda text: print(f"  {text}", flush=True),
    )
    lab.up()
    try:
        inventory = lab.inventory() | {"id": lab.id}
        if not arguments.no_hub:
            from tests.lab import standins

            print("  starting the stand-in hub and source archive server", flush=True)
            inventory |= standins.start(lab, arguments.hub_root, cuda=bool(arguments.hardware))
        if arguments.hardware:
            _fit(lab, arguments.hardware, inventory)
        path = _inventory(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(inventory, indent=2) + "\n")
    except BaseException:
        lab.down()
        raise
    print(f"{name} is up after {time.monotonic() - begun:.1f} s")
    for machine in lab.machines:
        print(f"  {machine.name:12} root@{machine.address}")
    for service in ("hub", "github", "cuda"):
        if service in inventory:
            print(f"  {service:12} {inventory[service]}")
    print(f"  inventory    {path.relative_to(PROJECT)}")
    print(f"next: {SELF} ssh {names[0]}   or   {SELF} down")


def ssh(arguments: argparse.Namespace) -> int:
    """Open a shell on a machine, or run a command there."""
    words = list(arguments.words)
    labs = [Lab.attach(owner.lab) for owner in _kept(arguments.lab)]
    machines = {machine.name: machine for lab in labs for machine in lab.machines}
    if not machines:
        raise LabError(f"nothing is up: {SELF} up")
    name = words.pop(0) if words and words[0] in machines else ""
    if words and words[0] == "--":
        words.pop(0)
    elif words:
        raise LabError(f"no machine {words[0]}, only {', '.join(machines)} (-- goes before words)")
    if not name and len(machines) > 1:
        raise LabError(f"which one of {', '.join(machines)}?")
    machine = machines[name or next(iter(machines))]
    command = machine.ssh_command(*(["-t"] if not words and sys.stdin.isatty() else []))
    sys.stdout.flush()
    os.execvp(command[0], [*command, *words])


def ask(arguments: argparse.Namespace) -> None:
    """Ask the model of the first machine a question, over HTTP from that machine."""
    machines = [machine for owner in _kept() for machine in Lab.attach(owner.lab).machines]
    if not machines:
        raise LabError(f"nothing is up: {SELF} up")
    question = {"messages": [{"role": "user", "content": arguments.question}], "max_tokens": 64}
    command = [
        *("curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "120"),
        *("--json", json.dumps(question)),
        f"http://127.0.0.1:{arguments.port}/v1/chat/completions",
    ]
    print(f"on {machines[0].name}: {shlex.join(command)}", flush=True)
    answer = machines[0].ssh(command, check=False)
    if answer.returncode:
        raise LabError(f"no answer: {answer.stdout}{answer.stderr}")
    reply = json.loads(answer.stdout)
    print(f"\n  {arguments.question}\n  {reply['choices'][0]['message']['content']}\n")
    usage = reply["usage"]
    print(f"({reply['model']}, {usage['completion_tokens']} tokens)")


def team(arguments: argparse.Namespace) -> None:
    """Say how people reach the sandbox, once its gateway has answered with the key of the demo."""
    from tests.lab import team as sandbox

    machines = [machine for owner in _kept("sandbox") for machine in Lab.attach(owner.lab).machines]
    if not machines:
        raise LabError("no gateway is up: make demo")
    print(sandbox.entrance(machines[0], _inventory("sandbox").parent))


def power(arguments: argparse.Namespace) -> None:
    """Switch a machine on, off or over, or unplug its network."""
    for owner in _kept(arguments.lab):
        for machine in Lab.attach(owner.lab).machines:
            if machine.name == arguments.machine:
                getattr(machine, ACTIONS[arguments.verb])()
                print(f"{machine.name}: {arguments.verb} done")
                return
    raise LabError(f"no machine {arguments.machine} is up here")


def status(arguments: argparse.Namespace) -> None:
    """Say what exists on this host."""
    owners = removal.owners()
    for owner in owners:
        whose = "kept" if owner.kept else "of process " + str(owner.pid)
        if not owner.is_alive():
            whose = f"left over from process {owner.pid}: {SELF} down --all"
        print(f"{owner.name} ({owner.lab}), {whose}, {owner.project}")
        if not (removal.directory(owner.lab) / "lab.json").exists():
            continue
        for machine in Lab.attach(owner.lab).machines:
            state = "running" if machine.is_running() else "off"
            print(f"  {machine.name:12} {state:8} root@{machine.address}")
    if not owners:
        print(f"nothing is up; start with: {SELF} up")


def down(arguments: argparse.Namespace) -> None:
    """Remove the lab of this name, or with ``--all`` this checkout's labs and all leftovers."""
    if not arguments.all and not _kept(arguments.name):
        print(f"{arguments.name} is not up")
    for owner in removal.owners():
        mine = owner.kept and owner.project == str(PROJECT)
        if mine and (arguments.all or owner.name == arguments.name):
            removal.remove(owner.lab)
            shutil.rmtree(_inventory(owner.name).parent, ignore_errors=True)
            print(f"{owner.name} ({owner.lab}) is gone")
        elif arguments.all and (not owner.is_alive() or not Path(owner.project).is_dir()):
            removal.remove(owner.lab)
            print(f"leftover {owner.lab} of process {owner.pid} is gone")
        elif arguments.all:
            print(f"left alone: {owner.name} ({owner.lab}) of {owner.project}, in use")
    if arguments.all:
        shutil.rmtree(PROJECT / ".lab", ignore_errors=True)


def _fit(lab: Lab, name: str, inventory: dict[str, Any]) -> None:
    """Build a class's hardware into every machine, and let apt see the stand-in repositories."""
    from tests.lab.classes import HARDWARE
    from tests.lab.hardware import fit
    from tests.lab.nvidia_repository import connect

    if name not in HARDWARE:
        raise LabError(f"no hardware {name}, only {', '.join(HARDWARE)}")
    hardware = HARDWARE[name]
    for machine in lab.machines:
        if "cuda" in inventory:
            system = hardware.system[0] if hardware.system else "debian"
            connect(machine, inventory["cuda"], system, alone=False)
        fit(machine, hardware)


ACTIONS = {
    "on": "start",
    "off": "kill",
    "reboot": "reboot",
    "cut": "cut_link",
    "restore": "restore_link",
}


def _kept(name: str | None = None) -> list[Owner]:
    return [
        owner
        for owner in removal.owners()
        if owner.kept and owner.project == str(PROJECT) and name in (None, owner.name)
    ]


def _inventory(name: str) -> Path:
    return PROJECT / ".lab" / name / "lab.json"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=SELF, description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)

    verb = verbs.add_parser("up", help=up.__doc__)
    verb.add_argument("--machines", type=int, default=1, metavar="N", help="how many (1)")
    verb.add_argument("--name", default="sandbox", help="name of the lab (sandbox)")
    verb.add_argument("--reuse", action="store_true", help="no error when it is up already")
    verb.add_argument("--suite", default="bookworm", choices=("bookworm", "trixie"))
    verb.add_argument("--air-gapped", action="store_true", help="no way out of the lab's network")
    verb.add_argument("--no-hub", action="store_true", help="machines only, no stand-ins")
    verb.add_argument("--hardware", metavar="CLASS", help="scripted GPUs of a class: h800, ...")
    verb.add_argument("--hub-root", type=Path, help="serve <owner>/<name>/ folders from here")
    verb.set_defaults(run=up)

    verb = verbs.add_parser("ssh", help=ssh.__doc__, usage=f"{SELF} ssh [NAME] [-- command]")
    verb.add_argument("--lab", help="only machines of this lab")
    verb.add_argument("words", nargs=argparse.REMAINDER)
    verb.set_defaults(run=ssh)

    verb = verbs.add_parser("ask", help=ask.__doc__)
    verb.add_argument("question")
    verb.add_argument("--port", type=int, default=8080)
    verb.set_defaults(run=ask)

    verb = verbs.add_parser("team", help=team.__doc__)
    verb.set_defaults(run=team)

    for action, method in ACTIONS.items():
        verb = verbs.add_parser(action, help=f"{method} of one machine")
        verb.add_argument("machine")
        verb.add_argument("--lab", help="only machines of this lab")
        verb.set_defaults(run=power)

    verb = verbs.add_parser("status", help=status.__doc__)
    verb.set_defaults(run=status)

    verb = verbs.add_parser("down", help=down.__doc__)
    verb.add_argument("--name", default="sandbox", help="name of the lab (sandbox)")
    verb.add_argument("--all", action="store_true", help="everything, leftovers included")
    verb.set_defaults(run=down)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
