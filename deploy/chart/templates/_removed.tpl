{{/* Values that OSM had and this chart has not are refused by name, since to ignore them would not do what was asked. */}}
{{- define "osm.refuseRemoved" -}}
{{- range (.Files.Get "files/removed.yaml" | fromYaml).removed }}
{{- $found := $.Values }}
{{- range splitList "." .value }}
{{- if kindIs "map" $found }}
{{- $found = get $found . }}
{{- else }}
{{- $found = "" }}
{{- end }}
{{- end }}
{{- if not (or (and (kindIs "string" $found) (eq $found "")) (kindIs "invalid" $found)) }}
{{- $passes := false }}
{{- range .pass }}
{{- if deepEqual . $found }}
{{- $passes = true }}
{{- end }}
{{- end }}
{{- if not $passes }}
{{- fail (printf "%s: found %s, and this chart has no such value: %s" .value (toJson $found) .instead) }}
{{- end }}
{{- end }}
{{- end }}
{{- if ne .Values.osm.certificateProvider.kind "tresor" }}
{{- fail (printf "osm.certificateProvider.kind: found %q, allowed is tresor: certificates come from the built-in issuer alone" .Values.osm.certificateProvider.kind) }}
{{- end }}
{{- end }}
