"""Where the part of a model that stays in host memory goes: how it is loaded, and to which nodes.

Read from the file into memory of its own, weights are in large pages and go where the kernel is
told; beside cards llama.cpp then has them in memory that a card copies from without a detour.
Mapped, they are pages of the file: several processes share them, each page is on the node of who
read it first, and `--numa` has the threads that compute with it do that (llama.cpp at commit
0c1e570: llama-mmap.cpp, llama-model-loader.cpp, ggml-cpu.c). Neither is locked: what is read is
not swapped (vm.swappiness), and locking would have one thread read every page first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from deploys.planning.inputs.machine import Machine

Policy = Literal["any", "bind", "interleave", "first touch"]


@dataclass(frozen=True, kw_only=True)
class HostMemory:
    """How a server has its weights in host memory.

    + mapped: as pages of the file, not read into memory of its own
    + policy: on whatever node; on one node, with its processors alone; page by page on each in
      turn; or on that of the thread that reads it first
    + nodes: those nodes; () for all there are
    """

    mapped: bool = True
    policy: Policy = "any"
    nodes: tuple[int, ...] = ()

    @property
    def spread(self) -> bool:
        """Whether threads are dealt out to the nodes."""
        return self.policy in ("interleave", "first touch")


# What an engine does by itself.
MAPPED = HostMemory()


def host_memory(
    machine: Machine,
    needed: int,
    left: Mapping[int, int],
    near: set[int],
    *,
    shared: bool,
    tight: bool,
) -> tuple[HostMemory, str]:
    """Return how a server has its weights in host memory, and why, as a sentence.

    + needed: bytes that it takes there; left: bytes of each node that are free for it
    + near: nodes of its cards
    + shared: another server maps the same file
    + tight: little of the machine's memory is left beside all services
    """
    mapped = "The weights in host memory are pages of the file, "
    mapped += "which another service maps, too" if shared else "as little memory is left beside"
    if machine.numa_nodes == 1:
        return HostMemory(mapped=shared or tight), mapped if shared or tight else ""
    # Where memory goes is systemd's to say; without it, threads are all that can be dealt out.
    if shared or tight or not machine.nodes or (machine.booted and not machine.systemd):
        each = f"{mapped}; each part" if shared or tight else "Each part of the weights there"
        return HostMemory(policy="first touch"), (
            f"{each} is on the NUMA node whose threads read it first: the file leaves the page"
            " cache before a start"
        )
    if len(near) == 1 and needed <= left.get(min(near), 0):
        return HostMemory(mapped=False, policy="bind", nodes=(min(near),)), (
            f"Host memory and threads of NUMA node {min(near)} alone: the cards are attached to"
            " it, and it holds all that stays in host memory"
        )
    if not near:
        why = "which have more memory channels together"
    elif len(near) == 1:
        why = "as that of the cards does not hold all that stays there"
    else:
        why = "as the cards are attached to several"
    return (
        HostMemory(mapped=False, policy="interleave", nodes=tuple(n.index for n in machine.nodes)),
        f"Host memory and threads of all {machine.numa_nodes} NUMA nodes in turn, {why}",
    )


def threads(machine: Machine, chosen: HostMemory) -> int:
    """Return the physical cores that a server computes with: those of its node, or all."""
    bound = chosen.nodes if chosen.policy == "bind" else ()
    own = sum(node.cores for node in machine.nodes if node.index in bound)
    return min(own or machine.cores, machine.cores)
