"""Known failures of every engine."""

from __future__ import annotations

from deploys.planning.engines.failures.cuda import CUDA
from deploys.planning.engines.failures.known import FETCH, TAKEN, known
from deploys.planning.engines.failures.system import SYSTEM

# How programs say which address they wanted: uvicorn, Go.
_WANTED = r"bind on address \('[^']*', |listen tcp \S*:"

EVERY = (
    known(
        "port",
        r"couldn't bind HTTP server socket.* port: (?P<port>\d+)",
        TAKEN,
        "llama.cpp, tools/server/server-http.cpp",
    ),
    known(
        "port",
        rf"(?:{_WANTED})(?P<port>\d+)\b.*address already in use",
        TAKEN,
        "asyncio and uvicorn, errno 98; Go, net.Listen",
    ),
    known(
        "port",
        rf"^(?=.*(?:in use|EADDRINUSE)).*(?:{_WANTED}|in use \(addr='tcp://\S*:"
        r"|failed to listen on any local network address\. port: )(?P<other>\d+)\b",
        "Another process has port {other}, which {engine} wants beside the service's own ({port}),"
        " for its parts to talk to each other: stop it (ss -ltnp 'sport = :{other}' names it), and"
        " start the service again",
        "ZeroMQ; PyTorch, TCPStore; SGLang's and Ollama's own ports",
    ),
    known(
        "port",
        r"\[Errno 98\] Address already in use$",
        "A port that {engine} wants is taken: ss -ltnp names who has which; the service's own is"
        " {port}",
        "Python, socket",
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
        " deploys/planning/models/entries",
        "llama.cpp, common/chat.cpp; transformers, as quoted by vLLM 0.33, renderers/hf.py",
    ),
    *CUDA,
    *SYSTEM,
)
