"""The folder of a CUDA toolkit, made of links into packages that bring one in parts."""

from __future__ import annotations

from pathlib import Path

from deploys.remote.install import cuda_home

PARTS = "lib/python3.12/site-packages/nvidia/cu13"
FILES = (
    "bin/nvcc",
    "include/cuda.h",
    "nvvm/bin/cicc",
    "lib/libcudart.so.13",
    "lib/libnvrtc-builtins.so.13.0",
    "lib/libcudart_static.a",
    "lib/libcheckpoint.so",
)


def environment(folder: Path) -> Path:
    for name in FILES:
        path = folder / PARTS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def test_it_is_laid_out_as_the_installer_does(tmp_path: Path) -> None:
    home = environment(tmp_path / "made") / "cuda"
    cuda_home.make(home.parent)
    # Links are relative: the folder may have been moved.
    moved = home.parent.rename(tmp_path / "moved") / "cuda"
    for name in FILES:
        assert (moved / name.replace("lib/", "lib64/", 1)).read_text() == name
    assert (moved / "lib64/libcudart.so").read_text() == "lib/libcudart.so.13"
    assert (moved / "lib64/libnvrtc-builtins.so").read_text() == "lib/libnvrtc-builtins.so.13.0"
    assert not (moved / "lib64/libcudart_static.a.so").exists()


def test_the_linker_is_sent_to_the_drivers_library(tmp_path: Path) -> None:
    cuda_home.make(environment(tmp_path))
    assert (tmp_path / "cuda/lib64/stubs/libcuda.so").read_text() == "INPUT ( -l:libcuda.so.1 )\n"
