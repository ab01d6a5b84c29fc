"""Compatibility of engine, weights, GPU and system, by the rules of the engine's record.

What a rule refuses does not work; what it warns about works less well than expected, or has not
been tested by us. A combination that no rule and no list covers gets a warning.
"""

from __future__ import annotations

from collections.abc import Sequence

from deploys.planning.checkpoint.quantization import NAMES
from deploys.planning.engines.base import Engine
from deploys.planning.engines.registry import ENGINES
from deploys.planning.engines.rules import EVERY, Rule
from deploys.planning.hardware.gpus import Accelerator, by_pci_id
from deploys.planning.hardware.software_stacks import SoftwareStack
from deploys.planning.inputs.machine import RHEL_LIKE, Machine
from deploys.planning.inputs.profile import Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.model import Model


def refusals(
    service: Service, model: Model, gpu: Accelerator | None, stack: SoftwareStack, machine: Machine
) -> tuple[Refusal, ...]:
    """Return why this service cannot run on such a machine; empty if it can."""
    engine, found = ENGINES[service.engine], []
    broken = _broken(engine, service, model, gpu, machine)
    if service.engine not in stack.engines:
        where = f" on a {gpu.name}" if gpu else " without a GPU"
        found.append(_refusal(service, model, where, stack.missing, stack.instead))
    found += [_refusal(service, model, _where(rule, gpu), rule.what, rule.hint) for rule in broken]
    if service.engine in stack.engines and not broken and not _reads(engine, model, gpu):
        others = [
            other
            for name in stack.engines
            if not _broken(other := ENGINES[name], service, model, gpu, machine)
            and _reads(other, model, gpu)
        ]
        found.append(_unread(service, model, gpu, stack, others))
    needed, there = engine.glibc, _glibc(machine)
    if needed and there and there < needed:
        found.append(
            Refusal(
                f"Service {service.name}: {service.engine} needs glibc {_dotted(needed)}, and"
                f" {machine.os} {machine.os_version} has {_dotted(there)}",
                "Install Ubuntu 22.04 or newer, or Debian 12 or newer",
            )
        )
    return tuple(found)


def warnings(
    service: Service, model: Model, gpu: Accelerator | None, stack: SoftwareStack, machine: Machine
) -> tuple[str, ...]:
    """Return warnings about known weaknesses and untested combinations."""
    found = [
        f"Service {service.name}: {rule.what}. {rule.hint}"
        for rule in _rules(ENGINES[service.engine], model)
        if rule.verdict == "warn" and _fits(rule, service, model, gpu, machine)
    ]
    if not stack.confirmed:
        found.append(
            f"Service {service.name}: {stack.platform} is planned from documents of {stack.date}"
            " and was not run on such hardware"
        )
    if _glibc(machine) is None:
        found.append(f"{service.engine} is not known to run on {machine.os} {machine.os_version}")
    if model.format == "gguf" and not model.quantization.startswith(_GGUF):
        found.append(
            f"Service {service.name}: nothing is known about {model.quantization} with"
            f" {service.engine}, watch its first start"
        )
    if machine.architecture not in {"x86_64", "aarch64"}:
        found.append(f"{machine.architecture} is not an architecture that engines are built for")
    return tuple(dict.fromkeys(found))


def unknown_gpus(machine: Machine, described: Accelerator | None = None) -> tuple[str, ...]:
    """Return a warning for each kind of accelerator that nobody has described.

    + described: what the profile has, which may be one that is not in the hardware table
    """
    unknown = {gpu.pci_id for gpu in machine.gpus if by_pci_id(gpu.pci_id, described) is None}
    return tuple(
        f"The accelerator {pci_id} is unknown: it is neither in the hardware table nor described in"
        " the profile (gpu=Accelerator(...)), and is left out of the plan"
        for pci_id in sorted(unknown)
    )


# glibc of each release, as its archive has it. Rebuilds of RHEL have what RHEL has.
_SYSTEMS: dict[tuple[str, str], tuple[int, int]] = {
    ("ubuntu", "22.04"): (2, 35),
    ("ubuntu", "24.04"): (2, 39),
    ("debian", "12"): (2, 36),
    ("debian", "13"): (2, 41),
    ("rhel", "8"): (2, 28),
    ("rhel", "9"): (2, 34),
}

# Beginnings of the names that GGUF files have, as llama-quantize and Unsloth write them.
_GGUF = ("F16", "F32", "BF16", "Q", "IQ", "UD-Q", "UD-IQ", "MXFP4", "NVFP4", "TQ", "UD-TQ")
# What an engine without a word for a quantization is best given instead, the first that it reads.
_INSTEAD = ("AWQ", "FP8", "GPTQ", "BF16")

