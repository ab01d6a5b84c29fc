"""How a service's answers are read and its questions put: parsers and the chat template."""

from __future__ import annotations

import re
from collections.abc import Iterator

from jinja2 import Environment, TemplateSyntaxError

from deploys.planning.engines.registry import ENGINES
from deploys.planning.inputs.profile import Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.parsers import VERDICT, Parsers
from deploys.planning.options.record import accepted
from deploys.planning.weights.weights import model_of, task_of

# What an operator writes for no parser at all.
NONE = "none"
# A mark of transformers, which the engines know and Jinja does not.
_GENERATION = re.compile(r"{%-?\s*(?:end)?generation\s*-?%}")
_OPTIONS = {"reasoning_parser": "--reasoning-parser", "tool_parser": "--tool-call-parser"}


def parsers_of(service: Service) -> Parsers:
    """Return the parsers that the service names, and those of its network for what it leaves out.

    A chat template of the service's own takes the place of the one that tools need. Where no answer
    is written, there is none to parse.
    """
    parsers = ENGINES[service.engine].parsers
    if task_of(service) != "generate":
        asks = task_of(service) == "rerank" and model_of(service).network.verdict is not None
        needed = asks and parsers is not None and service.chat_template is None
        return Parsers(template=VERDICT if needed else None)
    usual = parsers(model_of(service).network.dialect) if parsers else Parsers()
    reasoning = _or(service.reasoning_parser, usual.reasoning)
    tools = _or(service.tool_parser, usual.tools)
    # Made for the calls that the network's own parser reads.
    needed = tools is not None and tools == usual.tools and service.chat_template is None
    return Parsers(reasoning=reasoning, tools=tools, template=usual.template if needed else None)


def refusals(service: Service, version: str | None) -> Iterator[Refusal]:
    """Yield what is wrong with the parsers and the chat template that a service names."""
    known = accepted(service.engine, version or "")
    for field, name in _OPTIONS.items():
        wanted, option = getattr(service, field), known.get(name)
        if wanted in (None, NONE) or option is None or wanted in option.choices:
            continue
        yield Refusal(
            f"Service {service.name}: {service.engine} {version} has no {field} {wanted!r}",
            f"Write one of {', '.join(option.choices)}, or {NONE}, or leave {field} out",
        )
    if service.chat_template is not None:
        try:
            chat_template(service)
        except Refusal as refusal:
            yield refusal


def chat_template(service: Service) -> str:
    """Return the text of the service's own chat template; raise Refusal if it is not one."""
    assert service.chat_template is not None
    path, instead = service.chat_template.expanduser(), "name a file with a Jinja template"
    about = f"Service {service.name}: chat_template {path}"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise Refusal(
            f"{about} cannot be read: {why}",
            f'For a file beside the inventory write Path(__file__).with_name("..."), or {instead}',
        ) from error
    try:
        Environment(extensions=["jinja2.ext.loopcontrols"]).parse(_GENERATION.sub("", text))
    except TemplateSyntaxError as error:
        raise Refusal(
            f"{about} is no Jinja template: line {error.lineno}: {error.message}",
            f"Mend that line, or {instead}",
        ) from error
    return text


def _or(word: str | None, usual: str | None) -> str | None:
    return usual if word is None else None if word == NONE else word
