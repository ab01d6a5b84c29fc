"""modelrack: from a bare Linux machine to an answered chat request.

The top level holds only what one runs; the rest, in the order data flows through it:

planning     decides: profile + site + machine -> HostPlan. Pure, no I/O, no pyinfra
facts        reads: what is there, one typed object per host
operations   changes: our own pyinfra operations, each read, diff, noop, yield
stages       what every machine gets, in run order
engines      one module an engine
remote       programs that run on the machine, uploaded as one zipapp
locks        machine-written pins
"""
