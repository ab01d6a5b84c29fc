"""A team reaches its models by one door: TLS, keys, limits, usage; engines real and counted."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import openai
import pytest

from deploys.planning import unit_names
from deploys.planning.gateway.plan import ACME_MAP, FOLDER
from deploys.rendering import gateway
from tests.e2e import alive
from tests.e2e.gateway_site import METRICS, Site, chat
from tests.e2e.rack import Rack, Run, run
from tests.lab import Lab
from tests.lab.hub import Hub
from tests.lab.pebble import Pebble
from tests.lab.tiny_model import ANSWER
from tests.unit.rendering.gateway_plans import PLANS

DATA = """
from pathlib import Path
from deploys.planning.inputs.gateway import Gateway
_here = Path(__file__).parents[2]
site = replace(site, secrets=_here / "secrets")
profile = replace(
    profile,
    services=(*profile.services, replace(profile.services[0], name="spare", port=8081)),
    gateway=Gateway(host={host!r}, keys=_here / "keys.toml", also={also!r}, rate=600, at_once=64),
)
"""


DRAIN = "deploys/drain.py"
# A timer that does not wait for the hour.
OFTEN = f"""\
mkdir -p /run/systemd/system/{unit_names.ACME_TIMER}.d
printf '[Timer]\\nOnCalendar=*:*:0/2\\nRandomizedDelaySec=0\\nAccuracySec=1s\\n' \\
    > /run/systemd/system/{unit_names.ACME_TIMER}.d/often.conf
