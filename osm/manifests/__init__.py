"""A folder of ordinary Kubernetes YAML as a source of objects, for every service that reads what users write.

What the objects mean is the reader's question; here they are found, placed (file and line) and kept.
Importing this package starts nothing; only `folder` touches files.

    document   what is found: one object with its place, and a whole folder of them
    yaml       text → documents
    values     YAML's nodes → plain values with their places
    naming     which object a mapping is
    convert    one document → one typed struct, or what is wrong with it and where
    folder     files → a scan, and a new one whenever they change
    last_good  scans → the objects in force: what was good stays while its text is broken
    verdicts   what a service says of the objects it read
    wording    how sentences show values and name what is nearest
    workloads  the kinds that run, as structs; `pods` what those hold
    explicit_ports  where sidecars offer service ports to their own apps
    virtual_ips     an address for each Service, where no cluster gives one
"""

from osm.manifests.document import Parsed, RawDocument, Scan

__all__ = ["Parsed", "RawDocument", "Scan"]