# Networks with DeepSeek sparse attention, by the beginnings of their keys, where the operator's own
# model does not say so itself. Source: vLLM's list of models.
_SPARSE = ("deepseek-v3.2", "deepseek-v3-2", "glm-5")


def _rules(engine: Engine, model: Model) -> tuple[Rule, ...]:
    """Return the rules that an engine, and the format of a model, come under."""
    other = () if model.format in engine.reads.formats else (engine.reads.other,)
    return (*other, *EVERY, *engine.rules)


def _broken(
    engine: Engine, service: Service, model: Model, gpu: Accelerator | None, machine: Machine
) -> list[Rule]:
    """Return the rules that refuse this combination."""
    return [
        rule
        for rule in _rules(engine, model)
        if rule.verdict == "refuse" and _fits(rule, service, model, gpu, machine)
    ]


def _reads(engine: Engine, model: Model, gpu: Accelerator | None) -> bool:
    """Return whether the engine reads such weights, as far as that is recorded."""
    table = engine.reads.quantizations
    if table is None or model.format != "safetensors":
        return model.format in engine.reads.formats
    return (gpu is not None and gpu.vendor != "nvidia") or table.reads(model.quantization, gpu)


def _unread(
    service: Service,
    model: Model,
    gpu: Accelerator | None,
    stack: SoftwareStack,
    others: Sequence[Engine],
) -> Refusal:
    """Return why an engine does not read a quantization, and what would do instead."""
    table = ENGINES[service.engine].reads.quantizations
    assert table is not None
    name = model.quantization
    since = table.since.get(name)
    known = f"{name} ({NAMES[name]})" if name in NAMES else name
    why = table.why or f"version {stack.engines.get(service.engine, '')} does not read {known}"
    if since and gpu:
        why = f"its kernels for {known} need compute capability {since}, and this is {gpu.compute}"
    if others and not table.hint:
        return _refusal(service, model, "", why, f"Serve it with {_any_of(others)}")
    fitting = [each for each in _INSTEAD if table.reads(each, gpu)]
    by_gguf = [each for each in map(ENGINES.get, stack.engines) if each and _takes_gguf(each)]
    hint = f"Choose the {' or '.join(fitting[:2])} variant of the model"
    hint += f", or a GGUF variant for {_any_of(by_gguf)}" if by_gguf else ""
    if name not in NAMES:
        hint = f"Set quantization of the model to what its maker calls it, or: {hint}"
    return _refusal(service, model, "", why, table.hint or hint)


def _takes_gguf(engine: Engine) -> bool:
    return "gguf" in engine.reads.formats


def _any_of(engines: Sequence[Engine]) -> str:
    return " or ".join(engine.title for engine in engines)


def _fits(
    rule: Rule, service: Service, model: Model, gpu: Accelerator | None, machine: Machine
) -> bool:
    by_gpu = bool(rule.generations or rule.computes or rule.beyond)
    return (
        (not rule.formats or model.format in rule.formats)
        and (not rule.quantizations or model.quantization.startswith(rule.quantizations))
        and (not rule.kv_caches or service.kv_cache in rule.kv_caches)
        and (not rule.isas or machine.isa in rule.isas)
        and (not rule.sparse or _is_sparse(model))
        and (not by_gpu or gpu is not None)
        and (not rule.without_cards or gpu is None)
        and (gpu is None or not rule.generations or gpu.generation in rule.generations)
        and (gpu is None or not rule.beyond or gpu.generation not in rule.beyond)
        and (gpu is None or not rule.computes or gpu.compute in rule.computes)
    )


def _is_sparse(model: Model) -> bool:
    return model.network.attention == "sparse-mla" or model.key.startswith(_SPARSE)


def _where(rule: Rule, gpu: Accelerator | None) -> str:
    """Return " on a <GPU>" if the rule depends on the GPU, else ""."""
    by_gpu = rule.generations or rule.computes or rule.beyond
    return f" on a {gpu.name}" if gpu and by_gpu else ""


def _refusal(service: Service, model: Model, where: str, why: str, hint: str) -> Refusal:
    return Refusal(
        f"Service {service.name}: {service.engine} cannot serve {model.key}{where}: {why}", hint
    )


def _glibc(machine: Machine) -> tuple[int, int] | None:
    if machine.os in RHEL_LIKE:
        return _SYSTEMS.get(("rhel", machine.os_version.split(".")[0]))
    return _SYSTEMS.get((machine.os, machine.os_version))


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
