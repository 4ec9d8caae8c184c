"""The Kubernetes API for our services: objects in, objects out, followed as they change.

The only package that knows the client library; it decides nothing about the mesh.
"""
