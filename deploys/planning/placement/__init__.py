"""The placement of every service on a machine: cards, parallelism, context, offload; with reasons.

allocate.py assigns cards to services, through sharded.py (vLLM, SGLang), cpu.py (vLLM without
cards) and layer_offload.py (llama.cpp and engines built on it); choice.py holds the result.
"""
