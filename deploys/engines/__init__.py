"""Deploys of the engines, one module per engine, each with the same two functions.

install  install the software in a versioned directory; touches no service, so it also works while
         an image is built
start    write the configuration, start the units, and wait for the models to answer
"""
