"""What every service process is made of: settings, logging, health, metrics, tracing, and how it runs and ends.

A service is a function `run(bus, settings, health)` in its `app.py`; this package gives it the three and a task group.
`process.serve` is one service in a process of its own; `service.run_service` is one of several in a shared one.
It knows no service.

    settings  one frozen struct a service, read from the environment once
    process   a whole process; `service` one service in it; `restarts` how long to wait before the next start
    health    starting, standby, active; `http` shows it to kubelet, beside the metrics
    https     questions from strangers: admission reviews
    logging   structured, on stderr; `metrics` and `tracing` likewise for numbers and spans
"""
