"""Who may talk to whom, and how traffic is split.

Listens to `meshspec` (what users ask for) and `endpoints` (what runs where).
Decides what each identity may receive and reach, which split of a service is in force, and what a workload logs.
Publishes `catalog`: one policy per identity, one document per service and per workload, mesh-wide settings.
"""
