"""Which services an inventory has, which of them is meant, and which gateway leads there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploys.control.clients import services
from deploys.control.clients.services import ListedHost, OfferedService
from deploys.planning.inputs.refusal import Refusal


def listed(name: str, *served: str, gateway: dict[str, Any] | None = None) -> ListedHost:
    found = [
        {"name": each, "engine": "ollama", "port": 11434, "task": None, "model": each}
        for each in served
    ]
    profile = {"services": found, "gateway": gateway}
    return {"name": name, "data": {"profile": profile, "site": {"secrets": "/home/op/secrets"}}}


def gateway(host: str = "ai.lab", **fields: Any) -> dict[str, Any]:
    return {"host": host, "certificate": None, "also": [], **fields}


HOSTS = [listed("gpu-01", "r1", "tiny"), listed("gpu-02", "r1"), listed("store")]
OFFERS = services.offered(HOSTS)


def test_an_inventory_is_read_without_a_connection() -> None:
    (offer,) = services.offered(services.listed("inventories/cpu.py", "--ssh-user", "op"))
    assert str(offer) == "deepseek-r1-7b on cpu-01.example"
    assert (offer.port, offer.unit) == (8080, "llama-server@deepseek-r1-7b.service")
    assert offer.data["ssh_user"] == "op"


def test_an_inventory_that_is_not_there_is_said_with_those_that_are() -> None:
    with pytest.raises(Refusal, match=r"^no inventory inventories/cpx.py. There are: a100, "):
        services.listed("inventories/cpx.py")


def test_the_engine_knows_a_model_by_its_own_id() -> None:
    assert OFFERS[0].model == "r1:latest"
    assert OFFERS[0].unit == "ollama.service"


@pytest.mark.parametrize(
    ("name", "host", "found"),
    [
        ("tiny", None, "tiny on gpu-01"),
        ("r1", None, "r1 on gpu-01"),
        ("r1", "gpu-02", "r1 on gpu-02"),
        (None, "gpu-02", "r1 on gpu-02"),
    ],
)
def test_what_is_meant_is_the_first_that_fits(
    name: str | None, host: str | None, found: str
) -> None:
    assert str(services.chosen(OFFERS, name, host)) == found


@pytest.mark.parametrize(
    ("name", "host", "said"),
    [
        (None, None, "There are several services. Name one of them: r1, tiny."),
        ("nope", None, "There is no service 'nope'. There are: r1 on gpu-01, tiny on gpu-01"),
        ("tiny", "gpu-02", "There is no service 'tiny'. There are: r1 on gpu-01"),
        (None, "gpu-09", "There is no service on gpu-09. There are: r1 on gpu-01"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(
    name: str | None, host: str | None, said: str
) -> None:
    with pytest.raises(Refusal) as refused:
        services.chosen(OFFERS, name, host)
    assert str(refused.value).startswith(said)


def test_of_several_the_one_that_writes_answers_is_meant() -> None:
    other = {"name": "vectors", "engine": "llama.cpp", "port": 8081}
    kinds: list[dict[str, Any]] = [
        {**other, "task": "embed", "model": "qwen3-32b"},
        {**other, "task": None, "model": "bge-reranker-v2-m3"},
        {**other, "task": None, "model": {"network": {"task": "embed"}}},
    ]
    for kind in kinds:
        host = listed("gpu-01", "r1")
        host["data"]["profile"]["services"].append(kind)
        offers = services.offered([host])
        assert [offer.task != "generate" for offer in offers] == [False, True]
        assert services.chosen(offers, None).name == "r1"
        assert services.chosen(offers, "vectors").name == "vectors"


def test_an_inventory_without_services_says_so() -> None:
    with pytest.raises(Refusal, match=r"There is no service in this inventory. There are: none"):
        services.chosen([], None)


def door(offer: OfferedService, *hosts: ListedHost) -> tuple[str, Path | None]:
    found = services.door(hosts, offer)
    return found.url, found.trusted


def test_the_gateway_of_the_same_host_is_taken_first() -> None:
    both = gateway("both.lab", also=["gpu-01"]), gateway("ai.lab")
    hosts = listed("gpu-00", "x", gateway=both[0]), listed("gpu-01", "r1", gateway=both[1])
    site_ca = Path("/home/op/secrets/site-ca.pem")
    assert door(OFFERS[0], *hosts) == ("https://ai.lab/v1", site_ca)
    assert door(OFFERS[0], hosts[0], HOSTS[0]) == ("https://both.lab/v1", site_ca)


def test_a_certificate_of_the_operators_own_is_trusted_itself() -> None:
    own = gateway("fd00::5", certificate={"chain": "/etc/own.pem", "key": "/etc/own.key"})
    found = door(OFFERS[0], listed("gpu-01", "r1", gateway=own))
    assert found == ("https://[fd00::5]/v1", Path("/etc/own.pem"))


@pytest.mark.parametrize(("ca", "trusted"), [(None, None), ("/etc/ca.pem", Path("/etc/ca.pem"))])
def test_a_certificate_by_acme_is_of_whom_systems_know_or_of_whom_is_named(
    ca: str | None, trusted: Path | None
) -> None:
    acme = gateway(certificate={"directory": None, "email": None, "ca": ca})
    assert services.door([listed("gpu-01", "r1", gateway=acme)], OFFERS[0]).trusted == trusted


def test_without_a_gateway_the_way_through_ssh_is_named() -> None:
    with pytest.raises(Refusal, match=r"No gateway leads to r1 on gpu-01. Leave --gateway out"):
        services.door(HOSTS, OFFERS[0])
