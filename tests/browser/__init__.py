"""The chat page in a browser, on real machines of the lab: `python -m tests browser`.

Not part of `make test`: Chromium is most of a gigabyte, and several versions of the page are
installed. Pictures of each step are written to build/browser/, to be looked at.
"""
