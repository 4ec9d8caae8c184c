"""`osm demo`: the bookstore mesh, live, with a person (`live`) or without one (`check`).

Both work on a copy of the manifests (`workshop`), in a mesh of real Envoys that runs as `osm up` runs it.
"""
