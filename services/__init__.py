"""The services: each a folder, a process, and nothing that another imports. They meet on the bus.

Start with any of them: all have the same inner shape (`app` the shell, `state` what is believed, one decision a file).
"""
