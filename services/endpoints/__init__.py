"""endpoints: says what serves what, and where, on one platform: processes of a folder, or a Kubernetes cluster.

Listens to: the folder's Namespaces, ServiceAccounts and Services, and bucket `local` for what runs; or the cluster's
Namespaces, ServiceAccounts, Services, EndpointSlices and Pods.
Decides: which addresses serve which service port, and under which identity.
Publishes: `service` and `workload` documents, `identity` for every meshed account, `bare` for addresses without a
sidecar; verdicts and progress to `status`.
"""
