"""What every service of a machine is given: cards, parallelism, context, offload; and why.

deal.py gives cards to services, by filling.py (vLLM, SGLang) and layering.py (llama.cpp and what is
built on it); choice.py is what comes out.
"""
