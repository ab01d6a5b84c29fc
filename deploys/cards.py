"""A page for each user of a gateway that says how to connect, to be handed out; changes nothing.

pyinfra inventories/h800.py deploys/cards.py -y
pyinfra inventories/h800.py deploys/cards.py -y --data locale=zh-CN --data folder=handed-out

Markdown and HTML of each user, and the certificate to trust, are written to cards/<gateway>/ here.
Keys are not on them: nobody has these any more. The language is that of the chat page.
"""

from pathlib import Path

from pyinfra import host

from deploys.control.clients import cards

cards.write(Path(str(host.data.get("folder") or "cards")), host.data.get("locale"))
