"""A network of the mesh's own, made without root: a user namespace, and in it a network namespace for each workload.

Apart from `services.local`, which fills it, because whoever starts a mesh must enter it first and look into it later.
Linux only. It knows no Envoy and no manifest; what may pass is decided by redirect rules and sidecars.

    machine   whether this machine can do it, and if not, why
    network   the network as text: addresses, and what `ip` is told to make it (pure)
    making    runs `ip` and `iptables-restore`
    space     a network namespace: made, held, entered for a moment
    entering  the commands that put a program where it belongs
    outside   a process that stays outside and opens sockets there
    way_out   workloads' connections and name queries, carried on from outside; `carrying` joins the two ends
"""
