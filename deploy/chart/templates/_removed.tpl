{{/*
Values that OSM had and this chart has not are refused by name, all at once: to ignore them would not do what was
asked. Those that ask for nothing (osm.deployGrafana: false) pass, so that a whole values.yaml of OSM can be gone through.
*/}}
{{- define "osm.refuseRemoved" -}}
{{- $wrong := list }}
{{- range (.Files.Get "files/removed.yaml" | fromYaml).removed }}
{{- $found := $.Values }}
{{- range splitList "." .value }}
{{- $found = kindIs "map" $found | ternary (get (kindIs "map" $found | ternary $found dict) .) "" }}
{{- end }}
{{- $asked := not (or (kindIs "invalid" $found) (and (kindIs "string" $found) (eq (toString $found) ""))) }}
{{- range .pass }}
{{- if deepEqual . $found }}
{{- $asked = false }}
{{- end }}
{{- end }}
{{- if $asked }}
{{- $wrong = append $wrong (printf "%s: found %s, but %s" .value (toJson $found) .instead) }}
{{- end }}
{{- end }}
{{- $wrong = concat $wrong (include "osm.ca.wrong" . | fromJsonArray) }}
{{- if $wrong }}
{{- fail (printf "\n%s" (join "\n" $wrong)) }}
{{- end }}
{{- end }}
