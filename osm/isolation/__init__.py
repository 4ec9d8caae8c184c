"""A network of the mesh's own, made without root: a user namespace, and in it a network namespace for each workload.

Apart from `services.local`, which fills it, because whoever starts a mesh must enter it first and look into it later.
Linux only. It knows no Envoy and no manifest; what may pass is decided by redirect rules and sidecars.

    capability          whether this machine can do it, and if not, why
    network             the network as text: addresses, and what `ip` is told to make it (pure)
    network_setup       runs `ip` and `iptables-restore`
    network_namespace   a network namespace: made, held, entered for a moment
    namespace_commands  the commands that put a program where it belongs
    host_sockets        a process that stays outside and opens sockets there
    outbound_relay      workloads' connections and name queries, carried on from outside; `relay` joins the two ends
"""
