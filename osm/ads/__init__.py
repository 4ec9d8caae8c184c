"""The xDS protocol engine: groups of proxies, type URLs, names and encoded resources.

Data flows `wire` → `stream` (→ `delta` | `sotw`) → `engine` → `server`.
It is separate because it knows nothing of the mesh: the `xds` service translates documents to resources and
gives them to the engine; tests give it resources by hand.
"""
