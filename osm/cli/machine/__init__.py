"""A mesh on this machine, from the terminal: all services in one process or each in its own, ended with the command.

Apart from the commands for any mesh beside it, and from those for a mesh on Kubernetes, because only here the CLI is
what starts services, and what must leave nothing behind.

    up              `osm up`; `osm.cli.demo` does the same with a mesh of its own
    start           in this process (`mesh`) or in separate processes over NATS (`separate_processes`)
    isolation_mode  whether workloads get a network of their own, and the step into it
    run_folder      what a mesh keeps while it runs, taken and given back
    process_specs   which processes a mesh over NATS has; each is a `supervised_process`, its `own_nats` too
"""
