"""A machine that is accepted, and is not with any of ten faults: each for its own reason.

The tests are one story: each takes its fault away again, and the last one accepts the machine anew.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.machine import HARDWARE_OF_IT, UNIT, AcceptedMachine
from tests.e2e.rack import read_until
from tests.lab.hardware import change, xid
from tests.lab.tiny_model import TEMPLATE, TinyModel

SETTINGS = "/etc/modelrack/services/tiny.env"
DROP_IN = f"/etc/systemd/system/{UNIT}.service.d"
SECOND = HARDWARE_OF_IT.boards[1].address
GATEWAY = "modelrack-gateway"
CARD = rf"GPU 1 \({SECOND}\)"


@contextmanager
def changed_settings(accepted: AcceptedMachine, edit: str) -> Iterator[None]:
    """The service with other settings than were deployed, as who edits them by hand has it."""
    accepted.machine.ssh(f"cp -p {SETTINGS} /var/tmp/tiny.env; {edit}")
    accepted.restart()
    yield
    accepted.machine.ssh(f"cp -p /var/tmp/tiny.env {SETTINGS}")
    accepted.restart()


@pytest.fixture(scope="module")
def reference(accepted: AcceptedMachine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the machine without a fault."""
    kept = tmp_path_factory.mktemp("reference") / "report.json"
    kept.write_text((accepted.reports / f"{accepted.machine.name}.json").read_text())
    return kept


def says(failures: list[str], pattern: str) -> None:
    assert any(re.search(pattern, each) for each in failures), failures


def test_without_a_fault_it_is_accepted(accepted: AcceptedMachine) -> None:
    done = accepted.accept()
    assert done.code == 0, done.output
    assert "quickly looked at, all is well" in done.output
    report = accepted.report
    assert report["accepted"] and report["quick"]
    assert [card["serial"] for card in report["cards"]] != [None, None]
    passed = {check["name"] for check in report["checks"] if check["result"] == "passed"}
    assert {
        *("deployed", "disk read", "count", "link width", "clock", "ecc", "xid", "weights"),
        *("quantization", "template", "answers", "context", "ports", "keys", "door", "load"),
        *("soak", "soak xid", "soak ecc", "soak clock", "restart"),
    } <= passed
    (first, *_) = report["load"]["tiny"]
    assert first["asked"] == 2 and first["failed"] == 0 and first["tokens_per_second"] > 0


def test_another_template(accepted: AcceptedMachine, reference: Path) -> None:
    other = TEMPLATE.replace("<|im_end|>", "")
    accepted.machine.ssh("cat > /etc/modelrack/services/other.jinja", stdin=other)
    line = "LLAMA_ARG_CHAT_TEMPLATE_FILE=/etc/modelrack/services/other.jinja"
    with changed_settings(accepted, f"echo {line} >> {SETTINGS}"):
        found = accepted.failures(phases="engine", reference=reference)
    says(found, r"tiny writes prompts with another chat template \(sha256 \w{16}\) than that of")
    accepted.machine.ssh("rm /etc/modelrack/services/other.jinja")


def test_another_quantization(accepted: AcceptedMachine, reference: Path) -> None:
    other = accepted.machine.directory / "root/data/other/tiny.gguf"
    # Another model by the same name, too, as a quantization that went wrong would be.
    TinyModel(answer="Words of another model.").write(other, "Q8_0")
    path = "/data/other/tiny.gguf"
    with changed_settings(
        accepted, f"sed -i s,^LLAMA_ARG_MODEL=.*,LLAMA_ARG_MODEL={path}, {SETTINGS}"
    ):
        found = accepted.failures(phases="engine", reference=reference)
    says(found, "0 of 2 answers of tiny are right, and 2 have to be; to “Hello” it says “Words of")
    says(found, "2 of 2 answers of tiny are others than those of accepted1")
    says(found, "tiny serves its model in Q8_0, and F16 is planned")
    says(found, f"tiny serves {path}, and /data/models/tiny-qwen2/tiny-qwen2-F16.gguf is planned")


