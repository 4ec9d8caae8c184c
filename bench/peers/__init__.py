"""Others beside our xds, in the same run: the same mesh, the same proxies, the same machine.

    python -m bench.peers

`recorded` writes down what xds serves, and `../go/gocontrolplane` serves the same from go-control-plane's caches.
`istio` runs the stock istiod before a real API server (`cluster`), and proxies that speak as its own do. `plan` puts
all through one series of changes; `result` and `table` tell. Ratios within a run are what counts.
"""
