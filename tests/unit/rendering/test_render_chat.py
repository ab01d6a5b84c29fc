"""The chat page's unit and settings: whom it reaches, what it keeps, what it leaves off."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from deploys.planning import unit_names
from deploys.planning.gateway import chat
from deploys.planning.gateway.plan import CHAT_ADDRESS, CHAT_KEY, CHAT_PORT, FOLDER
from deploys.planning.inputs.gateway import Chat, Gateway
from deploys.rendering import chat as rendering
from deploys.rendering import gateway as gateway_rendering
from tests.unit.planning.gateway.test_chat import GATEWAY, planned
from tests.unit.planning.plan_examples import profile, service
from tests.unit.rendering.render_examples import analyze, settings, unit


def _files(gateway: Gateway = GATEWAY) -> tuple[Mapping[str, str], str]:
    """Contents by path, and the digest."""
    made = planned(profile(gateway=gateway))
    assert made.gateway and made.gateway.chat
    rendered, digest = rendering.files(made, made.gateway, made.gateway.chat)
    assert {file.mode for file in rendered} == {"644"}
    return {file.path: file.content for file in rendered}, digest


def _unit(gateway: Gateway = GATEWAY) -> dict[str, dict[str, list[str]]]:
    return unit(_files(gateway)[0][unit_names.file(unit_names.CHAT)])


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine")
    path = tmp_path / unit_names.CHAT
    text = _files()[0][unit_names.file(unit_names.CHAT)]
    path.write_text(re.sub(r"(?m)^(ExecStart(Pre)?=)\S+", r"\1/bin/true", text))
    verified = analyze("verify", "--man=no", path)
    about_it = [line for line in verified.stderr.splitlines() if path.name in line]
    assert (verified.returncode, about_it) == (0, [])
    scored = analyze("security", "--offline=true", "--threshold=15", path)
    assert scored.returncode == 0, scored.stdout[-2000:] + scored.stderr


def test_it_reaches_the_gateway_and_nothing_else() -> None:
    run = _unit()["Service"]
    assert (run["IPAddressDeny"], run["IPAddressAllow"]) == (["any"], [CHAT_ADDRESS])
    assert (run["SocketBindDeny"], run["SocketBindAllow"]) == (["any"], ["ipv4:tcp:3000"])
    assert run["ExecStart"][0].endswith("serve --host 127.0.0.1 --port 3000")
    # Weights are none of its business.
    assert run["InaccessiblePaths"] == ["-/data/models"]
    env = settings(_files()[0][chat.SETTINGS])
    assert env["OPENAI_API_BASE_URL"] == f"http://{CHAT_ADDRESS}:{CHAT_PORT}/v1"


def test_files_go_to_the_model_whole_or_a_service_makes_their_vectors() -> None:
    whole = settings(_files()[0][chat.SETTINGS])
    assert whole["BYPASS_EMBEDDING_AND_RETRIEVAL"] == "true"
    assert "RAG_EMBEDDING_MODEL" not in whole
    served = (service(name="a", port=8081, task="embed"), service(name="b"))
    made = planned(profile(*served, gateway=GATEWAY))
    assert made.gateway and made.gateway.chat and not made.refusals
    rendered, _ = rendering.files(made, made.gateway, made.gateway.chat)
    found = settings(next(each.content for each in rendered if each.path == chat.SETTINGS))
    assert found["BYPASS_EMBEDDING_AND_RETRIEVAL"] == "false"
    assert (found["RAG_EMBEDDING_MODEL"], found["DEFAULT_MODELS"]) == ("a", "b")
    # By the gateway and its key, as for answers.
    assert found["RAG_OPENAI_API_BASE_URL"] == found["OPENAI_API_BASE_URL"]
    started = next(each for each in rendered if each.path == unit_names.file(unit_names.CHAT))
    assert 'RAG_OPENAI_API_KEY="$$OPENAI_API_KEY" exec /opt/' in started.content
    # It is asked for vectors and not shown to people.
    maps = {each.path: each.content for each in gateway_rendering.files(made.gateway, None).maps}
    assert maps[f"{FOLDER}/restricted.map"] == "open-webui b\n"
    assert maps[f"{FOLDER}/allowed.map"] == "open-webui/a 1\nopen-webui/b 1\n"


def test_the_gateway_is_there_for_it_and_comes_from_the_address_that_it_takes() -> None:
    made = planned()
    assert made.gateway
    text = gateway_rendering.files(made.gateway, None).configuration.content
    assert f"    bind {CHAT_ADDRESS}:{CHAT_PORT}\n" in text
    assert f"    server webui 127.0.0.1:{chat.PORT} source {CHAT_ADDRESS} check\n" in text
    service, _ = gateway_rendering.unit()
    assert f"SocketBindAllow=tcp:{CHAT_PORT}\n" in service.content


def test_without_a_page_the_gateway_has_no_such_door() -> None:
    made = planned(profile(gateway=replace(GATEWAY, chat=None)))
    assert made.gateway
    text = gateway_rendering.files(made.gateway, None).configuration.content
    assert CHAT_ADDRESS not in text


def test_secrets_come_from_files_of_root_that_are_not_rendered() -> None:
    files, _ = _files()
    run = _unit()["Service"]
    assert run["EnvironmentFile"] == [chat.SETTINGS, CHAT_KEY, chat.PASSWORD]
    assert not {CHAT_KEY, chat.PASSWORD} & {*files}
    assert not re.search(
        r"(?m)^(OPENAI_API_KEY|WEBUI_ADMIN_PASSWORD|WEBUI_SECRET_KEY)=", files[chat.SETTINGS]
    )


def test_all_that_it_keeps_is_in_one_folder() -> None:
    run = _unit()["Service"]
    assert f"/var/lib/{run['StateDirectory'][0]}" == run["WorkingDirectory"][0] == chat.DATA
    assert run["StateDirectoryMode"] == ["0700"]
    assert settings(_files()[0][chat.SETTINGS])["DATA_DIR"] == chat.DATA
    (before,) = run["ExecStartPre"]
    assert before.endswith(f"modelrack.pyz chat database {chat.DATA} {chat.SOFTWARE}/current")
    assert not before.startswith("+")


def test_before_there_is_a_password_it_does_not_start() -> None:
    """As in an image, of which many machines are made."""
    assert _unit()["Unit"]["ConditionPathExists"] == [chat.PASSWORD]


def test_it_takes_no_more_memory_than_was_left_to_it() -> None:
    assert _unit()["Service"]["MemoryMax"] == [str(chat.MEMORY)]


def test_what_is_off_is_off() -> None:
    env = settings(_files()[0][chat.SETTINGS])
    for name in (
        "ENABLE_PERSISTENT_CONFIG",
        "ENABLE_SIGNUP",
        "ENABLE_DIRECT_CONNECTIONS",
        "ENABLE_WEB_SEARCH",
        "ENABLE_CODE_EXECUTION",
        "ENABLE_CODE_INTERPRETER",
        "ENABLE_COMMUNITY_SHARING",
        "ENABLE_TITLE_GENERATION",
        "ENABLE_RETRIEVAL_QUERY_GENERATION",
    ):
        assert env[name] == "false"
    for name in ("OFFLINE_MODE", "BYPASS_EMBEDDING_AND_RETRIEVAL", "SAFE_MODE"):
        assert env[name] == "true"
    assert (env["WEBUI_URL"], env["WEBUI_ADMIN_EMAIL"]) == ("https://ai.lab", "admin@ai.lab")
    assert (env["DEFAULT_LOCALE"], env["DEFAULT_MODELS"]) == ("zh-CN", "tiny")


def test_an_address_of_six_is_written_as_one() -> None:
    env = settings(_files(replace(GATEWAY, host="fd00::5"))[0][chat.SETTINGS])
    assert env["CORS_ALLOW_ORIGIN"] == "https://[fd00::5]"


@pytest.mark.parametrize(
    "other", [Chat(admin="other@ai.lab", locale="zh-CN"), Chat(admin="admin@ai.lab")]
)
def test_a_running_page_knows_with_which_settings_it_was_started(other: Chat) -> None:
    files, digest = _files()
    assert f"MODELRACK_DIGEST={digest}\n" in files[chat.SETTINGS]
    assert _files(replace(GATEWAY, chat=other))[1] != digest
    assert _files(replace(GATEWAY, rate=7))[1] == digest
