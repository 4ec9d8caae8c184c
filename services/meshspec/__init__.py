"""meshspec: says what users ask for, and what is wrong with how they wrote it.

Listens to: SMI and OSM policies, in a folder of YAML or followed on a Kubernetes cluster.
Decides: what each object means, which one counts, and what is invalid and why.
Publishes: one document per policy and the mesh-wide settings; verdicts on objects and files to `status`;
on a cluster also at the objects themselves.
"""
