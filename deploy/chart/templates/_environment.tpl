{{/* What each service finds in its environment. docs/settings.md says what the variables mean. */}}

{{/* Of (root, service). */}}
{{- define "osm.environment" -}}
{{- $root := index . 0 -}}
{{- $service := index . 1 -}}
{{- $osm := $root.Values.osm -}}
- name: OSM_REPLICA
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
# What would be written to a home goes where something may be written at all.
- name: HOME
  value: /tmp
- name: OSM_BUS
  value: tls://{{ include "osm.nats.host" $root }}:4222
- name: OSM_TRUST_DOMAIN
  value: {{ $osm.trustDomain | quote }}
- name: OSM_LOG_LEVEL
  value: {{ include "osm.logLevel" $root }}
- name: OSM_HTTP
  value: 0.0.0.0:9091
- name: OSM_METRICS_TOKEN_FILE
  value: /etc/osm/metrics/token
{{- with $osm.otlpEndpoint }}
- name: OSM_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
- name: OSM_NATS_CA_FILE
  value: /etc/osm/nats/ca.crt
- name: OSM_NATS_PASSWORD_FILE
  value: /etc/osm/nats/password
- name: OSM_NATS_WRITERS_FILE
  value: /etc/osm/nats/writers.json
{{- if ne $service "injector" }}
- name: OSM_NATS_SIGNING_KEY_FILE
  value: /etc/osm/nats/signing.key
{{- end }}
- name: OSM_NATS_REPLICAS
  value: {{ $osm.nats.replicaCount | quote }}
{{- include (printf "osm.environment.%s" $service) $root }}
{{- end }}

{{- define "osm.environment.catalog" }}
- name: OSM_CATALOG_NAMESPACE
  value: {{ include "osm.namespace" . }}
{{- end }}

{{- define "osm.environment.certmgr" }}
- name: OSM_CERTMGR_STORE
  value: kubernetes
- name: OSM_CERTMGR_NAMESPACE
  value: {{ include "osm.namespace" . }}
{{- include "osm.ca.environment" . }}
{{- end }}

{{- define "osm.environment.endpoints" }}
- name: OSM_ENDPOINTS_PLATFORM
  value: kubernetes
- name: OSM_ENDPOINTS_MESH_NAME
  value: {{ .Values.osm.meshName }}
- name: OSM_ENDPOINTS_NAMESPACE
  value: {{ include "osm.namespace" . }}
{{- end }}

{{- define "osm.environment.meshspec" }}
- name: OSM_MESHSPEC_PLATFORM
  value: kubernetes
- name: OSM_MESHSPEC_MESH_NAME
  value: {{ .Values.osm.meshName }}
- name: OSM_MESHSPEC_NAMESPACE
  value: {{ include "osm.namespace" . }}
{{- end }}

{{- define "osm.environment.xds" }}
- name: OSM_XDS_LISTEN
  value: 0.0.0.0:15128
- name: OSM_XDS_NAMESPACE
  value: {{ include "osm.namespace" . }}
{{- with .Values.osm.xds.canary }}
{{- if .trafficSeconds }}
- name: OSM_XDS_CANARY_TRAFFIC_S
  value: {{ .trafficSeconds | quote }}
- name: OSM_XDS_CANARY_MARGIN
  value: {{ .margin | quote }}
- name: OSM_XDS_CANARY_REQUESTS
  value: {{ .requests | int | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "osm.environment.injector" }}
- name: OSM_INJECTOR_NAMESPACE
  value: {{ include "osm.namespace" . }}
- name: OSM_INJECTOR_MESH
  value: {{ .Values.osm.meshName }}
- name: OSM_INJECTOR_LISTEN
  value: 0.0.0.0:9090
- name: OSM_INJECTOR_XDS
  value: osm-xds.{{ include "osm.namespace" . }}.svc.{{ .Values.osm.clusterDomain }}:15128
- name: OSM_INJECTOR_ENVOY_IMAGE
  value: {{ .Values.osm.sidecarImage | quote }}
- name: OSM_INJECTOR_INIT_IMAGE
  value: {{ include "osm.image" (list . "init") | quote }}
- name: OSM_INJECTOR_IMAGE_PULL_POLICY
  value: {{ .Values.osm.image.pullPolicy }}
- name: OSM_INJECTOR_NATIVE_SIDECARS
  value: {{ .Values.osm.nativeSidecars }}
{{- if .Values.osm.xds.canary.trafficSeconds }}
- name: OSM_INJECTOR_LOAD_REPORTS
  value: "true"
{{- end }}
{{- end }}
