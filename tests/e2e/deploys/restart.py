"""Start the stand-in of an engine anew, as another version of it would be."""

from pyinfra.operations import server, systemd

from deploys.operations import host_lock

host_lock.acquire(name="Keep other runs away")
systemd.service(name="Start it anew", service="llama-server@tiny", restarted=True)
server.shell(
    name="Wait until it answers",
    commands=["until curl -sf http://127.0.0.1:8080/ctl >/dev/null; do sleep 0.1; done"],
)
