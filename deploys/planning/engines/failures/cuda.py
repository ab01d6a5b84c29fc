"""Known failures of the cards and their driver, as CUDA and its libraries tell them."""

from __future__ import annotations

from deploys.planning.engines.failures.known import DRIVER, OTHER_USER, known

_KERNEL_LOG = "dmesg -T | grep -iE 'nvrm|xid'"

CUDA = (
    known(
        "GPU",
        r"CUDA driver version is insufficient|NVIDIA driver on your system is too old"
        r"|nvidia driver is too old|PTX was compiled with an unsupported toolchain",
        "The GPU's driver is older than the CUDA of {engine}: " + DRIVER + ", which brings the"
        " one that goes with it",
        "CUDA runtime, errors 35 and 222; PyTorch, torch/csrc/cuda; Ollama, discover/gpu.go",
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
        r"no CUDA-capable device is detected|No CUDA GPUs are available"
        r"|Failed to infer device type",
        "{engine} sees no GPU: check whether nvidia-smi does, and " + DRIVER,
        "CUDA runtime, error 100; PyTorch, torch/cuda; vLLM 0.32, config/device.py",
    ),
    known(
        "GPU",
        r"uncorrectable ECC error",
        "The memory of a GPU is broken (an uncorrectable ECC error): look at nvidia-smi -q -d"
        " ECC,ROW_REMAPPER, reboot the machine, and have the card exchanged if it comes back",
        "CUDA runtime, error 214",
    ),
    known(
        "GPU",
        r"GPU is lost|GPU has fallen off the bus|ERROR_GPU_IS_LOST",
        "A GPU does not answer any more: read " + _KERNEL_LOG + ", power the machine off and on,"
        " and have the card checked if it happens again",
        "NVML; NVIDIA's kernel module, nv.c",
    ),
    known(
        "GPU",
        r"devices?\(?s?\)? is/are busy or unavailable|device busy or unavailable",
        "A GPU takes no further program: " + OTHER_USER + ", or let it take several with"
        " nvidia-smi -c DEFAULT",
        "CUDA runtime, error 46",
    ),
    known(
        "GPU",
        r"invalid device ordinal",
        "{engine} was given the number of a GPU that is not there: look which ones nvidia-smi"
        " shows, and run deploys/full.py, which counts them anew",
        "CUDA runtime, error 101",
    ),
    known(
        "GPU",
        r"an illegal memory access was encountered|misaligned address"
        r"|an illegal instruction was encountered|unspecified launch failure",
        "A kernel of {engine} has failed on a GPU, by a fault of its own or of the card: read "
        + _KERNEL_LOG
        + "; if other models fail there as well, have the card checked, else serve this one with"
        " another engine or in another quantization",
        "CUDA runtime, errors 700, 715, 716 and 719",
    ),
    known(
        "GPU",
        r"cuda driver library init failure: 999|failed to initialize CUDA: unknown error"
        r"|CUDA unknown error",
        "CUDA does not start (error 999), as where the module nvidia_uvm is not loaded: try"
        " modprobe nvidia_uvm, and "
        + DRIVER
        + ", which has it loaded at each boot; read "
        + _KERNEL_LOG
        + " if that is not it",
        "CUDA driver, error 999; Ollama, discover/gpu.go; llama.cpp, ggml-cuda.cu; PyTorch",
    ),
    known(
        "GPU",
        r"unsupported display driver / cuda driver combination"
        r"|forward compatibility was attempted on non supported HW"
        r"|RM has detected an NVML/RM version mismatch|[Dd]river/library version mismatch",
        "The driver that is loaded and the libraries of it that programs find are of two versions:"
        " reboot the machine, and if that does not help " + DRIVER,
        "CUDA runtime, errors 803 and 804; NVML, error 18",
    ),
)
