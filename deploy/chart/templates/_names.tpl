{{/* Names, labels and other small texts that several templates need. */}}

{{- define "osm.namespace" -}}
{{ .Values.osm.osmNamespace | default .Release.Namespace }}
{{- end }}

{{/* On every object: by these `osm` finds what belongs to a mesh, and uninstalls it. */}}
{{- define "osm.labels" -}}
app.kubernetes.io/name: openservicemesh.io
app.kubernetes.io/instance: {{ .Values.osm.meshName }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{/* Of (root, component): our image of a component, by digest if one is given. */}}
{{- define "osm.image" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $image := $root.Values.osm.image -}}
{{- $name := printf "%s/osm-%s" $image.registry $component -}}
{{- with index $image.digest $component -}}
{{ $name }}@{{ . }}
{{- else -}}
{{ $name }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "osm.nats.host" -}}
osm-nats.{{ include "osm.namespace" . }}.svc.{{ .Values.osm.clusterDomain }}
{{- end }}

{{/* Our services know four levels, OSM knew eight. */}}
{{- define "osm.logLevel" -}}
{{- $ours := dict "trace" "debug" "warn" "warning" "fatal" "error" "panic" "error" "disabled" "error" -}}
{{ get $ours .Values.osm.controllerLogLevel | default .Values.osm.controllerLogLevel }}
{{- end }}

{{/* What a pod of ours may do to its node: nothing. Of a numeric user id. */}}
{{- define "osm.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "osm.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Of (name, that part of the values): where the pods of one of our services may run. */}}
{{- define "osm.placement" -}}
{{- $name := index . 0 -}}
{{- $values := index . 1 -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        app: {{ $name }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* One pod may be away at a time: a node that is drained does not wait for a service with one replica. */}}
{{- define "osm.disruptionBudget" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  namespace: {{ include "osm.namespace" $root }}
  labels:
    app: {{ $name }}
    {{- include "osm.labels" $root | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      app: {{ $name }}
{{- end }}
