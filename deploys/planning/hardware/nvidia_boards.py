"""NVIDIA's boards, a row each; gpus.py makes accelerators of them.

Memory in MiB, bandwidth and NVLink in GB/s. "smi" is the total that nvidia-smi prints; where driver
versions differ, the smallest of those that any software stack may have. Boards in PCIe form are
entries of their own: they have no NVSwitch, so no fabric manager, and an NVLink bridge is an option
that the PCI id does not show. Boards with more memory than their PCI id usually has (behind a dash)
share it, and come after the usual one.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

BoardLink = Literal["nvswitch", "nvlink-pair", "pcie"]


class Board(NamedTuple):
    """One kind of board.

    + pci_ids: devices, in lower case hex, with spaces between
    + source: of its memory
    + shares_host: its memory is the host's
    """

    name: str
    pci_ids: str
    mebibytes: int
    compute: str
    bandwidth: int
    link: BoardLink
    source: str
    nvlink: int | None = None
    shares_host: bool = False


BOARDS = (
    Board("V100", "1db5 1db6", 32510, "7.0", 900, "pcie", "smi; NVLink on SXM2 only"),
    Board("V100-16", "1db1 1db4 1df5", 16130, "7.0", 900, "pcie", "smi; NVLink on SXM2 only"),
    Board("V100S", "1df6", 32510, "7.0", 1134, "pcie", "smi of the V100"),
    Board("RTX 2080 Ti", "1e04 1e07", 11264, "7.5", 616, "pcie", "smi"),
    Board("RTX 2080 Ti-22", "1e04 1e07", 22528, "7.5", 616, "pcie", "smi of rebuilt boards"),
    Board("T4", "1eb8", 15360, "7.5", 320, "pcie", "smi with ECC on"),
    Board("GTX 1650", "1f82 1f0a 2188", 4096, "7.5", 128, "pcie", "smi; the slowest, GDDR5"),
    Board("A100", "20b2", 81251, "8.0", 2039, "nvswitch", "smi; SXM4 80 GB", 600),
    Board("A100-40", "20b0", 40536, "8.0", 1555, "nvswitch", "smi; SXM4 40 GB", 600),
    Board("A100 PCIe", "20b5", 81251, "8.0", 1935, "pcie", "smi of the SXM4 board"),
    Board("A100 PCIe-40", "20b1 20f1", 40536, "8.0", 1555, "pcie", "smi; 40 GB"),
    Board("A800", "20f3", 81251, "8.0", 2039, "nvswitch", "smi; SXM4 80 GB", 400),
    Board("A800-40", "20bd", 40536, "8.0", 1555, "nvswitch", "smi of the A100-40", 400),
    Board("A800 PCIe", "20f5", 81251, "8.0", 1935, "pcie", "smi of the SXM4 board"),
    Board("A800 PCIe-40", "20f6", 40536, "8.0", 1555, "pcie", "smi of the A100-40"),
    Board("A30", "20b7", 24258, "8.0", 933, "pcie", "smi"),
    Board("RTX 3090 Ti", "2203", 24564, "8.6", 1008, "pcie", "smi of the 4090"),
    Board("RTX 3090", "2204", 24576, "8.6", 936, "nvlink-pair", "recorded smi", 112),
    Board("RTX 3080 Ti", "2208", 12288, "8.6", 912, "pcie", "nominal"),
    Board("RTX 3080", "2206 2216", 10240, "8.6", 760, "pcie", "nominal"),
    Board("RTX 3080-12", "220a", 12288, "8.6", 912, "pcie", "nominal"),
    Board("RTX 3070 Ti", "2207 2482", 8192, "8.6", 608, "pcie", "nominal"),
    Board("RTX 3070", "2484 2488", 8192, "8.6", 448, "pcie", "nominal"),
    Board("RTX 3060 Ti", "2414 2486 2489 24c9", 8192, "8.6", 448, "pcie", "nominal"),
    Board("RTX 3060", "2487 2503 2504 2509 2544", 12288, "8.6", 360, "pcie", "smi; 12 GB"),
    Board("RTX A6000", "2230", 49140, "8.6", 768, "nvlink-pair", "smi", 112),
    Board("RTX A5000", "2231", 24564, "8.6", 768, "pcie", "smi of the 4090"),
    Board("RTX A4000", "24b0", 16376, "8.6", 448, "pcie", "smi"),
    Board("A40", "2235", 45634, "8.6", 696, "pcie", "smi with ECC on"),
    Board("A10", "2236", 22731, "8.6", 600, "pcie", "smi with ECC on"),
    Board("A10G", "2237", 22731, "8.6", 600, "pcie", "smi of the A10"),
    Board("RTX 4090", "2684", 24564, "8.9", 1008, "pcie", "recorded smi; some have 48 GB"),
    Board("RTX 4090-48", "2684", 49140, "8.9", 1008, "pcie", "smi of rebuilt boards"),
    Board("RTX 4090 D", "2685", 24564, "8.9", 1008, "pcie", "smi of the 4090; some have 48 GB"),
    Board("RTX 4090 D-48", "2685", 49140, "8.9", 1008, "pcie", "smi of rebuilt 4090"),
    Board("RTX 6000 Ada", "26b1", 49140, "8.9", 960, "pcie", "smi"),
    Board("RTX 5880 Ada", "26b3", 49140, "8.9", 960, "pcie", "smi of the RTX 6000 Ada"),
    Board("L4", "27b8", 23034, "8.9", 300, "pcie", "smi with ECC on"),
    Board("L20", "26ba 26b7", 46068, "8.9", 864, "pcie", "smi with ECC on"),
    Board("L40", "26b5", 46068, "8.9", 864, "pcie", "smi of the L40S"),
    Board("L40S", "26b9", 46068, "8.9", 864, "pcie", "smi with ECC on"),
    Board("H20", "2329", 97871, "9.0", 4000, "nvswitch", "smi; 96 GB", 900),
    Board("H20-141", "232c", 143771, "9.0", 4800, "nvswitch", "smi of the H20-3e", 900),
    Board("H100", "2330", 81559, "9.0", 3350, "nvswitch", "smi of the H800; SXM5 80 GB", 900),
    Board("H100 PCIe", "2331", 81559, "9.0", 2000, "pcie", "smi of the H800"),
    Board("H100 NVL", "2321", 95830, "9.0", 3900, "pcie", "smi; 94 GB"),
    Board("H800", "2324", 81559, "9.0", 3350, "nvswitch", "recorded smi; SXM5 80 GB", 400),
    Board("H800 PCIe", "2322", 81559, "9.0", 2000, "pcie", "smi of the SXM5 board"),
    Board("H800 NVL", "233a", 95830, "9.0", 3900, "pcie", "smi of the H100 NVL"),
    Board("H200", "2335", 143771, "9.0", 4800, "nvswitch", "recorded smi; SXM5", 900),
    Board("H200 NVL", "233b", 143771, "9.0", 4800, "pcie", "smi"),
    Board("GH200", "2342", 97871, "9.0", 4000, "pcie", "smi of the H20; 96 GB"),
    Board("GH200-144", "2348", 146831, "9.0", 4900, "pcie", "smi; 144 GB"),
    Board("RTX 5090", "2b85", 32607, "12.0", 1792, "pcie", "smi"),
    Board("RTX 5090 D", "2b87", 32607, "12.0", 1792, "pcie", "smi of the 5090"),
    Board("RTX 5090 D v2", "2b8c", 24576, "12.0", 1344, "pcie", "nominal"),
    Board("RTX 5080", "2c02", 16303, "12.0", 960, "pcie", "smi"),
    Board("RTX PRO 6000", "2bb1 2bb4", 97887, "12.0", 1792, "pcie", "smi; workstations"),
    Board("RTX PRO 6000 Server", "2bb5", 97887, "12.0", 1597, "pcie", "smi"),
    Board("RTX PRO 5000", "2bb3", 48935, "12.0", 1344, "pcie", "smi; some have 72 GB"),
    Board("RTX PRO 5000-72", "2bb3", 73415, "12.0", 1344, "pcie", "smi"),
    Board("GB10", "2e12", 122_070, "12.1", 273, "pcie", "nominal", shares_host=True),
    Board("B200", "2901", 183359, "10.0", 8000, "nvswitch", "smi", 1800),
    Board("B300", "3182", 275040, "10.3", 8000, "nvswitch", "smi; SXM6", 1800),
)
