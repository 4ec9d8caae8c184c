"""What the services say to each other: every type that crosses the bus, and every channel.

Apart from the code that uses it, because it is the one thing all services agree on.
Pure: no clock, no environment, no input or output, no Kubernetes and no Envoy types.

    names      identities, services, objects: how things are called
    policy     what users ask for (Service Mesh Interface, MeshConfig), parsed and valid
    endpoints  what runs where, and under which identity
    catalog    what follows from both: who may talk to whom
    trust      certificate requests, chains and bundles
    quarantine what proxies have rejected, and what is served in its place
    problem    a user's mistake, as a value
    status     what services report about themselves, proxies and users' objects
    labels     by which words a mesh is known in a cluster, where services meet without a bus
    channels   the one table of everything on the bus
    codec      how all of it becomes bytes
"""
