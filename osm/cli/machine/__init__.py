"""A mesh on this machine, from the terminal: in one process or in pieces, ended with the command that started it.

Apart from the commands for any mesh beside it, and from those for a mesh on Kubernetes, because only here the CLI is
what starts services, and what must leave nothing behind.

    up          `osm up`; `osm.cli.demo` does the same with a mesh of its own
    start       in this process (`mesh`) or as pieces over NATS (`apart`), by the same two options
    isolating   whether workloads get a network of their own, and the step into it
    run_folder  what a mesh keeps while it runs, taken and given back
    pieces      which processes a mesh has that runs apart; each is `kept` running, and so is the bus (`own_nats`)
"""
