{{/* Who issues certificates: what certmgr is told, mounts and runs beside it. Values are judged here, all at once. */}}

{{- define "osm.ca.wrong" -}}
{{- $osm := .Values.osm -}}
{{- $kind := $osm.certificateProvider.kind -}}
{{- $wrong := list -}}
{{- if eq $kind "vault" -}}
{{- if not $osm.vault.host -}}
{{- $wrong = append $wrong "osm.vault.host: found nothing, and osm.certificateProvider.kind is vault" -}}
{{- end -}}
{{- if ne $osm.vault.protocol "https" -}}
{{- $wrong = append $wrong (printf "osm.vault.protocol: found %q, allowed is https: the token that goes there signs for the whole mesh" $osm.vault.protocol) -}}
{{- end -}}
{{- if not (or $osm.vault.token (and $osm.vault.secret.name $osm.vault.secret.key)) -}}
{{- $wrong = append $wrong "osm.vault.secret: found no name and key, and no osm.vault.token; name the Secret that has the token" -}}
{{- end -}}
{{- end -}}
{{- if and (eq $kind "external") (not $osm.externalCA.address) -}}
{{- $wrong = append $wrong "osm.externalCA.address: found nothing, and osm.certificateProvider.kind is external" -}}
{{- end -}}
{{- if and (eq $kind "external") (not (hasPrefix "unix:" $osm.externalCA.address)) (not $osm.externalCA.secretName) -}}
{{- $wrong = append $wrong "osm.externalCA.secretName: found nothing; name the Secret with the roots of the plug-in's certificate (ca.crt)" -}}
{{- end -}}
{{- $wrong | toJson -}}
{{- end }}

{{/* The Secret of the mesh's root, or nothing if the root is elsewhere. */}}
{{- define "osm.ca.rootSecret" -}}
{{- if eq .Values.osm.certificateProvider.kind "tresor" }}{{ .Values.osm.caBundleSecretName }}{{ end -}}
{{- end }}

{{- define "osm.ca.environment" -}}
{{- $osm := .Values.osm -}}
{{- $kind := $osm.certificateProvider.kind }}
{{- if eq $kind "tresor" }}
- name: OSM_CERTMGR_CA_SECRET
  value: {{ $osm.caBundleSecretName }}
{{- else }}
- name: OSM_CERTMGR_PROVIDER
  value: {{ $kind }}
{{- if $osm.rootCertificate }}
- name: OSM_CERTMGR_ROOT_FILE
  value: /etc/osm/root/ca.crt
{{- end }}
{{- end }}
{{- if eq $kind "vault" }}
{{- with $osm.vault }}
- name: OSM_CERTMGR_VAULT_ADDRESS
  value: {{ printf "%s://%s:%d" .protocol .host (int .port) | quote }}
- name: OSM_CERTMGR_VAULT_MOUNT
  value: {{ .mount | quote }}
- name: OSM_CERTMGR_VAULT_ROLE
  value: {{ .role | quote }}
{{- if .proxyRole }}
- name: OSM_CERTMGR_VAULT_PROXY_ROLE
  value: {{ .proxyRole | quote }}
{{- end }}
{{- if .namespace }}
- name: OSM_CERTMGR_VAULT_NAMESPACE
  value: {{ .namespace | quote }}
{{- end }}
- name: OSM_CERTMGR_VAULT_TOKEN_FILE
  value: /etc/osm/vault/{{ if .secret.name }}{{ .secret.key }}{{ else }}token{{ end }}
{{- if .caSecretName }}
- name: OSM_CERTMGR_VAULT_CA_FILE
  value: /etc/osm/ca/ca.crt
{{- end }}
{{- end }}
{{- else if eq $kind "cert-manager" }}
- name: OSM_CERTMGR_CERT_MANAGER_ISSUER
  value: {{ $osm.certmanager.issuerName | quote }}
- name: OSM_CERTMGR_CERT_MANAGER_KIND
  value: {{ $osm.certmanager.issuerKind | quote }}
- name: OSM_CERTMGR_CERT_MANAGER_GROUP
  value: {{ $osm.certmanager.issuerGroup | quote }}
{{- else if eq $kind "external" }}
{{- with $osm.externalCA }}
- name: OSM_CERTMGR_EXTERNAL_ADDRESS
  value: {{ .address | quote }}
{{- if .serverName }}
- name: OSM_CERTMGR_EXTERNAL_SERVER_NAME
  value: {{ .serverName | quote }}
{{- end }}
{{- if .secretName }}
- name: OSM_CERTMGR_EXTERNAL_CA_FILE
  value: /etc/osm/ca/ca.crt
{{- if .clientCertificate }}
- name: OSM_CERTMGR_EXTERNAL_CERTIFICATE_FILE
  value: /etc/osm/ca/tls.crt
- name: OSM_CERTMGR_EXTERNAL_KEY_FILE
  value: /etc/osm/ca/tls.key
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The Secret that certmgr trusts its provider by, if there is one. */}}
{{- define "osm.ca.trustSecret" -}}
{{- $osm := .Values.osm -}}
{{- if eq $osm.certificateProvider.kind "vault" }}{{ $osm.vault.caSecretName }}
{{- else if eq $osm.certificateProvider.kind "external" }}{{ $osm.externalCA.secretName }}
{{- end -}}
{{- end }}

{{- define "osm.ca.mounts" -}}
{{- $osm := .Values.osm -}}
{{- $kind := $osm.certificateProvider.kind -}}
{{- if and $osm.rootCertificate (ne $kind "tresor") }}
- name: root
  mountPath: /etc/osm/root
  readOnly: true
{{- end }}
{{- if include "osm.ca.trustSecret" . }}
- name: ca
  mountPath: /etc/osm/ca
  readOnly: true
{{- end }}
{{- if eq $kind "vault" }}
- name: vault
  mountPath: /etc/osm/vault
  readOnly: true
{{- end }}
{{- if and (eq $kind "external") $osm.externalCA.container }}
- name: plugin
  mountPath: /run/osm/ca
{{- end }}
{{- end }}

{{- define "osm.ca.volumes" -}}
{{- $osm := .Values.osm -}}
{{- $kind := $osm.certificateProvider.kind -}}
{{- if and $osm.rootCertificate (ne $kind "tresor") }}
- name: root
  configMap:
    name: osm-root
{{- end }}
{{- with include "osm.ca.trustSecret" . }}
- name: ca
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- if eq $kind "vault" }}
- name: vault
  secret:
    secretName: {{ $osm.vault.secret.name | default "osm-vault-token" }}
    defaultMode: 0440
{{- end }}
{{- if and (eq $kind "external") $osm.externalCA.container }}
- name: plugin
  emptyDir:
    sizeLimit: 16Mi
{{- end }}
{{- end }}

{{/* The plug-in's container, with the folder of its socket. It runs as the pod does, so the socket can be its own. */}}
{{- define "osm.ca.container" -}}
{{- $osm := .Values.osm -}}
{{- if and (eq $osm.certificateProvider.kind "external") $osm.externalCA.container -}}
{{- $given := $osm.externalCA.container -}}
{{- $mount := dict "name" "plugin" "mountPath" "/run/osm/ca" -}}
{{- $security := include "osm.containerSecurity" . | fromYaml -}}
{{- $default := dict "name" "ca-plugin" "securityContext" $security -}}
{{- $mounts := append ($given.volumeMounts | default list) $mount -}}
{{- list (merge (dict "volumeMounts" $mounts) $given $default) | toYaml -}}
{{- end -}}
{{- end }}
