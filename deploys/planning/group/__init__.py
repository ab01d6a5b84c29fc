"""One model over several machines: which they are, what each of them holds, and how they talk."""
