"""The Kubernetes API for our services: objects in, objects out, followed as they change.

The only package that knows the client library; it decides nothing about the mesh.

    resource    which kinds there are, and their paths
    objects     Kubernetes' own kinds, the fields that we read
    errors      what can go wrong, with a sentence
    reading     JSON → objects, however deep
    access      where the server is, and how we log in; `kubeconfig` reads, `credentials` are what it leads to
    connection  HTTP: credentials, patience, lines
    selection   which objects of a kind, and how much of each
    client      get, list, create, replace, patch, delete
    follow      all objects of a kind as they change; `known` decides, `patience` waits, `measures` counts
    lease       the right to do something alone; `tenure` decides
    events      what `kubectl describe` shows
"""