systemctl daemon-reload
systemctl restart {unit_names.ACME_TIMER}
"""


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def site(
    request: pytest.FixtureRequest, lab_factory, lab_hub: Hub, lab_github, tmp_path_factory
) -> Iterator[Site]:
    lab: Lab = lab_factory(3, name=f"gate-{request.param}-", suite=request.param)
    first, second, client = lab.machines
    hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
    data = DATA.format(host=first.address, also=(first.name, second.name))
    rack = Rack(lab, hub, github, tmp_path_factory.mktemp("gate"), data)
    rack.point_to([first, second], hub, github)
    made = Site(rack, first, second, client)
    for user in ("alice", "bob", "leaver"):
        made.new_key(user)
    made.new_key("many", "--rate", "60000")
    made.new_key("slow", "--at-once", "2")
    made.new_key("quick", "--rate", "5")
    made.new_key("poor", "--tokens-a-day", "20")
    made.new_key("other", "--models", "spare")
    made.new_key("late", "--until", "2020-01-01")
    run = made.deploy()
    assert run.code == 0, run.output
    yield made
    lab.down()


def roll(site: Site, *options: str) -> Run:
    restart = "tests/e2e/deploys/restart.py"
    return run([sys.executable, "-m", "deploys.roll", site.rack.inventory, restart, *options])


def test_a_second_run_changes_nothing(site: Site) -> None:
    again = site.deploy()
    assert again.code == 0, again.output
    assert again.changed == []


# With the real engines.


def test_openai_python_lists_asks_and_streams(site: Site) -> None:
    client = site.openai("alice")
    assert [model.id for model in client.models.list()] == ["spare", "tiny"]
    answer = client.chat.completions.create(**chat(max_tokens=64, temperature=0))
    assert answer.choices[0].message.content == ANSWER
    assert answer.usage
    line = site.last("alice")
    assert (line["tokens_in"], line["tokens_out"]) == (
        answer.usage.prompt_tokens,
        answer.usage.completion_tokens,
    )
    pieces = client.chat.completions.create(**chat(max_tokens=64, temperature=0), stream=True)
    said = [piece.choices[0].delta.content for piece in pieces if piece.choices]
    assert "".join(filter(None, said)) == ANSWER
    site.wait(lambda: len(site.log("alice")) == 3, "the stream is not in the log")
    streamed = site.last("alice")
    # Nobody has asked for the numbers: the engine says them anyway, in words of its own.
    numbers = ("tokens_in", "tokens_out", "estimated")
    assert [streamed[name] for name in numbers] == [line[name] for name in numbers]
    assert line["estimated"] is False


def test_a_key_may_also_come_as_anthropic_clients_send_it(site: Site) -> None:
    with site.http("alice") as client:
        headers = {"authorization": "", "x-api-key": site.keys["bob"]}
        answer = client.post("/v1/messages", json=chat(max_tokens=64), headers=headers)
    assert answer.status_code == 200, answer.text
    usage = answer.json()["usage"]
    line = site.last("bob")
    assert (line["tokens_in"], line["tokens_out"]) == (
        usage["input_tokens"],
        usage["output_tokens"],
    )


def test_from_another_machine_nothing_else_can_be_reached(site: Site) -> None:
    for machine in (site.first, site.second):
        listening = machine.ssh("ss -Htln | awk '{print $4}'").stdout.split()
        outside = {each for each in listening if not each.startswith(("127.0.0.", "[::1]"))}
        assert {int(each.rpartition(":")[2]) for each in outside} == {22, 80, 443, 8443}
    asked = f"curl -sk -m 5 -o /dev/null -w %{{http_code}} https://{site.first.address}"
    assert site.client.ssh(f"{asked}/v1/models").stdout == "401"
    # What is between machines is for machines that have a certificate of the site alone.
    refused = site.client.ssh(f"{asked}:8443/v1/models", check=False)
    assert (refused.stdout, refused.returncode != 0) == ("000", True)
    redirected = f"curl -s -m 5 -w '%{{redirect_url}}' http://{site.first.address}/v1/models"
    assert site.client.ssh(redirected).stdout == f"https://{site.first.address}/v1/models"


def test_the_certificate_is_the_sites_and_its_keys_are_made_on_the_machines(site: Site) -> None:
    site.client.ssh("cat > /tmp/ca.pem", stdin=site.ca.read_text())
    asked = "curl -s --cacert /tmp/ca.pem -o /dev/null -w '%{http_code} %{http_version}'"
    assert site.client.ssh(f"{asked} https://{site.first.address}/v1/models").stdout == "401 2"
    folder = site.ca.parent
    assert (folder.stat().st_mode & 0o777, (folder / "site-ca.key").stat().st_mode & 0o777) == (
        0o700,
        0o600,
    )
    private = "sed -n '/PRIVATE/,/PRIVATE/p' /etc/modelrack/gateway/{}.pem"
    keys = {
        machine.ssh(private.format(name)).stdout
        for machine in (site.first, site.second)
        for name in ("gateway", "machine")
    }
    assert len(keys) == 4 and "" not in keys


def test_no_key_is_anywhere_but_in_the_map(site: Site) -> None:
    keys = "\n".join(site.keys.values())
    for machine in (site.first, site.second):
        where = "/etc /var/lib /var/log /run /opt/modelrack /proc/[0-9]*/cmdline"
        command = f"cat > /dev/shm/keys; grep -rlFaf /dev/shm/keys {where} 2>/dev/null"
        assert machine.ssh(f"{command}; rm /dev/shm/keys", stdin=keys).stdout == ""
    state = json.loads(site.first.ssh("cat /var/lib/modelrack/state.json").stdout)
    assert "sha256" not in json.dumps(state["plan"]["gateway"])
    modes = site.first.ssh("stat -c '%a %U %G' /etc/modelrack/gateway/* /etc/modelrack/gateway")
    assert {*modes.stdout.splitlines()} == {
        "640 root modelrack-gateway",
        "750 root modelrack-gateway",
    }


def test_a_key_without_a_future_and_one_that_nobody_has_are_refused(site: Site) -> None:
    for key in (site.keys["late"], "mr-" + "x" * 43, "x", site.keys["alice"].upper()):
        with site.http("alice") as client:
            headers = {"authorization": f"Bearer {key}"}
            answer = client.post("/v1/chat/completions", json=chat(), headers=headers)
        assert answer.status_code == 401, key
        assert answer.json()["error"]["code"] == "invalid_api_key"


def test_haproxy_reads_every_form(site: Site) -> None:
    for number, (name, plan) in enumerate(PLANS.items()):
        folder = f"/tmp/form-{number}"
        made = gateway.files(plan, site.ca.read_text())
        script = f"mkdir {folder}; cp {FOLDER}/*.pem {folder}; touch {folder}/chat.map\n"
        script += f"echo thumbprint x > {folder}/acme.map\n"
        for file in (made.configuration, *made.fixed, *made.maps):
            path, content = (text.replace(FOLDER, folder) for text in (file.path, file.content))
            script += f"cat > {path} <<'....'\n{content}....\n"
        read = site.first.ssh("sh", stdin=f"{script}haproxy -c -f {folder}/haproxy.cfg")
        assert "WARNING" not in read.stderr, name


def test_what_serves_can_do_little_else(site: Site) -> None:
    score = site.first.ssh("systemd-analyze security --no-pager modelrack-gateway | tail -1")
    assert float(score.stdout.split(":")[1].split()[0]) <= 1.5
    assert site.first.ssh("systemctl is-enabled haproxy", check=False).stdout == "disabled\n"
    assert "root" not in site.first.ssh("ps -o user= -C haproxy").stdout


def test_an_appliances_card_is_read_by_anybody_and_lets_nobody_in(site: Site) -> None:
    card = "/etc/modelrack/gateway/card.html"
    asked = f"curl -sk -w ' %{{http_code}}' https://{site.first.address}/"
    assert site.client.ssh(asked).stdout.endswith(" 404")
    site.first.ssh(f"cat > {card} && chgrp modelrack-gateway {card}", stdin="<h1>MR-1: ready</h1>")
    assert site.client.ssh(asked).stdout == "<h1>MR-1: ready</h1> 200"
    assert site.client.ssh(f"{asked}v1/models").stdout.endswith(" 401")
    site.first.ssh(f"rm {card}")


# From here on engines that count have taken their place.


def test_only_what_is_listed_reaches_an_engine(site: Site) -> None:
    site.stand_in(site.first, site.second)
    paths = [
        *("/", "/slots", "/props", "/metrics", "/health", "/tokenize", "/lora-adapters", "/pause"),
        *("/v1/load_lora_adapter", "/v1/embeddings", "/sleep", "/server_info", "/ctl?fail=9"),
        *("/v1/../slots", "/v1/%2e%2e/slots", "/v1/..%2fslots", "//slots", "/./slots"),
        *("//v1/chat/completions", "/V1/chat/completions", "/v1//chat/completions", "/v1/models/"),
        *("/v1/chat/completions/", "/v1/chat/completions;x", "/v1/chat%2fcompletions"),
        *("/v1/chat/completions/../../../slots", "/v1/chat/completions%00", "/v1/models/tiny"),
    ]
    key = f"-H 'authorization: Bearer {site.keys['alice']}' -d '{json.dumps(chat())}'"
    others = {
        "PUT": "/v1/chat/completions",
        "DELETE": "/v1/models",
        "GET": "/v1/chat/completions",
        "TRACE": "/v1/models",
        "post": "/v1/chat/completions",
    }
    for version in ("--http1.1", "--http2"):
        asked = f"curl -sk --path-as-is {version} -m 60 -w '%{{http_code}} ' {key}"
        urls = [f"-o /dev/null 'https://{site.first.address}{path}'" for path in paths]
        assert site.client.ssh(f"{asked} {' '.join(urls)}").stdout.split() == ["404"] * len(paths)
        for method, path in others.items():
            url = f"-o /dev/null -X {method} https://{site.first.address}{path}"
            assert site.client.ssh(f"{asked} {url}").stdout == "404 ", method
    seen = [site.engine(each) for each in (site.first, site.second)]
    assert [each["paths"] for each in seen] == [[], []]


def test_a_browser_on_another_page_may_ask(site: Site) -> None:
    with site.http("alice") as client:
        asks = {
            "origin": "https://page.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization, content-type",
            "authorization": "",
        }
        before = client.options("/v1/chat/completions", headers=asks)
        assert before.status_code == 204
        allowed = before.headers["access-control-allow-headers"]
        assert allowed == "authorization, content-type"
        after = client.post("/v1/chat/completions", json=chat(), headers={"authorization": ""})
    assert after.status_code == 401
    for answer in (before, after):
        assert answer.headers["access-control-allow-origin"] == "*"


def test_both_machines_answer_and_are_told_who_asks(site: Site) -> None:
    with site.http("alice") as client:
        for _ in range(6):
            assert client.post("/v1/chat/completions", json=chat()).status_code == 200
    seen = [site.engine(each) for each in (site.first, site.second)]
    assert all(each["served"] for each in seen)
    assert {user for each in seen for user in each["users"]} == {"alice"}


def test_a_stream_arrives_as_it_is_said(site: Site) -> None:
    """Not in heaps: HAProxy 3.0 would keep each token back."""
    for machine in (site.first, site.second):
        site.engine(machine, gap=0.02)
    with (
        site.http("alice") as client,
        client.stream("POST", "/v1/chat/completions", json=chat(max_tokens=40, stream=True)) as got,
    ):
        pieces = [piece for piece in got.iter_raw() if piece]
    # In one or two heaps otherwise; a busy machine lets some come together.
    assert len(pieces) >= 15


def test_a_key_that_may_not_ask_a_model_is_not_shown_it(site: Site) -> None:
    with pytest.raises(openai.NotFoundError) as error:
        site.openai("alice").chat.completions.create(**chat(model='no "such"\nmodel'))
    assert error.value.code == "model_not_found"
    assert site.last("alice")["model"] == 'no "such"\nmodel'
    other = site.openai("other")
    assert [model.id for model in other.models.list()] == ["spare"]
    assert other.chat.completions.create(**chat(model="spare")).choices
    before = site.served()
    with pytest.raises(openai.NotFoundError):
        other.chat.completions.create(**chat())
    assert site.served() == before


def test_limits_of_a_key(site: Site) -> None:
    before = site.served()
    for machine in (site.first, site.second):
        site.engine(machine, gap=0.05)
    answers = []
    with site.http("slow") as client:

        def ask() -> None:
            answers.append(client.post("/v1/chat/completions", json=chat(max_tokens=40)))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert site.openai("alice").chat.completions.create(**chat()).choices
        for thread in threads:
            thread.join()
        assert sorted(each.status_code for each in answers) == [200, 200, 429]
        refused = next(each for each in answers if each.status_code == 429)
        assert refused.headers["retry-after"] == "2"
        assert refused.json()["error"]["type"] == "rate_limit_error"
        site.wait(lambda: client.get("/v1/models").status_code == 200, "slow is never served")
    assert site.served() == before + 3
    with site.http("quick") as client:
        codes = [client.get("/v1/models").status_code for _ in range(7)]
    assert codes == [200] * 5 + [429] * 2


def test_tokens_of_a_day_are_remembered_by_the_next_process(site: Site) -> None:
    with site.http("poor") as client:
        codes = []
        while 429 not in codes and len(codes) < 5:
            codes.append(client.post("/v1/chat/completions", json=chat()).status_code)
            site.wait(lambda: len(site.log("poor")) == len(codes), "no line in the log")
        # Of fifteen tokens each; the one that goes beyond the limit is still answered.
        assert codes == [200, 200, 429]
        refused = client.post("/v1/chat/completions", json=chat())
        assert 0 < int(refused.headers["retry-after"]) <= 86400
    for verb in ("reload", "restart"):
        site.first.ssh(f"systemctl {verb} modelrack-gateway; sleep 1")
        with site.http("poor") as client:
            assert client.post("/v1/chat/completions", json=chat()).status_code == 429
    site.wait(lambda: site.up(site.second), "the second machine is not up again")


def test_a_broken_stream_is_counted_as_an_estimate_and_the_engine_stops(site: Site) -> None:
    for machine in (site.first, site.second):
        site.engine(machine, gap=0.05)
    count = len(site.log("bob"))
    body = chat(max_tokens=4000, stream=True)
    with (
        site.http("bob") as client,
        client.stream("POST", "/v1/chat/completions", json=body) as got,
    ):
        for number, _ in enumerate(got.iter_lines()):
            if number == 20:
                break
    site.wait(lambda: len(site.log("bob")) > count, "no line in the log")
    line = site.last("bob")
    assert line["estimated"] is True and line["tokens_out"] >= 10 and line["tokens_in"] == 0
    site.wait(
        lambda: not any(site.engine(each)["running"] for each in (site.first, site.second)),
        "an engine works for nobody",
    )
    usage = site.first.ssh(f"curl -s {METRICS}/usage").stdout
    assert (
        'modelrack_completion_tokens_estimated_total{user="bob",team="lab",model="tiny"}' in usage
    )


def test_large_bodies(site: Site) -> None:
    with site.http("alice") as client:
        for size in (900_000, 3_900_000, 30_000_000):
            body = chat(messages=[{"role": "user", "content": "x" * size}])
            assert client.post("/v1/chat/completions", json=body).status_code == 200
        last = {"messages": [{"role": "user", "content": "x" * 3_900_000}], "model": "tiny"}
        late = client.post("/v1/chat/completions", json=last)
        assert late.status_code == 400
        assert 'put "model" before "messages"' in late.json()["error"]["message"]
        body = chat(messages=[{"role": "user", "content": "x" * 33_600_000}])
        assert client.post("/v1/chat/completions", json=body).status_code == 413


def test_an_engine_that_fails_is_stood_in_for_by_the_other(site: Site) -> None:
    with site.http("alice") as client:
        site.engine(site.first, fail=2)
        site.engine(site.second, fail=0)
        for _ in range(4):
            assert client.post("/v1/chat/completions", json=chat()).status_code == 200
        assert site.engine(site.first)["fail"] == 0
        for failing, answering in ((site.first, site.second), (site.second, site.first)):
            site.engine(failing, fail=100)
            before = site.engine(answering)["served"]
            for _ in range(4):
                assert client.post("/v1/chat/completions", json=chat()).status_code == 200
            assert site.engine(answering)["served"] == before + 4
            site.engine(failing, fail=0)
        site.kill(site.first)
        for _ in range(4):
            assert client.post("/v1/chat/completions", json=chat()).status_code == 200


def test_with_no_engine_left_a_client_reads_why(site: Site) -> None:
    site.engine(site.second, gap=0.05)
    pieces = iter(site.openai("alice").chat.completions.create(**chat(max_tokens=900), stream=True))
    next(pieces)
    site.kill(site.second)
    # What has begun cannot be begun again: the client is told.
    with pytest.raises((openai.APIError, openai.OpenAIError, OSError, Exception)) as broken:
        list(pieces)
    assert not isinstance(broken.value, AssertionError)
    with pytest.raises(openai.APIStatusError) as error:
        site.openai("alice").chat.completions.create(**chat())
    assert (error.value.status_code, error.value.response.headers["retry-after"]) == (503, "10")
    assert error.value.response.json()["error"]["type"] == "server_error"
    assert len([*site.openai("alice").models.list()]) == 2
    site.stand_in(site.first, site.second)


def test_machines_are_changed_in_waves_and_no_request_fails(site: Site) -> None:
    """Each is drained first, and asked again once it answers."""
    site.engine(site.first, gap=0.02)
    before = site.served()
    failed: list[str] = []
    over = threading.Event()

    def ask() -> None:
        client = site.openai("many")
        while not over.is_set():
            try:
                *_, last = client.chat.completions.create(**chat(stream=True, max_tokens=20))
                assert last.usage and last.usage.completion_tokens == 20
            except Exception as error:
                failed.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    site.wait(lambda: site.served() > before + 4, "nobody is answered")
    rolled = roll(site, "--waves", "1,100%")
    over.set()
    for thread in threads:
        thread.join()
    assert rolled.code == 0, rolled.output
    assert "All 2 machines are done" in rolled.stdout
    assert failed == []
    # Both were started anew, and both were asked since.
    assert min(site.engine(each)["served"] for each in (site.first, site.second)) > 0
    assert site.engine(site.first)["gap"] == 0


def test_what_is_drained_stays_so_until_it_is_put_back(site: Site) -> None:
    name = site.second.name
    away, back = (["--json", "--data", f"{way}={name}"] for way in ("away", "back"))
    assert site.rack.deploy(*away, deploy=DRAIN).code == 0
    assert site.rack.deploy(*away, deploy=DRAIN).changed == []
    before = site.engine(site.second)["served"]
    with site.http("alice") as client:
        for _ in range(4):
            assert client.post("/v1/chat/completions", json=chat()).status_code == 200
        # A copy that nothing else would answer for is used all the while.
        alone = site.rack.deploy("--json", "--data", f"away={site.first.name}", deploy=DRAIN)
        assert alone.code == 0 and "No other copy of tiny answers" in alone.output, alone.output
        assert client.post("/v1/chat/completions", json=chat()).status_code == 200
    assert site.engine(site.second)["served"] == before
    assert site.rack.deploy(*back, deploy=DRAIN).code == 0
    assert site.rack.deploy(*back, deploy=DRAIN).changed == []


def test_a_wave_is_not_begun_while_its_machine_has_requests(site: Site) -> None:
    for each in (site.first, site.second):
        site.engine(each, gap=0.2)
    body = chat(stream=True, max_tokens=100_000)
    with ExitStack() as both:
        client = both.enter_context(site.http("alice"))
        answers = []
        # One at each of them.
        for _ in range(2):
            answer = both.enter_context(client.stream("POST", "/v1/chat/completions", json=body))
            # What is read no longer is closed.
            answers.append(answer.iter_raw())
            next(answers[-1])
        stopped = roll(site, "--", "--data", "patience=1")
    assert stopped.code == 1, stopped.output
    assert f"tiny of {site.first.name} still has requests" in stopped.output
    said = f"2 machines were not touched: {site.first.name}, {site.second.name}"
    assert said in stopped.stderr and "--after" not in stopped.stderr
    # It is asked as before.
    site.engine(site.second, gap=0)
    before = site.engine(site.first, gap=0)["served"]
    with site.http("alice") as client:
        for _ in range(4):
            assert client.post("/v1/chat/completions", json=chat()).status_code == 200
    assert site.engine(site.first)["served"] > before


def test_a_key_is_revoked_on_open_connections_and_no_stream_is_lost(site: Site) -> None:
    for machine in (site.first, site.second):
        site.engine(machine, gap=0.05)
    ended: list[bool] = []

    def stream() -> None:
        body = chat(max_tokens=1_000_000, stream=True)
        *pieces, last = site.openai("alice").chat.completions.create(**body)
        ended.append(last.usage.completion_tokens == len(pieces))

    threads = [threading.Thread(target=stream) for _ in range(4)]
    for thread in threads:
        thread.start()
    with site.http("leaver") as keeps, site.http("leaver", http2=False) as also:
        assert keeps.get("/v1/models").status_code == 200
        assert also.get("/v1/models").status_code == 200
        site.run_keys("revoke", "leaver")
        site.new_key("new")
        told = site.start()
        assert told.code == 0, told.output
        changed = [each for each in told.changed]
        assert changed == ["Gateway | Write the gateway's configuration, and have it taken over"]
        assert keeps.get("/v1/models").status_code == 401
        with site.http("new") as client:
            assert client.get("/v1/models").status_code == 200
        # Another configuration is another process; the one before ends what it has begun.
        more = "profile = replace(profile, gateway=replace(profile.gateway, drained=({!r},)))"
        site.rack.add(more.format(site.second.name))
        told = site.start()
        assert told.code == 0, told.output
        assert also.get("/v1/models").status_code == 401
    assert site.start().changed == []
    assert ended == []
    for machine in (site.first, site.second):
        site.engine(machine, stop=True)
    for thread in threads:
        thread.join()
    assert ended == [True] * 4
    for machine in (site.first, site.second):
        site.engine(machine, stop=False, gap=0)


def test_a_drained_machine_gets_nothing(site: Site) -> None:
    before = site.engine(site.second)["served"]
    with site.http("alice") as client:
        for _ in range(4):
            assert client.post("/v1/chat/completions", json=chat()).status_code == 200
    assert site.engine(site.second)["served"] == before


def test_no_word_of_a_prompt_is_in_the_log(site: Site) -> None:
    search = "journalctl -q --no-pager --namespace='*' | grep -c 'Are you there'"
    assert site.first.ssh(search, check=False).stdout == "0\n"
    # What is no request is a line, too, and has no tokens.
    site.first.ssh("printf 'x y\\r\\n\\r\\n' | openssl s_client -quiet -connect 127.0.0.1:443")
    names = "user team model path status to end queue_ms first_ms ms bytes_in bytes_out"
    numbers, others = "tokens_in tokens_out estimated", "retries from"
    found = {" ".join(line) for line in site.log()}
    assert found == {f"{names} {numbers} {others}", f"{names} {others}"}


def test_what_is_killed_comes_back(site: Site) -> None:
    def serves() -> bool:
        asked = f"curl -sk -o /dev/null -w '%{{http_code}}' https://{site.first.address}/v1/models"
        return site.client.ssh(asked, check=False).stdout == "401"

    assert len(alive.survives(site.first, "modelrack-gateway", serves)) == 2


def test_the_operator_may_bring_a_certificate(site: Site, tmp_path: Path) -> None:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    name = f"subjectAltName=IP:{site.first.address}"
    made = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=own"
    )
    subprocess.run(
        [*made.split(), "-addext", name, "-keyout", str(key), "-out", str(chain)],
        check=True,
        capture_output=True,
    )
    own = f"Certificate(chain=Path({str(chain)!r}), key=Path({str(key)!r}))"
    site.rack.add(
        "from deploys.planning.inputs.gateway import Certificate\n"
        f"profile = replace(profile, gateway=replace(profile.gateway, certificate={own}))"
    )
    told = site.start()
    assert told.code == 0, told.output
    assert key.read_text().splitlines()[1] not in told.output
    trust = ssl.create_default_context(cafile=chain)
    url = f"https://{site.first.address}/v1/models"
    assert httpx2.get(url, verify=trust, trust_env=False).status_code == 401
    # Machines go on with their own.
    site.wait(lambda: site.up(site.second), "machines do not reach each other")
    assert site.start().changed == []


def test_the_machine_has_its_certificate_renewed_by_acme(site: Site, tmp_path: Path) -> None:
    pebble, ca = Pebble.on(site.client, ai_lab=site.first.address), tmp_path / "ca.pem"
    ca.write_text(pebble.start(seconds=40))
    pebble.stop()
    acme = f"Acme(directory={pebble.directory!r}, email='a@ai.lab', ca=Path({str(ca)!r}))"
    site.rack.add(
        "from deploys.planning.inputs.gateway import Acme\n"
        "profile = replace(profile, gateway=replace("
        f"profile.gateway, host='ai.lab', certificate={acme}))"
    )

    def signed_by(authority: Path) -> bool:
        try:
            with site.named("ai.lab", authority) as client:
                return client.get("/v1/models").status_code == 401
        except httpx2.ConnectError:
            return False

    def serial() -> str:
        shown = "openssl x509 -noout -serial -in /etc/modelrack/gateway/gateway.pem"
        return site.first.ssh(shown).stdout

    def start() -> Run:
        # The name leads to the first machine alone.
        options = ("--json", "--limit", site.first.name)
        return site.rack.deploy(*options, deploy="deploys.stages.gateway.start")

    assert site.rack.deploy(deploy="deploys.stages.gateway.install").code == 0
    # Nobody signs yet: the run says so, and people come in.
    first = start()
    assert first.code == 0, first.output
    assert f"ai.lab gets no certificate from {pebble.directory}" in first.stderr
    assert f"type there: systemctl start {unit_names.ACME}" in first.stderr
    assert signed_by(site.ca)
    before, roots = serial(), pebble.start(seconds=40)
    ca.write_text(roots)
    done = start()
    assert done.code == 0 and "gets no certificate" not in done.stderr, done.output
    assert signed_by(ca) and not signed_by(site.ca) and serial() != before
    # It has as little to say as the gateway itself.
    score = site.first.ssh(f"systemd-analyze security --no-pager {unit_names.ACME} | tail -1")
    assert float(score.stdout.split(":")[1].split()[0]) <= 1.5
    challenge = "http://127.0.0.1/.well-known/acme-challenge/token"
    thumbprint = site.first.ssh(f"cut -d' ' -f2 {ACME_MAP}").stdout.strip()
    assert site.first.ssh(f"curl -s {challenge}").stdout == f"token.{thumbprint}"
    # Its timer does it in time, while somebody is being answered.
    site.stand_in(site.first, site.second)
    site.engine(site.first, gap=0.05)
    body = chat(max_tokens=100_000, stream=True)
    headers = {"authorization": f"Bearer {site.keys['alice']}"}
    with site.named("ai.lab", ca) as client:
        client.headers.update(headers)
        with client.stream("POST", "/v1/chat/completions", json=body) as got:
            lines = got.iter_lines()
            next(lines)
            before = serial()
            site.first.ssh(["sh", "-c", OFTEN])
            site.wait(lambda: serial() != before, "it is not renewed")
            site.wait(lambda: signed_by(ca), "the gateway has another certificate")
            # Who signs is gone again: that is told, and the door stays open.
            pebble.stop()
            words = "/var/lib/modelrack/failures/modelrack-acme*"
            site.first.ssh(f"rm -f {words}")
            site.wait(
                lambda: "gets no certificate" in site.first.ssh(f"cat {words}", check=False).stdout,
                "it has not failed",
            )
            with site.named("ai.lab", None) as other:
                assert other.get("/v1/models").status_code == 401
            site.engine(site.first, stop=True)
            assert [*lines][-2] == "data: [DONE]"
    site.engine(site.first, stop=False, gap=0)
    ca.write_text(pebble.start(seconds=86_400))
    assert start().code == 0
    site.wait(
        lambda: signed_by(ca), "the gateway has no certificate of the authority that came back"
    )
    assert start().changed == []


OF_UNIT = """
cd /etc/modelrack/gateway && openssl req -x509 -newkey rsa:2048 -nodes -days 9 \\
  -subj /CN=unit -keyout key -out certificate 2>&1 && cat certificate key > gateway.pem && rm key
