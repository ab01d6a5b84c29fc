"""The page of a machine: facts, plan, memory ledger and refusals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

from deploys.planning.addresses import in_url
from deploys.planning.first_python import FirstPython
from deploys.planning.gateway import chat
from deploys.planning.gateway.paths import ASKED
from deploys.planning.group.plan import GroupPlan
from deploys.planning.hardware import gpus
from deploys.planning.inputs.machine import Machine
from deploys.planning.placement.memory import GIB, CardLedger
from deploys.planning.placement.users import LENGTH
from deploys.planning.plan import HostPlan, ServicePlan
from deploys.planning.quantity import human
from deploys.planning.weights.weights import missing_of
from deploys.rendering.templates import text


def of(name: str, machine: Machine, plan: HostPlan) -> str:
    """Return the page of one machine, human-readable."""
    return text(
        "plan/page.txt",
        name=name,
        machine=machine,
        plan=plan,
        human=human,
        in_url=in_url,
        cards=list(_cards(machine, plan)),
        chat=chat,
        loaded=_loaded(machine),
        disks=list(_disks(machine, plan)),
        missing={entry.model: missing_of(entry, machine) for entry in plan.weights},
        spread={service.name: _spread(service) for service in plan.services},
        asked={service.name: _asked(service) for service in plan.services},
        carries={service.name: _carries(service) for service in plan.services},
        fabric={each.name: _fabric(each.group) for each in plan.services if each.group},
        groups={service.name: list(_group(service)) for service in plan.services},
        ledgers={service.name: list(_ledger(service)) for service in plan.services},
    )


def of_bare(name: str, first: FirstPython) -> str:
    """Return the page of a machine that needs Python before anything can be planned."""
    return (
        f"{name}: no python3\n\n"
        f"  first     {first.command}, which deploys/full.py does\n"
        "  plan      is made with python3, so it can be seen after that\n"
    )


def _cards(machine: Machine, plan: HostPlan) -> Iterator[str]:
    """Yield `8 x H800 (10de:2324), 79.6 GiB each, NUMA nodes 0-1, 4 NVSwitch bridges` and so on."""
    for pci_id, found in groupby(sorted(gpu.pci_id for gpu in machine.gpus)):
        count = len(list(found))
        known = gpus.by_pci_id(pci_id, plan.gpu)
        if known is None:
            yield f"{count} x {pci_id}, which is unknown"
            continue
        nodes = sorted({gpu.numa for gpu in machine.gpus if gpu.numa is not None})
        on = f", NUMA node{'s' if len(nodes) > 1 else ''} {_ranges(nodes)}" if nodes else ""
        memory = "the host's memory" if known.shares_host else f"{human(known.memory)} each"
        yield f"{count} x {known.name} ({pci_id}), {memory}{on}{_links(machine)}"


def _links(machine: Machine) -> str:
    if machine.nvswitches:
        return f", {machine.nvswitches} NVSwitch bridges"
    nvlinks = sum(link.kind.startswith("NV") for link in machine.links)
    return f", {nvlinks} of {len(machine.links)} pairs by NVLink" if nvlinks else ""


def _loaded(machine: Machine) -> str:
    """Return the state of the driver."""
    driver = machine.driver
    if machine.nouveau:
        return "nouveau is loaded"
    if driver.loaded is None:
        if any(gpu.driver == "amdgpu" for gpu in machine.gpus):
            return "the kernel's own amdgpu is loaded"
        return f"{driver.userspace} is installed, not loaded" if driver.userspace else "none"
    other = driver.userspace not in (None, driver.loaded)
    return (
        f"{driver.loaded} is loaded{f' ({driver.flavour} module)' if driver.flavour else ''}"
        f"{f', programs find {driver.userspace}' if other else ''}"
    )


def _disks(machine: Machine, plan: HostPlan) -> Iterator[str]:
    """Yield `/data (xfs): 13.6 TiB free, 335.3 GiB to fetch, 13.3 TiB left then` and so on."""
    coming: dict[str, int] = {}
    for entry in plan.weights:
        disk = machine.disk_of(entry.directory)
        if disk is not None:
            coming[disk.mount] = coming.get(disk.mount, 0) + missing_of(entry, machine)
    for disk in machine.disks:
        if disk.mount in coming:
            left = human(max(0, disk.free - coming[disk.mount]))
            yield (
                f"{disk.mount} ({disk.kind}): {human(disk.free)} free,"
                f" {human(coming[disk.mount])} to fetch, {left} left then"
            )


def _fabric(group: GroupPlan) -> str:
    """Return a phrase such as `10.9.0.11 on bond0 (MTU 9000), 8 x RoCE 400 Gb/s, by DMA-BUF`."""
    words = f"{group.me.address} on {group.interface}{f' (MTU {group.mtu})' if group.mtu else ''}"
    if not group.hcas:
        return f"{words}, no RDMA"
    rate = f" {group.gigabits} Gb/s" if group.gigabits else ""
    memory = f"to the cards by {group.peer_memory}" if group.peer_memory else "not to the cards"
    devices = f"{len(group.hcas)} x {group.links}{rate} {memory}"
    return f"{words}, {devices}: {' '.join(group.hcas)}"


def _group(service: ServicePlan) -> Iterator[str]:
    """Yield the machines of a group, and what each of them holds."""
    group = service.group
    if group is None:
        return
    ports = _ranges(list(group.ports))
    yield f"{service.name} by {len(group.nodes)} machines, which meet at ports {ports} of the head"
    width = max(len(node.name) for node in group.nodes)
    for rank, node in enumerate(group.nodes):
        where = f"on {node.cards} cards" if node.cards else "in host memory"
        words = [f"rank {rank}  {node.name:{width}}  {node.address}"]
        words.append(f"  {human(node.weights)} of weights {where}")
        words.append(", the head, which answers" if node is group.head else "")
        yield "".join([*words, " (this machine)" if rank == group.rank else ""])
    if group.floor:
        cards = sum(node.cards for node in group.nodes)
        yield f"all-reduce over its {cards} cards must reach {group.floor:g} GB/s before it loads"


def _spread(service: ServicePlan) -> str:
    """Return a phrase such as `tensor parallel 8, one copy on GPU 0-7`."""
    placement = service.placement
    words = []
    if placement.tensor_parallel > 1:
        words.append(f"tensor parallel {placement.tensor_parallel}")
    if placement.context_parallel > 1:
        words.append(f"decode context parallel {placement.context_parallel}")
    if placement.data_parallel > 1:
        words.append(f"data parallel attention {placement.data_parallel}")
    if placement.pipeline_parallel > 1:
        words.append(f"pipeline parallel {placement.pipeline_parallel}")
    if not placement.groups:
        return ", ".join([*words, f"on {service.threads} cores"])
    if placement.gpu_layers is not None:
        words.append(f"{placement.gpu_layers} layers on the GPUs")
    if placement.cpu_experts:
        words.append(f"experts of {placement.cpu_experts} layers in host memory")
    groups = " | ".join(_ranges(sorted(group)) for group in placement.groups)
    copies = "one copy" if len(placement.groups) == 1 else f"{len(placement.groups)} copies"
    if placement.machines > 1:
        copies = "a part of the copy"
    words.append(f"{copies} on GPU {groups}")
    return ", ".join(words)


def _asked(service: ServicePlan) -> str:
    """Return what a service that writes no answers is for, and where it is asked."""
    what = {"embed": "for vectors of texts", "rerank": "for how well texts fit a question"}
    at = ASKED[service.task][0]
    return f"{what[service.task]}, at {at}: " if service.task in what else ""


def _carries(service: ServicePlan) -> str:
    """Return how many users get how many tokens per second each."""
    counts = [f"{count or 'none'} with {rate}" for rate, count in (service.users or {}).items()]
    each = " tokens per second each, or ".join(counts)
    return (
        f"users who can be answered at once: {each} (an estimate, {LENGTH:,} tokens of each in the"
        " cache)"
    )


def _ledger(service: ServicePlan) -> Iterator[str]:
    """Yield the ledger in GiB by purpose, with a heading and one row for identical cards."""
    ledger = service.placement.ledger
    rows = [
        ("GPU " + _ranges([card.index for card in cards]), first.lines, first.free, first.total)
        for first, cards in _alike(ledger.cards)
    ]
    purposes = list(dict.fromkeys(purpose for _, lines, _, _ in rows for purpose in lines))
    if rows:
        width = max(len(row[0]) for row in rows)
        yield " " * width + "".join(f"  {purpose}" for purpose in purposes) + "     free       of"
        for label, lines, free, total in rows:
            numbers = "".join(_column(lines, purpose) for purpose in purposes)
            yield f"{label:{width}}{numbers}{free / GIB:9.1f}{total / GIB:9.1f}  GiB"
    if ledger.host:
        parts = ", ".join(f"{purpose} {human(count)}" for purpose, count in ledger.host.items())
        yield f"host memory: {parts}"
    if ledger.kv_bytes and (rows or ledger.kv_tokens):
        yield f"the cache holds {ledger.kv_tokens:,} tokens of {ledger.kv_bytes:,} bytes"


def _alike(cards: tuple[CardLedger, ...]) -> Iterator[tuple[CardLedger, list[CardLedger]]]:
    by_content: dict[tuple[object, ...], list[CardLedger]] = {}
    for card in cards:
        by_content.setdefault((card.total, *card.lines.items()), []).append(card)
    for found in by_content.values():
        yield found[0], found


def _column(lines: Mapping[str, int], purpose: str) -> str:
    return f"{lines.get(purpose, 0) / GIB:{len(purpose) + 2}.1f}"


def _ranges(numbers: list[int]) -> str:
    """Return numbers as ranges, such as `0-3 6`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return " ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
