"""modelrack: provisions bare Linux machines as LLM servers.

The top level holds the entry scripts; the packages, in the order in which data flows through them:

planning     decides: profile + site + machine -> HostPlan. Pure: no I/O, no pyinfra
facts        pyinfra facts that read the state of a host, one typed object each
operations   pyinfra operations that change it: read, compare, then noop or yield commands
stages       deploys that every machine gets, in run order
engines      one deploy module per engine
rendering    the plan as text: its page, and the configuration files
control      what runs on the operator's computer: locks, tokens, clients of the hubs
connection   the connection to the machine, and how our programs get there
remote       programs that run on the machine, uploaded as one zipapp
locks        machine-written pins
"""
