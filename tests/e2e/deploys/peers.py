"""A machine that could share weights and has none."""

from deploys.stages import base, peers

base.install()
peers.share()
