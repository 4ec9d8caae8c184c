{{/* What `osm prepare` runs as, and what it is given. */}}

{{/* Users of the bus, from the one list there is. */}}
{{- define "osm.users" -}}
{{- $users := list }}
{{- range regexFindAll "user: [a-z]+" (.Files.Get "files/users.conf") -1 }}
{{- $users = append $users (trimPrefix "user: " .) }}
{{- end }}
{{- $users | sortAlpha | toJson }}
{{- end }}

{{- define "osm.preparePod" -}}
{{- $osm := .Values.osm -}}
metadata:
  labels:
    app: osm-prepare
    {{- include "osm.labels" . | nindent 4 }}
spec:
  restartPolicy: OnFailure
  serviceAccountName: osm-prepare
  automountServiceAccountToken: true
  enableServiceLinks: false
  securityContext:
    {{- include "osm.podSecurity" 65532 | nindent 4 }}
  {{- with $osm.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $osm.certmgr.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $osm.certmgr.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: prepare
      image: {{ include "osm.image" (list . "certmgr") | quote }}
      imagePullPolicy: {{ $osm.image.pullPolicy }}
      command: [osm, prepare]
      args:
        - --osm-namespace={{ include "osm.namespace" . }}
        - --mesh-name={{ $osm.meshName }}
        - --trust-domain={{ $osm.trustDomain }}
        - --cluster-domain={{ $osm.clusterDomain }}
        - --ca-bundle-secret={{ include "osm.ca.rootSecret" . }}
        - --mesh-config=/etc/osm/preset/preset-mesh-config.json
        {{- if $osm.enableAccessLog }}
        - --access-log
        {{- end }}
      env:
        - name: HOME
          value: /tmp
      resources:
        requests: {cpu: 50m, memory: 96M}
        limits: {memory: 256M}
      securityContext:
        {{- include "osm.containerSecurity" . | nindent 8 }}
      volumeMounts:
        - name: preset
          mountPath: /etc/osm/preset
          readOnly: true
        - name: tmp
          mountPath: /tmp
  volumes:
    - name: preset
      configMap:
        name: preset-mesh-config
    - name: tmp
      emptyDir:
        sizeLimit: 64Mi
{{- end }}

{{/* The spec that osm-mesh-config has when a mesh is new. */}}
{{- define "osm.presetMeshConfig" -}}
{{- $osm := .Values.osm -}}
sidecar:
  enablePrivilegedInitContainer: {{ $osm.enablePrivilegedInitContainer }}
  logLevel: {{ $osm.envoyLogLevel | quote }}
  maxDataPlaneConnections: {{ $osm.maxDataPlaneConnections }}
  configResyncInterval: {{ $osm.configResyncInterval | quote }}
  localProxyMode: {{ $osm.localProxyMode }}
traffic:
  enableEgress: {{ $osm.enableEgress }}
  enablePermissiveTrafficPolicyMode: {{ $osm.enablePermissiveTrafficPolicy }}
  outboundIPRangeExclusionList: {{ toJson $osm.outboundIPRangeExclusionList }}
  outboundIPRangeInclusionList: {{ toJson $osm.outboundIPRangeInclusionList }}
  outboundPortExclusionList: {{ toJson $osm.outboundPortExclusionList }}
  inboundPortExclusionList: {{ toJson $osm.inboundPortExclusionList }}
  networkInterfaceExclusionList: {{ toJson $osm.networkInterfaceExclusionList }}
observability:
  enableDebugServer: {{ $osm.enableDebugServer }}
  tracing:
    enable: {{ $osm.tracing.enable }}
    {{- if $osm.tracing.enable }}
    address: {{ $osm.tracing.address | default (printf "jaeger.%s.svc.%s" (include "osm.namespace" .) $osm.clusterDomain) | quote }}
    port: {{ $osm.tracing.port }}
    endpoint: {{ $osm.tracing.endpoint | quote }}
    {{- end }}
certificate:
  serviceCertValidityDuration: {{ $osm.certificateProvider.serviceCertValidityDuration | quote }}
  certKeyBitSize: {{ $osm.certificateProvider.certKeyBitSize }}
{{- with $osm.featureFlags }}
featureFlags:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
