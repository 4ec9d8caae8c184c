"""What every service process is made of: settings, logging, health, metrics, tracing, and how it runs and ends.

A service is a function `run(bus, settings, health)` in its `app.py`; this package gives it the three and a task group.
It knows no service.
"""
