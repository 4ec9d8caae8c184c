"""The pods of these tests."""

WEB = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  initContainers:
    - name: redirect
      image: openservicemesh/osm-init:TAG
      securityContext: {runAsUser: 0, capabilities: {add: [NET_ADMIN, NET_RAW]}}
      command:
        - sh
        - -ec
        - |
          iptables -t nat -A PREROUTING -p tcp --dport 81 -j REDIRECT --to-port 8080
          iptables-save
    - name: envoy
      image: envoyproxy/envoy:ENVOY
      restartPolicy: Always
      args:
        - --config-yaml
        - "admin: {address: {socket_address: {address: 0.0.0.0, port_value: 15000}}}"
        - --concurrency
        - "1"
      securityContext: {runAsUser: 1500, runAsGroup: 1500}
      startupProbe: {httpGet: {port: 15000, path: /ready}, periodSeconds: 1}
  containers:
    - name: web
      image: openservicemesh/demo:latest
      imagePullPolicy: IfNotPresent
      command: [python3, -m, http.server, "8080", --directory, /opt/osm/bin]
      readinessProbe: {httpGet: {port: 8080, path: /osm}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 81}]}
"""
"""An app with a sidecar, whose port 81 exists only as a redirect that its init container writes."""

SERVICE = """
apiVersion: v1
kind: Pod
metadata: {name: SERVICE}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  securityContext: {runAsNonRoot: true}
  containers:
    - name: it
      image: openservicemesh/osm-SERVICE:TAG
      securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"""
"""A service as the chart confines it, but without settings: it says what it misses, and ends."""
