"""What every service process is made of: settings, logging, health, metrics, tracing, and how it runs and ends.

A service is a function `run(bus, settings, health)` in its `app.py`; this package gives it the three and a task group.
`process.serve` is one service in a process of its own; `service.run_service` is one of several in a shared one.
It knows no service.
"""
