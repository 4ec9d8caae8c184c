"""The CLI on a Kubernetes cluster: install, join namespaces, look inside, judge, and take away again.

Apart from the commands for a mesh of processes, because everything here starts from a kubeconfig. What judges is pure
(`pod_problems`, `leftovers`, `judged…`); kubectl and helm are run for what they do better; the API is asked through
`osm.k8s`, imported when a command runs, so that `osm --help` does not wait for it.
"""
