"""One Envoy: where its program is, what it starts with, how it lives as a process, what it says of itself.

Shared by `local`, which runs Envoys, and `injector`, which only writes what they start with.

    binary           where the program is
    bootstrap        what a sidecar must know before it has asked xds (pure)
    pod              the same in a pod: `probes` for kubelet, `plaintext_listener` requests in the clear (pure)
    redirect         which connections the kernel leads to a sidecar, by iptables rules; `ports` they lead to (pure)
    process          one Envoy as a process
    admin            read-only questions to its admin interface
    child            any program as a process, started or found running; `local` runs apps with it too
    end_with_parent  what keeps a child from outliving its parent, or not before it is recorded
    process_record   a process written down, so that it is found again and never mistaken
    cleanup          the process that ends all recorded processes when the mesh ends, however it ends
"""
