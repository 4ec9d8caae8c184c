"""How an Envoy parts with connections whose listener or chain is another now, so that a new rule holds for them too.

Shared by all who start one. HTTP connections end with their next answer, which says so to the caller: by Envoy's own
way they might go on for most of the time below. Others, of which nobody knows where an answer ends, have that time.
"""

DRAIN_TIME_S = 45
"""How long connections of a listener that was replaced may stay; Envoy's own ten minutes keep what was revoked."""

DRAINING = ("--drain-time-s", str(DRAIN_TIME_S), "--drain-strategy", "immediate")
"""Of Envoy's command line."""
