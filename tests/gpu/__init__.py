"""What llama.cpp really takes of a GPU, to hold the memory ledger against it.

On a machine with NVIDIA GPUs, their CUDA toolkit, cmake, ninja and Python 3.10 (nothing else of
ours), from the project's folder:

    python -m tests.gpu build llama.cpp.tar.gz /tmp/llama --architecture 90
    python -m tests.gpu run --server /tmp/llama/build/bin/llama-server --folder /dev/shm/models \
        --logs /tmp/logs --output tests/gpu/results/h200-llama.cpp.json

The archive is what tests/lab/llama_cpp_source.py makes. The models are written on the spot from
random bytes, one at a time, so `--folder` needs room for the largest: 93 GB, or with `--models`
that of the largest named. A case that does not fit is reported and left out. About four minutes on
an H200 once it is built, which takes as long again on 16 cores.

The whole way to a service of such a model, as root on a Debian or Ubuntu machine with driver and
toolkit: `deploys/full.py` twice, then tests/machine, with the lab's stand-ins for what it fetches:

    python -m tests.gpu.deploy --model qwen2.5-32b-q4_k_m --output deploy.json
    python -m tests.gpu.deploy --engine vllm --model deepseek-r1-distill-qwen-32b-awq \
        --output deploy.json

After the two runs and tests/machine the service says what its weights hold and is measured; each of
its processes is killed, and it is started again, which has to be as fast as its kernels are kept; a
last run finds nothing to change. After a reboot of the machine, the same with `--rebooted` waits
until the service answers, and adds that. `--last speed` ends after that step.
The journal is beside the result. With `qwen3-tiny` or `qwen2.5-tiny-awq` all of this runs without a
card, too. Wheels of Python engines are taken from /srv/wheels where there is such a folder.

Where GPUs can only be had without systemd or a network, `python -m tests.gpu.pack machine.tar.xz`
makes such a machine, and `tests/gpu/boot machine.tar.xz` starts it there and says how to go on.
These two need the whole environment of `make setup`.

How fast that service is, is measured on the same machine:

    python -m tests.gpu speed --settings /etc/modelrack/services/<service>.env \
        --programs /opt/modelrack/engines/llama.cpp/current/bin --output speed.json

What the time of a token goes into there, kernel by kernel, is counted by NVIDIA's profiler, `ncu`:

    python -m tests.gpu kernels --programs /opt/modelrack/engines/llama.cpp/current/bin \
        --model /data/models/<model>/<file>.gguf --output kernels.json

vLLM makes its weights up itself, so it needs neither disk nor deploy: any environment that has it,
and beside it PyYAML, Jinja2 and this folder. About four minutes for each network and way:

    python -m tests.gpu vllm --python /opt/vllm/bin/python --folder /tmp/vllm --output vllm.json \
        --networks qwen2.5-32b-awq --ways how-to balanced

tests/unit/gpu/test_results.py, test_gpu_speed.py and test_gpu_vllm_speed.py read what is in
results/. The result of 2xh100 is of three cases, in which layers are dealt to two cards. Those of
2xh200 are of two servers at the same time, each with a card and eight cores of its own.
"""
