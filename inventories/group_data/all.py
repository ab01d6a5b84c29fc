"""What holds for every machine, whatever its class."""

from deploys.planning.inputs.site import Site

# In China, with mirrors in front of everything that is slow or closed:
#     from deploys.planning.inputs.site import CN, Site
#     site = Site(mirrors=CN)
site = Site()

ssh_user = "root"
