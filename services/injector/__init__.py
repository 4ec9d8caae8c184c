"""injector: gives new pods their sidecar, and sidecars what they start with.

Listens to: admission reviews of the API server; pods with a sidecar; `meshspec` (mesh) and `certmgr` (bundle).
Decides: whether a pod gets a sidecar and why; the JSON patch; whether a policy object may be stored.
Publishes: patches and verdicts as answers; a Secret for each sidecar; the trust that the API server has in us.
"""
