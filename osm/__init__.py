"""A light service mesh control plane for Envoy: small services that publish state over a bus.

This package is what the services share; it knows none of them.
Start reading at `osm.contracts`: what the services say to each other.
"""
