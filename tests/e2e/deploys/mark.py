"""Write a mark, which cannot be where a folder of its name is."""

from deploys.operations import files, host_lock
from deploys.operations.files import File

host_lock.acquire(name="Keep other runs away")
files.put(
    name="Write a mark",
    entries=[File(path="/etc/mark", content="done\n", mode="644")],
)
