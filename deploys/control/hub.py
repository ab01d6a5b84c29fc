"""Model listings from the hubs: pinned the first time, and compared with the pins from then on.

All hubs that have the model are asked at once. Those that list the same files with the same digests
are pinned together, each at its own commit, and any of them can be used later. They are asked by a
program here (hub_clients.py), or by a machine if none of them can be reached from here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from deploys.control.hub_clients import ListingAnswer, ListingRequest
from deploys.planning.adapters.adapter import Adapter
from deploys.planning.checkpoint import parsed
from deploys.planning.checkpoint.documents import Documents
from deploys.planning.inputs.locks import Place, WeightsLock
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Hub
from deploys.planning.models.model import Model
from deploys.planning.weights import claim, gguf_files
from deploys.planning.weights.listing import Listed, difference, files_of, selects
from deploys.planning.weights.plan import HubSource

# Seconds for one listing, retries of the client included.
_PATIENCE = 180
# Bytes up to which a file without a listed sha256 is fetched and hashed while pinning.
_SMALL = 32 << 20
# Kept off: progress bars, telemetry, and the look for newer versions.
_ENVIRONMENT = {
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}

Tokens = Mapping[Hub, str]
Ask = Callable[[Sequence[ListingRequest]], Sequence[ListingAnswer]]


@dataclass(frozen=True, kw_only=True)
class Pinned:
    """A lock entry, with notes for the operator about how it was obtained."""

    lock: WeightsLock
    notes: tuple[str, ...]


def pin(
    model: Model | Adapter, sources: Sequence[HubSource], tokens: Tokens, machine: Ask | None = None
) -> Pinned:
    """Return a lock entry for `model` at a fixed revision, with every hub that has the same files.

    Raise Refusal if no hub lists them.

    + machine: asks the hubs from a machine, for when none can be reached from here
    """
    lock: WeightsLock | None = None
    problems: list[str] = []
    ways_out: list[str] = []
    for source, answer in _answers(model, sources, tokens, machine):
        try:
            listing = _listing(source, answer, tokens)
            files = files_of(model, listing, _documents(model, source, answer, tokens, machine))
        except Refusal as refusal:
            problems.append(f"{name_of(source)}: {refusal.reason}")
            ways_out.append(refusal.hint)
            continue
        place = Place(
            hub=source.kind, repository=source.repository, revision=str(answer["revision"])
        )
        if lock is None:
            lock = WeightsLock(
                hub=place.hub,
                repository=place.repository,
                revision=place.revision,
                files=files,
            )
        elif apart := difference(lock.files, files):
            problems.append(f"{name_of(source)} is left out: {apart}")
        else:
            lock = replace(lock, also=(*lock.also, place))
    if lock is None:
        raise Refusal(
            f"No hub lists {model.key}: " + "; ".join(problems), ", or: ".join(_unique(ways_out))
        )
    return Pinned(lock=lock, notes=(*problems, *_moving(lock.places)))


def check(
    model: Model | Adapter,
    lock: WeightsLock,
    sources: Sequence[HubSource],
    tokens: Tokens,
    machine: Ask | None = None,
) -> Pinned:
    """Check a lock entry against the hubs; return it, with hubs added that now have the same files.

    Raise Refusal, with both digests, if a hub lists other content at the pinned revision, or if no
    hub could be asked.
    """
    seen, problems = [], []
    found = {place.hub: place for place in lock.places}
    for source, answer in _answers(model, sources, tokens, machine):
        pinned = found.get(source.kind)
        at = Place(hub=source.kind, repository=source.repository, revision=source.revision)
        try:
            apart = difference(lock.files, _listing(source, answer, tokens))
        except Refusal as refusal:
            problems.append(f"{name_of(source)}: {refusal.reason}")
            continue
        if apart and pinned == at:
            raise Refusal(
                f"{name_of(source)} no longer has what is pinned of {model.key} at"
                f" {source.revision}: {apart}",
                "Do not fetch from there; if the change is meant, remove the entry from"
                " weights.yaml and pin the model again",
            )
        if apart:
            problems.append(f"{name_of(source)} is left out: {apart}")
            continue
        seen.append(source.kind)
        if pinned is None or pinned.repository != source.repository:
            found[source.kind] = replace(at, revision=str(answer["revision"]))
    if not seen:
        raise Refusal(
            f"No hub could be asked whether the pins of {model.key} still hold: "
            + "; ".join(problems),
            "Check the way to the hubs, then run this again",
        )
    also = tuple(place for hub, place in found.items() if hub != lock.hub)
    return Pinned(lock=replace(lock, also=also), notes=(*problems, *_moving(lock.places)))


def _answers(
    model: Model | Adapter, sources: Sequence[HubSource], tokens: Tokens, machine: Ask | None
) -> Iterator[tuple[HubSource, ListingAnswer]]:
    requests = [
        request_to(source, tokens, patterns=model.patterns, small=_SMALL) for source in sources
    ]
    return zip(sources, ask(requests, machine), strict=True)


def _documents(
    model: Model | Adapter,
    source: HubSource,
    answer: ListingAnswer,
    tokens: Tokens,
    machine: Ask | None,
) -> Documents:
    """Return what proves the entry of a model before its weights are fetched.

    Its configurations and its index; of a GGUF the header of the file that is opened. An adapter
    was read when it was planned, at the same commit.
    """
    if isinstance(model, Adapter):
        return Documents()
    listed = {str(file["path"]): file for file in answer["files"]}
    selected = [path for path in listed if selects(model, path)]
    small = [path for path in selected if listed[path]["size"] <= _SMALL]
    texts, heads = [path for path in small if path in claim.DOCUMENTS], []
    if model.format == "gguf":
        texts, heads = [], [gguf_files.model_file(selected)]
    if not texts and not heads:
        return Documents()
    request = request_to(
        replace(source, revision=str(answer["revision"])),
        tokens,
        texts=[listed[path] for path in texts],
        heads=[listed[path] for path in heads],
    )
    (said,) = ask([request], machine)
    check_answer(source, said, tokens)
    return parsed.documents(said["texts"], said["heads"])


def request_to(source: HubSource, tokens: Tokens, **wanted: object) -> ListingRequest:
    """Return a request to a hub, with the token that the site has for it."""
    return {
        "kind": source.kind,
        "endpoint": source.endpoint,
        "repository": source.repository,
        "revision": source.revision,
        "token": tokens.get(source.kind, ""),
        **wanted,
    }


def ask(requests: Sequence[ListingRequest], machine: Ask | None) -> Sequence[ListingAnswer]:
    """Return the answers to requests, from a machine if no hub can be reached from here."""
    answers = _ask_here(requests)
    if machine and all("problem" in answer and not answer["status"] for answer in answers):
        answers = machine(requests) or answers
    return answers


def _ask_here(requests: Sequence[ListingRequest]) -> Sequence[ListingAnswer]:
    environment = {**os.environ, **_ENVIRONMENT}
    # modelscope and modelscope-hub read it differently, and one of them fails on what the other
    # wants.
    environment.pop("MODELSCOPE_LOG_LEVEL", None)
    running = [_started(request, environment) for request in requests]
    return [_result(program) for program in running]


def _started(request: ListingRequest, environment: dict[str, str]) -> subprocess.Popen[str]:
    program = subprocess.Popen(
        [sys.executable, "-m", "deploys.control.hub_clients"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert program.stdin is not None
    # Told at once, and not only when its turn to be heard comes.
    with contextlib.suppress(BrokenPipeError):
        program.stdin.write(json.dumps(request))
        program.stdin.close()
    program.stdin = None
    return program


def _result(program: subprocess.Popen[str]) -> ListingAnswer:
    try:
        output, errors = program.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        program.kill()
        program.communicate()
        return {"problem": f"no listing within {_PATIENCE} seconds", "status": 0}
    if program.returncode:
        lines = [line for line in errors.splitlines() if line.strip()]
        problem = lines[-1] if lines else f"exit code {program.returncode}"
        return {"problem": problem, "status": 0}
    answer: ListingAnswer = json.loads(output.splitlines()[-1])
    return answer


def _listing(source: HubSource, answer: ListingAnswer, tokens: Tokens) -> list[Listed]:
    check_answer(source, answer, tokens)
    return [
        Listed(path=file["path"], size=int(file["size"]), sha256=file["sha256"] or "")
        for file in answer["files"]
    ]


def check_answer(source: HubSource, answer: ListingAnswer, tokens: Tokens) -> None:
    """Raise Refusal with a hint if an answer reports a problem."""
    if "problem" not in answer:
        return
    problem, hub = answer["problem"], source.kind
    if answer["status"] in (401, 403) and hub in tokens:
        raise Refusal(
            f"it does not accept the token ({problem})",
            f"Accept the licence of {source.repository} on its page, or write another token into"
            f" the file that tokens of the site names for {hub}",
        )
    if answer["status"] in (401, 403):
        raise Refusal(
            f"it wants a token, or has no such repository ({problem})",
            f"Write a token into a file and name it in the site: tokens={{{hub!r}: Path(...)}}",
        )
    if answer["status"] == 404:
        raise Refusal(
            f"no such repository or revision ({problem})", "Correct them where the model is named"
        )
    raise Refusal(problem, "Check the way to the hub, then run this again")


def _moving(places: Sequence[Place]) -> Iterator[str]:
    for place in places:
        if not re.fullmatch(r"[0-9a-f]{40}", place.revision):
            yield (
                f"{place.hub} does not say which commit {place.revision} of {place.repository} is:"
                " its files are pinned, and a change there will be refused"
            )


def name_of(source: HubSource) -> str:
    """Return what a source is called in messages."""
    return f"{source.kind}:{source.repository} ({source.endpoint})"


def _unique(texts: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(texts))
