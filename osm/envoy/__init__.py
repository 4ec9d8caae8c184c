"""One Envoy: where its program is, what it starts with, how it lives as a process, what it says of itself.

Shared by `local`, which runs Envoys, and `injector`, which only writes what they start with.

    binary     where the program is
    bootstrap  what a sidecar must know before it has asked xds (pure)
    process    one Envoy as a child process
    admin      read-only questions to its admin interface
    child      any program as a child process; `local` runs apps with it too
    leash      what keeps a child from outliving its parent
"""
