"""The ports that a transparent sidecar takes in its pod: OSM's numbers, so that network policies and dashboards fit.

One place, because the redirect rules must leave alone exactly what the bootstrap opens.
"""

ADMIN = 15000
"""Loopback only, and read-only: the admin interface, of which only the pages that change nothing are served."""
OUTBOUND = 15001
INBOUND = 15003
METRICS = 15010
READY = 15021
LIVENESS = 15901
READINESS = 15902
STARTUP = 15903

UNREDIRECTED = (METRICS, READY, LIVENESS, READINESS, STARTUP)
"""What kubelet and Prometheus reach without mutual TLS."""

PROXY_UID = 1500
"""Whose traffic the redirect rules leave alone; no container of an app may run as it."""
