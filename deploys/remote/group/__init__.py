"""One model over several machines: started together, watched together, ended together."""
