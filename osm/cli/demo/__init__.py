"""`osm demo`: the bookstore mesh, live with a person (`live`) or proven without one (`check`).

Both work on a copy of the manifests (`workshop`), in a mesh of real Envoys that runs as `osm up` runs it, and look at
it from outside: `board` holds what services report, `traffic` what sidecars count, `shop` asks the apps themselves.
"""
