"""What a lock has of a CUDA toolkit compiles, laid out as an environment has it; without a GPU."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import uv

from deploys.control import locks
from deploys.remote.install import cuda_home
from tests.lab.process import run
from tests.lab.surroundings import variables

PARTS = ("cccl", "crt", "nvcc", "runtime")
# Includes that FlashInfer's kernels have, too: they compare the headers with the compiler.
KERNEL = """
#include <cooperative_groups.h>
#include <cub/cub.cuh>
#include <cuda.h>
__global__ void kernel(float *sums) {
    __shared__ cub::BlockReduce<float, 64>::TempStorage room;
    float sum = cub::BlockReduce<float, 64>(room).Sum(threadIdx.x);
    cooperative_groups::this_grid().sync();
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}
extern "C" int run(float *sums) {
    kernel<<<1, 64>>>(sums);
    return cuInit(0) + cudaDeviceSynchronize();
}
"""


@pytest.fixture(scope="module", params=["vllm-cuda13", "sglang-cuda13"])
def toolkit(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its packages of that lock, by their hashes, without the gigabytes of the others."""
    folder = tmp_path_factory.mktemp("toolkit")
    entries = re.split(r"\n(?=\S)", locks.requirements(request.param))
    names = (*(f"nvidia-cuda-{part}==" for part in PARTS), "nvidia-nvvm==")
    (folder / "lock.txt").write_text("\n".join(each for each in entries if each.startswith(names)))
    environment = folder / "made"
    for command in (
        ["venv", str(environment)],
        [
            *("pip", "install", "--require-hashes", "--no-deps", "--python", str(environment)),
            *("--requirements", str(folder / "lock.txt")),
        ],
    ):
        run([uv.find_uv_bin(), "--quiet", *command], env={**os.environ, **variables()})
    cuda_home.make(environment)
    return environment / "cuda"


def test_a_kernel_is_compiled_and_linked(toolkit: Path, tmp_path: Path) -> None:
    (tmp_path / "kernel.cu").write_text(KERNEL)
    nvcc = [str(toolkit / "bin/nvcc"), "-std=c++17", "-Xcompiler", "-fPIC"]
    run([*nvcc, "-gencode=arch=compute_90a,code=sm_90a", "-c", "kernel.cu"], cwd=tmp_path)
    # In the place of the driver, of which this computer has none.
    (tmp_path / "driver.c").write_text("int cuInit(unsigned flags) { return (int)flags; }\n")
    stand_in = ("-Wl,-soname,libcuda.so.1", "driver.c", "-o", "libcuda.so.1")
    run(["cc", "-shared", *stand_in], cwd=tmp_path)
    folders = (f"-L{toolkit}/lib64", f"-L{toolkit}/lib64/stubs", f"-L{tmp_path}")
    run(["c++", "kernel.o", "-shared", *folders, "-lcudart", "-lcuda", "-o", "it.so"], cwd=tmp_path)
    needed = run(["readelf", "--dynamic", "it.so"], cwd=tmp_path)
    assert "[libcudart.so.13]" in needed and "[libcuda.so.1]" in needed
