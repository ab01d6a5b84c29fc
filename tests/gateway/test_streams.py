"""Five hundred streams, twenty reloads, keys that come and go: nothing is lost, nobody gets in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import httpx2
import pytest
from openai import AsyncOpenAI

from tests.e2e.gateway_site import Site, chat
from tests.e2e.rack import Rack
from tests.lab import Lab

STREAMS, RELOADS = 500, 20
DEPLOY = "tests/e2e/deploys/gateway.py"
DATA = """
from pathlib import Path
from deploys.planning.inputs.gateway import Gateway
_here = Path(__file__).parents[2]
site = replace(site, secrets=_here / "secrets")
profile = replace(
    profile,
    services=(replace(profile.services[0], parallel={streams}),),
    gateway=Gateway(host={host!r}, keys=_here / "keys.toml", rate=100_000, at_once=1000),
)
"""


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def site(request: pytest.FixtureRequest, lab_factory, lab_hub, tmp_path_factory) -> Iterator[Site]:
    lab: Lab = lab_factory(1, name=f"many-{request.param}-", suite=request.param)
    (machine,) = lab.machines
    hub = lab_hub.listen(lab.host)
    data = DATA.format(host=machine.address, streams=STREAMS)
    made = Site(Rack(lab, hub, hub, tmp_path_factory.mktemp("many"), data), *[machine] * 3)
    for user in ("many", "keeps", "key-0"):
        made.new_key(user)
    run = made.rack.deploy("--json", deploy=DEPLOY)
    assert run.code == 0, run.output
    made.stand_in(machine)
    yield made
    lab.down()


def test_no_stream_is_lost_and_no_revoked_key_is_served(site: Site) -> None:
    # Slowly: what reads five hundred streams here has the same cores as what is tested.
    site.engine(site.first, gap=5)
    streams = Streams(site)
    streams.start()
    site.wait(lambda: site.engine(site.first)["running"] == STREAMS, "not all streams began")
    for number in range(1, RELOADS + 1):
        before, key = f"key-{number - 1}", f"key-{number}"
        with site.http(before) as open_before:
            assert open_before.get("/v1/models").status_code == 200
            site.run_keys("revoke", before)
            site.new_key(key)
            site.rack.add(
                "profile = replace(profile, gateway=replace(profile.gateway,"
                f" at_once=1000 + {number}))"
            )
            told = site.start()
            assert told.code == 0, told.output
            # Where the connection was ended there is another one, and the key is as dead on it.
            assert open_before.get("/v1/models").status_code == 401
        with site.http(key) as client:
            assert client.get("/v1/models").status_code == 200
        assert streams.broken == [], f"after reload {number}"
    assert site.engine(site.first)["running"] == STREAMS
    site.engine(site.first, stop=True)
    streams.join()
    assert streams.broken == []
    assert streams.whole == STREAMS


class Streams(threading.Thread):
    """Clients that read until the engine has ended their answers."""

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True)
        self.site = site
        self.whole = 0
        self.broken: list[str] = []

    def run(self) -> None:
        """All of them on one event loop."""
        asyncio.run(self._all())

    async def _all(self) -> None:
        limits = httpx2.Limits(max_connections=STREAMS, max_keepalive_connections=STREAMS)
        async with httpx2.AsyncClient(
            verify=self.site.trust(), trust_env=False, timeout=3600, limits=limits
        ) as http:
            client = AsyncOpenAI(
                base_url=f"https://{self.site.first.address}/v1",
                api_key=self.site.keys["many"],
                max_retries=0,
                http_client=http,
            )
            await asyncio.gather(*(self._one(client) for _ in range(STREAMS)))

    async def _one(self, client: AsyncOpenAI) -> None:
        body = chat(max_tokens=1_000_000, stream=True)
        count, told = 0, None
        try:
            async for piece in await client.chat.completions.create(**body):
                count += bool(piece.choices)
                told = piece.usage.completion_tokens if piece.usage else told
        except Exception as error:
            self.broken.append(repr(error))
            return
        if told == count:
            self.whole += 1
        else:
            self.broken.append(f"{count} of {told} pieces")
