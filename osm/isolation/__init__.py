"""A network of the mesh's own, made without root: a user namespace, and in it a network namespace for each workload.

Apart from `services.local`, which fills it, because whoever starts a mesh must enter it first and look into it later.
Linux only. It knows no Envoy and no manifest; what may pass is decided by redirect rules and sidecars.
"""
