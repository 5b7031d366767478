{{/* Name of everything. */}}
{{- define "kvlease.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* Labels that a pod of this release has, and no other. */}}
{{- define "kvlease.selector" -}}
app.kubernetes.io/name: kvlease
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "kvlease.labels" -}}
{{ include "kvlease.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The arena in MiB, rounded up. */}}
{{- define "kvlease.capacityMiB" -}}
{{- $number := regexFind "^[0-9]+" .Values.capacity | int64 }}
{{- $unit := regexFind "[KMGT]iB$" .Values.capacity }}
{{- if eq $unit "KiB" }}{{ div (add $number 1023) 1024 }}
{{- else if eq $unit "MiB" }}{{ $number }}
{{- else if eq $unit "GiB" }}{{ mul $number 1024 }}
{{- else }}{{ mul $number 1048576 }}{{ end }}
{{- end }}

{{/* What the container needs, in MiB: docs/configuration.md, Memory. The manifest counts like the arena. */}}
{{- define "kvlease.memoryMiB" -}}
{{- $capacity := include "kvlease.capacityMiB" . | int64 }}
{{- $catalog := max 32 (div (add $capacity 63) 64) }}
{{- add $capacity (mul 2 $catalog) 64 (int64 .Values.resources.connectionMemoryMiB) }}
{{- end }}

{{- define "kvlease.listen" -}}
{{- if .Values.network.listen }}{{ .Values.network.listen }}
{{- else if .Values.network.host }}$(NODE_IP):{{ .Values.network.port }}
{{- else }}0.0.0.0:{{ .Values.network.port }}{{ end }}
{{- end }}

{{/* The file of settings that have no variables: the chart's tenants, and what the user adds. */}}
{{- define "kvlease.toml" -}}
{{- range $tenant := .Values.tenants.list }}
[tenant.{{ $tenant.name | quote }}]
{{- with $tenant.tokensKey }}
token_file = {{ printf "/etc/kvlease/tokens/%s" . | quote }}
{{- end }}
{{- range $ids := list "uids" "gids" }}
{{- with get $tenant $ids }}
{{ $ids }} = [{{ range $at, $id := . }}{{ if $at }}, {{ end }}{{ $id | int64 }}{{ end }}]
{{- end }}
{{- end }}
{{- range $names := list "listeners" "certificate_names" "read" "write" "remove" "list" "cache_salts" }}
{{- with get $tenant $names }}
{{ $names }} = {{ toJson . }}
{{- end }}
{{- end }}
{{- range $size := list "bytes_max" "bytes_guaranteed" }}
{{- with get $tenant $size }}
{{ $size }} = {{ . | quote }}
{{- end }}
{{- end }}
{{- range $number := list "objects_max" "leases_max" "requests_per_s" "connections_max" }}
{{- with get $tenant $number }}
{{ $number }} = {{ . | int64 }}
{{- end }}
{{- end }}
{{- range $flag := list "admin" "shares_arena" "cache_salt_required" }}
{{- if get $tenant $flag }}
{{ $flag }} = true
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.config }}
{{ . | trim }}
{{- end }}
{{- end }}

{{/* Stops the installation where values contradict each other, with the cure. */}}
{{- define "kvlease.check" -}}
{{- if and .Values.networkPolicy.enabled .Values.network.host }}
{{- fail "networkPolicy.enabled has no effect on pods in the node's network: set network.host=false, or use the node's firewall" }}
{{- end }}
{{- $port := printf ":%d" (int64 .Values.network.port) }}
{{- if and .Values.network.listen (not (hasSuffix $port .Values.network.listen)) }}
{{- fail (printf "network.listen=`%s` has another port than network.port: engines and probes use the latter" .Values.network.listen) }}
{{- end }}
{{- if and .Values.tenants.list (not .Values.tenants.secretName) }}
{{- range .Values.tenants.list }}
{{- if .tokensKey }}{{ fail (printf "tenants.secretName is empty: name the Secret that has the tokens of the tenant `%s`" .name) }}{{ end }}
{{- end }}
{{- end }}
{{- if and .Values.podMonitor.enabled .Values.tenants.list (not .Values.podMonitor.tokenSecretName) }}
{{- fail "podMonitor.tokenSecretName is empty: with tenants, metrics need the token of one with admin" }}
{{- end }}
{{- end }}
