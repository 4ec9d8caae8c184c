"""How fast, how dear: from a change on the bus to the last proxy's acknowledgement, and what a proxy costs.

    python -m bench [--quick]

`world` says what the mesh is made of, `mesh` runs it with real services, `go/proxies` plays its proxies, `echo` is
the least that gRPC can do, for comparison. `plan` puts them through their paces; `result`, `table` and `page` tell.
Not shipped: it measures what is.
"""
