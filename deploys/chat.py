"""Chat with a service of an inventory from here; changes nothing.

python -m deploys.chat inventories/h800.py                          the only service that there is
python -m deploys.chat inventories/h800.py deepseek-r1              one of several
python -m deploys.chat inventories/h800.py --once "Are you there?"  one answer, for a pipe
python -m deploys.chat inventories/h800.py --gateway                as a client of the gateway

The way there is an SSH tunnel with the settings of the inventory, which is closed at the end; with
--gateway it is the gateway, with the key in MODELRACK_KEY or typed without being shown.
"""

from __future__ import annotations

import argparse
import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getpass

from openai import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    DefaultHttpxClient,
    InternalServerError,
    OpenAI,
)

from deploys.connection import tunnel
from deploys.connection.password import has_terminal
from deploys.control.clients import conversation, services
from deploys.control.clients.conversation import Conversation
from deploys.control.clients.services import Door, OfferedService
from deploys.planning.gateway.key import NEW
from deploys.planning.gateway.paths import ASKED
from deploys.planning.inputs.refusal import Refusal

# Seconds without a word from the model; on a processor, a long prompt takes its time.
_PATIENCE = 1800
_KEY = "MODELRACK_KEY"
_PYINFRA, _FULL = ".venv/bin/pyinfra", "deploys/full.py"


def main() -> int:
    """Run the chat and return its exit code."""
    arguments = _arguments()
    try:
        _chat(arguments)
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return 1
    except APIError as error:
        print(conversation.reason(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Who reads has enough; nothing more can be flushed at the end, either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _chat(arguments: argparse.Namespace) -> None:
    ssh_user = ["--ssh-user", arguments.ssh_user] if arguments.ssh_user else []
    hosts = services.listed(arguments.inventory, *ssh_user)
    offer = services.chosen(services.offered(hosts), arguments.service, arguments.limit)
    if offer.task != "generate":
        raise Refusal(
            f"{offer} writes no answers: its task is {offer.task}",
            f"Name a service that does, or ask this one at {ASKED[offer.task][0]}, as its user's"
            " card shows (deploys/cards.py)",
        )
    question = arguments.once
    if question is None and not sys.stdin.isatty():
        question = sys.stdin.buffer.read().decode(errors="replace").strip()
    if question is not None and not question.strip():
        raise Refusal("There is no question", "Give it on standard input, or with --once")
    if arguments.gateway:
        door = services.door(hosts, offer)
        way, model, through = _admitted(door, arguments.inventory), offer.name, door.url
    else:
        way, model, through = _tunnelled(offer, arguments.inventory), offer.model, "SSH"
    with way as client:
        if model not in [each.id for each in client.models.list()]:
            raise Refusal(
                f"{through} has no {model}", f"Deploy it: {_PYINFRA} {arguments.inventory} {_FULL}"
            )
        if question is None:
            conversation.at_terminal(Conversation(client, model), f"{offer}, through {through}")
        else:
            conversation.once(Conversation(client, model), question)


@contextmanager
def _tunnelled(offer: OfferedService, inventory: str) -> Iterator[OpenAI]:
    try:
        with tunnel.opened(offer.host, offer.data, offer.port) as port:
            # What is on this computer is not asked for through a proxy.
            http = DefaultHttpxClient(trust_env=False, timeout=_PATIENCE)
            url = f"http://127.0.0.1:{port}/v1"
            yield OpenAI(base_url=url, api_key="none", http_client=http, max_retries=0)
    except (tunnel.NobodyListens, APIConnectionError, InternalServerError) as error:
        why = conversation.reason(error) if isinstance(error, APIError) else error
        raise Refusal(
            f"{offer} does not answer: {why}",
            f"Its journal: {_PYINFRA} {inventory} --limit {offer.host} exec -- journalctl -n 30 -u"
            f" {offer.unit}. Start it: {_PYINFRA} {inventory} {_FULL}",
        ) from error


@contextmanager
def _admitted(door: Door, inventory: str) -> Iterator[OpenAI]:
    """Yield a client with a key."""
    trust = ssl.create_default_context()
    trust.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        if door.trusted:
            trust.load_verify_locations(door.trusted)
    except OSError as error:
        raise Refusal(
            f"{door.trusted}, which says whom to trust, cannot be read: {error}",
            f"It is made where the gateway is deployed from: {_PYINFRA} {inventory} {_FULL}",
        ) from error
    key = os.environ.get(_KEY) or _typed(door)
    http = DefaultHttpxClient(verify=trust, timeout=_PATIENCE)
    try:
        yield OpenAI(base_url=door.url, api_key=key, http_client=http, max_retries=0)
    except AuthenticationError as error:
        raise Refusal(f"{door.url}: {conversation.reason(error)}", f"{NEW} makes one") from error
    except APIConnectionError as error:
        raise Refusal(
            f"{door.url} does not answer: {conversation.reason(error)}",
            f"See that this computer finds it; start it: {_PYINFRA} {inventory} {_FULL}",
        ) from error


def _typed(door: Door) -> str:
    if not has_terminal():
        raise Refusal(f"There is no key for {door.url}", f"Put it into the variable {_KEY}")
    return getpass(f"Key for {door.url}: ").strip()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m deploys.chat",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("inventory", help="such as inventories/h800.py")
    parser.add_argument("service", nargs="?", help="its name, where there are several")
    parser.add_argument("--once", metavar="QUESTION", help="print one answer and end")
    parser.add_argument("--gateway", action="store_true", help="go there, instead of through SSH")
    parser.add_argument("--limit", metavar="HOST", help="the host, where several have the service")
    parser.add_argument("--ssh-user", metavar="NAME", help="as whom to log in, as for pyinfra")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
