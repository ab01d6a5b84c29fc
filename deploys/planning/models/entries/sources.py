"""Where the figures of the entries come from; each shape is that of the vendor's config.json."""

from __future__ import annotations

BY_WIDTH = "shape: config.json; size: parameters by width"
SUMMED = "shape: config.json; size: parameters by width, with the MTP layer and images"
Q4_BITS = "shape: config.json; size: estimate, 4.85 bits a weight"
AWQ_BITS = "shape: config.json; size: estimate, 4.25 bits a weight, embeddings and head in 16"
FP8_BITS = "shape: config.json; size: estimate, 8 bits a weight, embeddings, head and images in 16"
DYNAMIC = "shape: config.json; size: Unsloth's table of dynamic quantizations, which counts in GiB"
AS_R1 = "shape: config.json; size: as DeepSeek-R1"
# Read in public repositories that quote the hubs.
QUOTED = "shape: config.json; size: as quoted with its sha256"
HEADERS = "shape: config.json; size: sum of the shards' headers"
INDEX = "shape: config.json; size: index"
FILES = "shape: config.json; size: sum of the files, in GiB with two decimals"
LISTED = "shape: config.json; size: sum of a listing of the shards, with one decimal"
RECIPE = "shape: config.json; size: bytes on disk by vLLM's recipe"
