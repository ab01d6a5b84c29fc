"""What a user of a gateway has to know of it, decided from plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from deploys.planning.addresses import in_url
from deploys.planning.gateway.plan import GatewayPlan
from deploys.planning.models.shapes import Task


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A model by the name that clients say.

    + title: what it is, for people
    + task: what it is asked; images: prompts may hold them
    + context: tokens of a request and its answer; None where no machine of this run serves it
    """

    name: str
    title: str
    task: Task = "generate"
    images: bool = False
    context: int | None = None


@dataclass(frozen=True, kw_only=True)
class UserCard:
    """What one user may do at one gateway; never a key.

    + until: last day of the key that is good longest; None: without an end
    + chat: the gateway has a chat page
    """

    host: str
    user: str
    team: str
    models: tuple[ServedModel, ...]
    rate: int
    at_once: int
    tokens_a_day: int | None
    until: date | None
    chat: bool

    def asked(self, task: Task) -> tuple[ServedModel, ...]:
        """Return the models that are asked this."""
        return tuple(model for model in self.models if model.task == task)

    @property
    def url(self) -> str:
        """The gateway's address as a URL, without a path."""
        return f"https://{in_url(self.host)}"


def cards(plans: Iterable[GatewayPlan], served: Mapping[str, ServedModel]) -> list[UserCard]:
    """Return a card for each user of each gateway, sorted by gateway and user.

    + plans: of several machines, which may have one gateway in common
    + served: models of all machines of the run, by name
    """
    found: dict[tuple[str, str], UserCard] = {}
    for plan in plans:
        backends = {name: backend for backend in plan.backends for name in backend.names}
        for user in dict.fromkeys(key.user for key in plan.keys):
            if plan.host is None:
                continue
            keys = [key for key in plan.keys if key.user == user]
            ends = [key.until for key in keys]
            before = found.get((plan.host, user))
            # Machines that have a gateway in common may differ in what they serve.
            known = {model.name: model for model in before.models} if before else {}
            for name, backend in backends.items():
                if keys[0].models is None or name in keys[0].models:
                    known[name] = served.get(name) or ServedModel(
                        name=name, title=backend.model, task=backend.task
                    )
            found[plan.host, user] = UserCard(
                host=plan.host,
                user=user,
                team=keys[0].team,
                models=tuple(known[name] for name in sorted(known)),
                rate=keys[0].rate or plan.rate,
                at_once=keys[0].at_once or plan.at_once,
                tokens_a_day=keys[0].tokens_a_day,
                until=None if None in ends else max(end for end in ends if end),
                chat=plan.chat is not None,
            )
    return [found[each] for each in sorted(found)]
