{{/* What nats-server reads. It reads it once, so a pod's annotation names the text: another text, another pod. */}}
{{- define "osm.nats.config" -}}
{{- $root := . -}}
{{- $values := .Values.osm.nats -}}
server_name: $POD_NAME
port: 4222
# For probes alone, which run inside: it tells everyone who asks who is connected and what they read.
http: 127.0.0.1:8222
# A larger document is its owner's problem, by name.
max_payload: 8MB
# A reader that cannot keep up is cut off; it reads everything anew.
write_deadline: "10s"
tls {
  cert_file: /etc/osm/tls/tls.crt
  key_file: /etc/osm/tls/tls.key
  timeout: 5
}
jetstream {
  store_dir: /data
  max_memory_store: 256MB
  max_file_store: {{ $values.storageMiB }}MB
}
{{- if gt (int $values.replicaCount) 1 }}
cluster {
  name: osm
  port: 6222
  # Clients know the Service; the pods' addresses are in nobody's certificate.
  no_advertise: true
  routes: [
    {{- range $number := until (int $values.replicaCount) }}
    tls://osm-nats-{{ $number }}.osm-nats-headless.{{ include "osm.namespace" $root }}.svc.{{ $root.Values.osm.clusterDomain }}:6222
    {{- end }}
  ]
  tls {
    cert_file: /etc/osm/tls/tls.crt
    key_file: /etc/osm/tls/tls.key
    ca_file: /etc/osm/tls/ca.crt
    verify: true
    timeout: 5
  }
}
{{- end }}
include ./users.conf
{{- end }}
