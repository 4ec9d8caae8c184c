"""local: runs the folder's workloads as processes of this machine, each with an Envoy of its own.

Listens to: the folder's Deployments, StatefulSets and Pods; bucket `certmgr` for the roots
Envoys trust; bucket `endpoints` for the accounts that are in the mesh.
Decides: what must run here, on which loopback addresses, and when it is ready.
Publishes: bucket `local`, one document a workload; verdicts and process lines to `status`; answers `proxy-admin`.
"""
