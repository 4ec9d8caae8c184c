"""The Kubernetes API for our services: objects in, objects out, followed as they change.

The only package that knows the client library; it decides nothing about the mesh.

    resource    which kinds there are, and their paths
    objects     Kubernetes' own kinds, the fields that we read
    errors      what can go wrong, with a sentence
    decoding    JSON → objects, however deep
    access      where the server is, and how we log in; `kubeconfig` reads, `credentials` are what it leads to
    connection  HTTP: credentials, deadlines, lines; `connection_failure` says why there was no answer
    selection   which objects of a kind, and how much of each
    client      get, list, create, replace, patch, delete
    follow      all objects of a kind as they change; `watch_state` decides, `retry_policy` waits, `measures` counts
    lease       the right to do something alone; `lease_state` decides
    events      what `kubectl describe` shows
"""
