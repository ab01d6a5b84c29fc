"""One module an engine, each with the same two verbs.

install  software in a versioned folder; touches no service, so it also works on an image's tree
start    configuration, unit, and a model that answers
"""