"""


def test_a_unit_of_an_appliance_keeps_its_own_key_and_certificate(site: Site) -> None:
    """Who deploys to it, as its own update does, is not who has made them."""
    site.rack.add("profile = replace(profile, gateway=replace(profile.gateway, certificate=None))")
    # What asks for certificates by ACME has to end first: a unit never had it.
    assert site.start().code == 0
    key, secret = f"mr-{'u' * 43}", "/etc/modelrack/secrets/unit-key"
    site.first.ssh(f"cat > {secret}", stdin=key)
    site.first.ssh(OF_UNIT)
    own = "sha256sum /etc/modelrack/gateway/gateway.pem"
    before = site.first.ssh(own).stdout
    done = site.start()
    assert done.code == 0, done.output
    assert site.first.ssh(own).stdout == before
    asked = f"curl -sk -o /dev/null -w '%{{http_code}}' -H 'authorization: Bearer {key}'"
    url = f"https://{site.first.address}/v1/models"
    assert site.client.ssh(f"{asked} {url}").stdout == "200"
    assert site.start().changed == []
    site.first.ssh(f"rm {secret}")


def test_without_a_gateway_nothing_is_left(site: Site) -> None:
    site.rack.add("profile = replace(profile, gateway=None)")
    gone = site.start()
    assert gone.code == 0, gone.output
    assert gone.changed == ["Gateway | Disable the gateway"]
    units = "/etc/systemd/system/modelrack-[ag]*"
    left = f"ls -d /etc/modelrack/gateway /etc/modelrack/acme {units} 2>/dev/null; ss -Htln;"
    left += " systemctl list-units --plain --no-legend 'modelrack-a*'"
    found = site.first.ssh(left, check=False).stdout
    assert "gateway" not in found and "acme" not in found and ":443" not in found
    assert site.start().changed == []
