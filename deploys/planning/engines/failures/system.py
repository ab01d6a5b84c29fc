"""Known failures of the system that an engine runs on: folders, libraries, limits, its own end."""

from __future__ import annotations

from deploys.planning.engines.failures.known import known

SYSTEM = (
    known(
        "folders",
        r"Error: \[Errno 30\] Read-only file system: '(?P<path>/[^']*)'",
        "{engine} wants to write {path}, which is on a file system that is read-only: have it"
        " mounted writable, or name another folder where that one is set",
        "Linux, errno 30",
    ),
    known(
        "folders",
        r"Error: \[Errno 28\] No space left on device: '(?P<path>(?!/dev/shm)/[^']*)'",
        "The file system of {path} is full: free some of it (df -h {path}, du -xh)",
        "Linux, errno 28; Python, OSError",
    ),
    known(
        "folders",
        r"Error: \[Errno 13\] Permission denied: '(?P<path>/[^']*)'",
        "{engine} runs as the user modelrack, who may not open {path}: give it that folder and the"
        " way there (namei -l {path} shows both)",
        "Linux, errno 13; Python, OSError",
    ),
    known(
        "folders",
        r"Error: (?:mkdir|open|stat) (?P<path>/\S+): permission denied",
        "{engine} runs as a user of its own, who may not reach {path}: give it that folder and the"
        " way there (namei -l {path} shows both)",
        "Go, os; Ollama, server/modelpath.go",
    ),
    known(
        "folders",
        r"Failed to set up mount namespacing: (?:/run/systemd/unit-root)?(?P<path>/\S+): No such",
        "The unit names {path}, which is not there: mount or create it, or run deploys/full.py,"
        " which creates what is ours",
        "systemd, core/namespace.c",
    ),
    known(
        "libraries",
        r"(?:ImportError|OSError|symbol lookup error): (?P<file>/\S+): undefined symbol:"
        r" (?P<symbol>\w+)",
        "{file} was made for another version of a library than is installed beside it (it lacks"
        " {symbol}): run deploys/full.py, which installs what goes together, and nothing by hand"
        " into that folder",
        "GNU ld.so",
    ),
    known(
        "libraries",
        r"version `(?P<version>(?:GLIBC|GLIBCXX|CXXABI)_[\d.]+)' not found \(required by"
        r" (?P<file>[^)]+)\)",
        "The system is older than {file} was made for (it has no {version}): upgrade it, to Ubuntu"
        " 24.04 or Debian 13 for one, or serve the model with llama.cpp, which is compiled there",
        "GNU ld.so",
    ),
    known(
        "libraries",
        r"(?:while loading shared libraries|ImportError|OSError):"
        r" (?P<library>lib[\w.+-]+\.so[\d.]*): cannot open shared object file",
        "The library {library} is not there: run deploys/full.py, which installs what {engine}"
        " loads; libcuda and libnvidia-ml come with the driver (deploys.stages.nvidia.install)",
        "GNU ld.so",
    ),
    known(
        "folders",
        r"Error: \[Errno 5\] Input/output error(?:: '(?P<path>[^']*)')?",
        "A disk can no longer be read or written (an input/output error): read dmesg -T | grep -iE"
        " 'i/o error|nvme|ata', and replace it before anything is served from it",
        "Linux, errno 5",
    ),
    known(
        "libraries",
        r"ImportError: cannot import name '(?P<name>[^']+)' from '(?P<module>[^']+)'",
        "The Python packages of {engine} do not go together ({module} has no {name}): run"
        " deploys/full.py, which installs what its lock names, and nothing by hand into that"
        " folder",
        "Python, importlib",
    ),
    known(
        "libraries",
        r"ModuleNotFoundError: No module named '(?P<module>[^']+)'",
        "The Python package {module} is not in the environment of {engine}: run deploys/full.py,"
        " which installs what its lock names",
        "Python, importlib",
    ),
    known(
        "process",
        r"code=killed, status=9/KILL",
        "It was killed from outside, as the kernel does when memory is short: dmesg -T | grep -i"
        " oom shows it; stop what else uses the host's memory, or set a smaller context or"
        " parallel",
        "systemd, core/service.c",
    ),
    known(
        "process",
        r"status=4/ILL|Illegal instruction",
        "{engine} has come to an instruction that this CPU does not execute, as packages do that"
        " are compiled for newer ones: compare what it asks for with the flags in /proc/cpuinfo"
        " (AVX2, AVX-512, AMX), or serve the model with llama.cpp, which is compiled there",
        "systemd and the shell, on SIGILL",
    ),
    known(
        "process",
        r"status=7/BUS",
        "{engine} has lost what stands behind its memory: a file that was cut short or cannot be"
        " read, or shared memory that is full: look at df -h /dev/shm and dmesg -T, and run"
        " deploys.stages.weights.fetch, which proves the weights",
        "systemd, on SIGBUS",
    ),
    known(
        "process",
        r"status=203/EXEC",
        "The program of the unit is not there or cannot be started: run deploys/full.py, which"
        " installs it anew",
        "systemd, exit-status.h",
    ),
    known(
        "process",
        r"Errno 24\] Too many open files|too many open files$",
        "{engine} has more files open than it may: look at systemctl show -p LimitNOFILE of its"
        " unit, which has a million, for what has lowered it",
        "Linux, errno 24",
    ),
    known(
        "process",
        r"can't start new thread|pthread_create failed",
        "The system gives {engine} no more threads: look at sysctl kernel.threads-max"
        " kernel.pid_max, and in a container at its limit of processes (pids.max)",
        "Python, thread; OpenBLAS; Linux, EAGAIN of clone",
    ),
)
