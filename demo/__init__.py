"""The bookstore demo: five small apps in a mesh, and an echo pair that speaks every protocol of it.

Run one with `python3 -m demo.bookstore`. The apps know nothing of the mesh and import nothing of it:
they are the user's side, started unchanged as containers on a cluster and as processes on a laptop.

- `bookbuyer`, `bookthief`: buy books without end (`shopper`), and on request many at once (`burst`)
- `bookstore`: sells them and has the warehouse restock (`restock`)
- `bookwarehouse`: counts what it delivered
- `echo_server`, `echo_client`: HTTP/1.1, HTTP/2, gRPC, WebSocket and TCP, sent and compared (`probes`)

`manifests/` holds the bookstore, `protocols/` the echo pair, `edits/` what one adds by hand while it runs.
"""
