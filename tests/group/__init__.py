"""One model over two machines, by vLLM: python -m tests group. A start costs minutes of both."""
