"""What monitoring is set up with: who is asked, who may look, and where secrets are."""

from __future__ import annotations

import json
import re

import yaml

from deploys.planning.inputs.monitoring import Monitoring
from deploys.planning.monitoring.plan import MonitoringPlan
from deploys.planning.monitoring.queries import queries
from deploys.rendering import gateway
from deploys.rendering.monitoring import files, page
from deploys.rendering.templates import Rendered
from tests.unit.planning.monitoring.examples import EXAMPLES
from tests.unit.rendering.gateway_plans import CA, PLANS


def plan(name: str) -> MonitoringPlan:
    found = EXAMPLES[name].monitoring
    assert found
    return found


def content(rendered: tuple[tuple[Rendered, ...], str], name: str) -> str:
    return next(each.content for each in rendered[0] if each.path.endswith(name))


def test_another_machine_is_asked_through_this_gateway() -> None:
    made = yaml.safe_load(content(files.prometheus(plan("watches")), "prometheus.yml"))
    asked = {
        job["job_name"]: [
            (each["targets"][0], each["labels"]["instance"], each["labels"]["__metrics_path__"])
            for each in job["static_configs"]
        ]
        for job in made["scrape_configs"]
    }
    assert asked["node"] == [
        ("127.0.0.1:9100", "gpu-01", "/metrics"),
        ("127.0.0.1:8405", "gpu-02", "/machines/gpu-02/node"),
    ]
    assert asked["engine"][1] == ("127.0.0.1:8405", "gpu-02", "/machines/gpu-02/service-large")
    text = gateway.files(PLANS["with a page of what is watched"], CA).configuration.content
    assert "backend of-gpu-02" in text and "10.8.0.2:8443 ssl verify required" in text


def test_what_is_watched_gives_metrics_to_who_watches_and_no_answers() -> None:
    text = gateway.files(PLANS["watched by another"], CA).configuration.content
    machines = text[text.index("frontend machines") : text.index("backend unknown")]
    allowed = machines.index('allow if watched METH_GET { ssl_c_s_dn(cn) -m str "gpu-02" }')
    # It asks for no model, so everything else is refused, whoever asks.
    refused = re.search(r'status 403 .*"this machine does not ask here".*\n', machines)
    assert refused and "unless" not in refused[0] and allowed < refused.start()
    backends = set(re.findall(r"^backend metrics-(\S+)$", machines, re.M))
    assert backends == {target.name for target in plan("watched").targets}


def test_the_page_is_for_its_viewers_and_reaches_nothing_else_of_prometheus() -> None:
    made = gateway.files(PLANS["with a page of what is watched"], CA)
    text = made.configuration.content
    paths = re.findall(r'"GET (/monitoring/\S+)"', text)
    assert paths == [f"/monitoring/api/v1/{name}" for name in ("query", "query_range", "alerts")]
    viewers = next(each for each in made.maps if each.path.endswith("/viewers.map"))
    assert viewers.content == "alice 1\n"
    for name, other in PLANS.items():
        watches = other.monitoring is not None
        assert ("/monitoring/" in gateway.files(other, CA).configuration.content) == watches, name


def test_the_page_names_no_other_host_and_has_every_query() -> None:
    found = PLANS["with a page of what is watched"]
    made = page.of(found)
    assert "://" not in made
    assert "innerHTML" not in made
    asked = {*re.findall(r'found\["([\w ]+)"\]', made), *re.findall(r'value\("([\w ]+)"\)', made)}
    for names in re.findall(r'\[((?:"[\w ]+", )+"[\w ]+")\]\.map\((?:of|asked|name)', made):
        asked |= {*json.loads(f"[{names}]")}
    assert asked | {"written", "team"} == {*queries(Monitoring())}


def test_secrets_are_for_root_alone_and_in_no_unit() -> None:
    webhooks = [{"url": "http://robot/secret", "form": "feishu", "secret": "shh"}]
    for rendered in (files.alertmanager(plan("told"), "pass-word"), files.notifier(webhooks)):
        for each in rendered[0]:
            secret = any(word in each.content for word in ("pass-word", "robot", "shh"))
            assert (each.mode == "600") == secret == each.path.startswith("/etc/modelrack/secrets/")
    changed = [{**webhooks[0], "secret": "other"}]
    assert files.notifier(webhooks)[1] == files.notifier(changed)[1]


def test_mail_is_sent_by_tls_alone() -> None:
    made = yaml.safe_load(content(files.alertmanager(plan("told"), "p"), "alertmanager.yml"))
    (mail,) = made["receivers"][0]["email_configs"]
    assert (mail["require_tls"], mail["auth_password"]) == (True, "p")
    (webhook,) = made["receivers"][0]["webhook_configs"]
    assert webhook["url"] == "http://127.0.0.1:8407/0"


def test_prometheus_keeps_no_more_than_was_planned() -> None:
    made = plan("told")
    unit = content(files.prometheus(made), ".service")
    assert f"--storage.tsdb.retention.size={made.size}B" in unit
    assert "--storage.tsdb.retention.time=30d" in unit
