"""Compile modules of FlashInfer inside an environment, and pack them for machines of its kind.

    modelrack.pyz kernels SPEC.json

    {"environment": its folder, "modules": ["sampling", ...], "compute": "9.0", "work": folder for
     the compiler's files, "pack": path of the .tar.gz}

FlashInfer comes as source, compiles a module when it is first needed, and looks before that whether
the package itself has it compiled. The pack holds them with their paths in the environment; nothing
is written there. The compiler's files are kept until then: what was killed resumes where it was. No
card is needed, but the driver's library, against which they are linked.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from .build import belongs_to_root

# Prints, for each module, the library that was made and the path that it is looked for at.
_PROGRAM = """
import json, sys
from importlib import import_module
from flashinfer.jit import env
made = {}
for name in sys.argv[1:]:
    module = getattr(import_module(f"flashinfer.jit.{name}"), f"gen_{name}_module")()
    module.build()
    made[str(module.jit_library_path)] = str(env.FLASHINFER_AOT_DIR / name / f"{name}.so")
print(json.dumps(made))
"""


def main(argv: list[str]) -> int:
    spec: dict[str, Any] = json.loads(Path(argv[0]).read_text())
    environment = Path(spec["environment"])
    try:
        _pack(_compiled(spec, environment), environment, Path(spec["pack"]))
    except subprocess.CalledProcessError as error:
        named = ", ".join(spec["modules"])
        said = f"FlashInfer's {named} did not compile, see the lines above"
        print(f"{said} (exit code {error.returncode})", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"the kernels were not packed: {error}", file=sys.stderr)
        return 1
    shutil.rmtree(spec["work"], ignore_errors=True)
    return 0


def _compiled(spec: dict[str, Any], environment: Path) -> dict[str, str]:
    settings = {
        "CUDA_HOME": str(environment / "cuda"),
        "FLASHINFER_CUDA_ARCH_LIST": spec["compute"],
        "FLASHINFER_WORKSPACE_BASE": spec["work"],
        # ninja is in it.
        "PATH": f"{environment / 'bin'}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        [str(environment / "bin/python"), "-c", _PROGRAM, *spec["modules"]],
        env={**os.environ, **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    made: dict[str, str] = json.loads(done.stdout.strip().rpartition("\n")[2])
    return made


def _pack(made: dict[str, str], environment: Path, pack: Path) -> None:
    arriving = pack.with_name(f"{pack.name}.arriving")
    with tarfile.open(arriving, "w:gz", compresslevel=6) as archive:
        for library, place in made.items():
            within = Path(place).relative_to(environment.resolve())
            archive.add(library, arcname=str(within), filter=belongs_to_root)
    arriving.rename(pack)
