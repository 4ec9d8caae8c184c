"""meshspec: says what users ask for, and what is wrong with how they wrote it.

Listens to: a folder of YAML with SMI and OSM policies (Kubernetes watches take its place on a cluster).
Decides: what each object means, which one counts, and what is invalid and why.
Publishes: one document per policy and the mesh-wide settings; verdicts on objects and files to `status`.
"""
