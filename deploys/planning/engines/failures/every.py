"""Known failures of every engine."""

from __future__ import annotations

from deploys.planning.engines.failures.known import DRIVER, FETCH, known

EVERY = (
    known(
        "port",
        r"couldn't bind HTTP server socket|[Aa]ddress already in use",
        "Another process has port {port}: stop it (ss -ltnp 'sport = :{port}' names it), or give"
        " the service another port",
        "llama.cpp, tools/server/server-http.cpp; asyncio and uvicorn, errno 98; Go, net.Listen",
    ),
    known(
        "files",
        r"^(?P<problem>.+): run weights fetch again",
        "The weights are not what was fetched ({problem}): " + FETCH,
        "deploys/remote, weights prove, before each start",
    ),
    known(
        "context",
        r"a request may take (?P<most>\d+) tokens instead of (?P<wanted>\d+)",
        "The server gives a request {most} tokens: set context={most} or less for the service",
        "deploys/remote/services/units.py",
    ),
    known(
        "host memory",
        r"killed by the OOM killer|Failed with result 'oom-kill'"
        r"|unable to allocate CPU buffer|failed to allocate CPU buffer"
        r"|DefaultCPUAllocator: can't allocate memory",
        "The host's memory is not enough: stop what else uses it (top), set a smaller context or"
        " parallel for the service, or serve a smaller quantization of the model",
        "systemd, core/unit.c; llama.cpp, src/llama-model.cpp; PyTorch, alloc_cpu.cpp",
    ),
    known(
        "GPU",
        r"CUDA driver version is insufficient|NVIDIA driver on your system is too old"
        r"|nvidia driver is too old",
        "The GPU's driver is older than the CUDA of {engine}: " + DRIVER + ", which brings the"
        " one that goes with it",
        "CUDA runtime, error 35; PyTorch, torch/csrc/cuda; Ollama, discover/gpu.go",
    ),
    known(
        "GPU",
        r"no kernel image is available|device kernel image is invalid",
        "{engine} has no code for this kind of GPU: choose an engine of its software stack in"
        " deploys/planning/hardware/software_stacks.py; llama.cpp is compiled for the GPUs of the"
        " profile",
        "CUDA runtime, errors 209 and 200",
    ),
    known(
        "GPU",
        r"system not yet initialized",
        "The GPUs wait for the fabric manager of their NVSwitch: " + DRIVER + ", and look at"
        " journalctl -u nvidia-fabricmanager",
        "CUDA runtime, error 802",
    ),
    known(
        "GPU",
        r"no CUDA-capable device is detected|No CUDA GPUs are available",
        "{engine} sees no GPU: check whether nvidia-smi does, and " + DRIVER,
        "CUDA runtime, error 100; PyTorch, torch/cuda",
    ),
    known(
        "settings",
        r"error: (invalid argument|unrecognized arguments): (?P<option>.+)"
        r"|environment variable \"(?P<variable>\w+)\"",
        "The installed {engine} does not take a setting that it was given: run"
        " deploys/full.py, which installs the pinned version and writes its settings anew",
        "llama.cpp, common/arg.cpp; Python, argparse",
    ),
    known(
        "settings",
        r"chat template is not supported|failed to initialize chat template"
        r"|default chat template is no longer allowed|TemplateSyntaxError|TemplateError",
        "The chat template that comes with the model is missing or broken: choose another"
        " repository or revision of the model, or another variant from"
        " deploys/planning/models/catalogue.py",
        "llama.cpp, common/chat.cpp; transformers, as quoted by vLLM 0.33, renderers/hf.py",
    ),
    known(
        "process",
        r"code=killed, status=9/KILL",
        "It was killed from outside, as the kernel does when memory is short: dmesg -T | grep -i"
        " oom tells; stop what else uses the host's memory, or set a smaller context or parallel",
        "systemd, core/service.c",
    ),
    known(
        "process",
        r"status=4/ILL|Illegal instruction",
        "{engine} was compiled for another CPU: remove its folder under /opt/modelrack/engines and"
        " the packed build on your computer, and run deploys/full.py",
        "systemd, on SIGILL",
    ),
)
