"""`osm demo`: the bookstore mesh, live with a person (`live`) or proven without one (`check`).

Both work on a copy of the manifests (`manifest_copy`), in a mesh of real Envoys that runs as `osm up` runs it. They
look at it from outside: `mesh_status` holds what services report, `traffic` what sidecars count, and `shop` asks the
apps themselves.
"""
