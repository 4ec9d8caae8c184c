"""xds: configures Envoys.

Listens to: catalog (policies, services, workloads, mesh), certmgr (bundle).
Decides: Envoy resources, once per class of proxy, encoded once.
Publishes: ADS streams; what each proxy has acknowledged or rejected to `status`.
"""