def test_a_card_that_is_missing(accepted: AcceptedMachine) -> None:
    change(accepted.machine, HARDWARE_OF_IT.fall_off(SECOND))
    found = accepted.failures(phases="host,cards")
    says(found, f"1 of 2 cards answer; missing: {SECOND}")
    says(found, f"GPU {SECOND} is on the PCI bus, but its driver does not see it")
    accepted.is_well()


def test_half_a_link(accepted: AcceptedMachine) -> None:
    accepted.becomes(lanes=8)
    says(accepted.failures(phases="cards"), rf"{CARD} runs on PCIe x8 of x16: seat it again")
    accepted.is_well()


def test_a_card_that_is_throttled(accepted: AcceptedMachine) -> None:
    accepted.becomes(clock=405, temperature=93, throttled=("hw_thermal_slowdown",))
    found = accepted.failures(phases="cards")
    says(found, rf"{CARD} is throttled \(hw thermal slowdown\): 405 of 1410 MHz at 93 °C")
    accepted.is_well()


def test_a_slow_disk(accepted: AcceptedMachine) -> None:
    library = accepted.machine.directory / "root/lab/slow_disk.so"
    source = Path(__file__).with_name("slow_disk.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    accepted.machine.ssh("echo /lab/slow_disk.so > /etc/ld.so.preload")
    found = accepted.failures(phases="host")
    accepted.machine.ssh("rm /etc/ld.so.preload")
    says(found, r"the disk of /data/models is slow: 0.00\d+ GB/s, and 0.015 are wanted")


def test_an_xid_during_the_soak(accepted: AcceptedMachine) -> None:
    words = accepted.options(phases="soak")
    process = accepted.rack.start(*words, deploy="deploys/accept.py")
    read_until(process, r"soak: 0 of 20 s")
    line = xid(SECOND, 48, "DBE (double bit error) ECC Error")
    accepted.hardware = replace(accepted.hardware, kernel_log=(line,))
    change(accepted.machine, accepted.hardware)
    output, _ = process.communicate()
    assert process.returncode == 1, output
    assert re.search(
        r"the driver told of an error during the soak: NVRM: Xid .*: 48, .*DBE", output
    )


def test_a_service_that_is_not_back_after_a_reboot(accepted: AcceptedMachine) -> None:
    condition = "[Unit]\\nConditionPathExists=/nowhere\\n"
    accepted.machine.ssh(
        f"mkdir -p {DROP_IN}; printf '{condition}' > {DROP_IN}/never.conf; systemctl daemon-reload"
    )
    # The reboot has taken the kernel's log with it.
    accepted.is_well()
    boots = accepted.machine.boots()
    found = accepted.failures(phases="api", reboot="true")
    assert accepted.machine.boots() == boots + 1
    says(found, rf"{UNIT}\.service is not back after a reboot: it is inactive")
    accepted.machine.ssh(f"rm -r {DROP_IN}")
    accepted.restart()


def test_a_key_without_a_limit(accepted: AcceptedMachine) -> None:
    rates = "/etc/modelrack/gateway/rates.map"
    accepted.machine.ssh(
        f"cp -p {rates} /var/tmp/; echo alice 1000000 >> {rates}; systemctl reload {GATEWAY}"
    )
    found = accepted.failures(phases="api")
    accepted.machine.ssh(f"cp -p /var/tmp/rates.map {rates}; systemctl reload {GATEWAY}")
    says(found, "the key of alice has no limit: the gateway allows 1000000 requests a minute, 8 at")


def test_an_open_port(accepted: AcceptedMachine) -> None:
    serve = "systemd-run --quiet --unit=forgotten python3 -m http.server 9999"
    accepted.machine.ssh(f"{serve}; nft insert rule inet modelrack input tcp dport 9999 accept")
    accepted.machine.ssh("until curl -sf http://127.0.0.1:9999/ >/dev/null; do sleep 0.2; done")
    found = accepted.failures(phases="api")
    accepted.machine.ssh("systemctl stop forgotten; systemctl reload-or-restart modelrack-firewall")
    says(
        found, r"port 9999 \(forgotten\.service\) answers other machines, and the plan opens 22, 80"
    )


def test_without_the_faults_it_is_accepted_again(accepted: AcceptedMachine) -> None:
    done = accepted.accept(phases="host,cards,engine,api")
    assert done.code == 0, done.output
