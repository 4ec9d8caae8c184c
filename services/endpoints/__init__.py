"""endpoints: says what serves what, and where, on the process platform.

Listens to: the folder's Namespaces, ServiceAccounts and Services; bucket `local` for what runs.
Decides: which addresses serve which service port, and under which identity.
Publishes: `service` and `workload` documents, `identity` for every meshed account; verdicts and progress to `status`.
"""
