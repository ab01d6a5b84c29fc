"""The file that node exporter reads: errors of the kernel's log, disks, certificates."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from deploys.remote.monitoring import write
from deploys.remote.monitoring.exposition import Sample, text
from deploys.remote.monitoring.kernel_errors import KernelErrors

XID = "4,{number},{time},-;NVRM: Xid (PCI:0000:17:00): {xid}, pid='<unknown>', name=x, gone\n"


def test_the_last_error_of_each_number_is_told_by_its_time(tmp_path: Path) -> None:
    log = tmp_path / "kmsg"
    log.write_text("6,1,5,-;Linux\n" + XID.format(number=2, time=1_000_000, xid=79))
    errors = KernelErrors(log)
    (first,) = errors.samples()
    assert first.labels == {"address": "0000:17:00.0", "xid": "79"}
    up = float(Path("/proc/uptime").read_text().split()[0])
    assert first.value == pytest.approx(time.time() - up + 1, abs=5)
    # The kernel overwrites its log; what was seen stays.
    log.write_text(XID.format(number=3, time=int(up * 1e6), xid=13))
    found = {sample.labels["xid"]: sample.value for sample in errors.samples()}
    assert found["79"] == first.value
    assert found["13"] == pytest.approx(time.time(), abs=60)


def test_samples_of_a_name_stand_together_and_labels_are_escaped() -> None:
    samples = [Sample("b", 1, x='a"\\\n'), Sample("c", 2), Sample("b", 0.5, x="d")]
    assert text(samples).splitlines() == [
        "# TYPE b gauge",
        r'b{x="a\"\\\n"} 1',
        'b{x="d"} 0.5',
        "# TYPE c gauge",
        "c{} 2",
    ]


def settings(tmp_path: Path, **fields: Any) -> dict[str, Any]:
    return {
        **{"file": str(tmp_path / "machine.prom"), "interval": 0.01, "vendor": None, "cards": []},
        **{"models": str(tmp_path), "certificates": [], **fields},
    }


def test_disk_and_certificate_are_told(tmp_path: Path) -> None:
    pem = tmp_path / "gateway.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
    made = [*command.split(), "-subj", "/CN=x", "-keyout", str(pem), "-out", str(tmp_path / "c")]
    subprocess.run(made, check=True, capture_output=True)
    pem.write_text((tmp_path / "c").read_text() + pem.read_text())
    asked = settings(tmp_path, certificates=[str(pem), str(tmp_path / "missing")])
    stop = threading.Event()
    writer = threading.Thread(target=write.run, args=(asked, stop))
    writer.start()
    file = tmp_path / "machine.prom"
    deadline = time.monotonic() + 60
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    stop.set()
    writer.join()
    found = dict(line.rsplit(" ", 1) for line in file.read_text().splitlines() if line[0] != "#")
    begin, end = (
        float(found[f'modelrack_certificate_{which}_timestamp_seconds{{path="{pem}"}}'])
        for which in ("begin", "end")
    )
    assert end - begin == pytest.approx(30 * 86400, abs=5)
    assert not any("missing" in name for name in found)
    free, size = (float(found[f"modelrack_models_disk_{w}_bytes{{}}"]) for w in ("free", "size"))
    assert 0 < free < size


def test_what_cannot_be_read_leaves_the_rest(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    asked = settings(tmp_path, models=str(tmp_path / "gone"))
    found = [*write.samples(asked, write.Cards(None, []), KernelErrors(tmp_path / "no"))]
    assert found == []
