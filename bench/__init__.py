"""The benchmark: time and CPU from a change on the bus to the last proxy's acknowledgement, and memory per proxy.

    python -m bench [--quick]

`world` says what the mesh is made of, `mesh` runs it with real services, `go/proxies` plays its proxies, `echo` is
the least that gRPC can do, for comparison. `plan` runs them together; `result` holds the figures,
`table` and `page` show them. Not shipped.
"""
