{{- define "asr-gateway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Shorter than a name may be: the longest suffix is "-headless". */}}
{{- define "asr-gateway.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $full .Values.fullnameOverride | trunc 45 | trimSuffix "-" }}
{{- end }}

{{- define "asr-gateway.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "asr-gateway.serviceAccountName" -}}
{{- default (ternary (include "asr-gateway.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{/* What finds the gateway's pods. It may never change: a Deployment's selector cannot. */}}
{{- define "asr-gateway.selectorLabels" -}}
app.kubernetes.io/name: {{ include "asr-gateway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: gateway
{{- end }}

{{/* Of every object. */}}
{{- define "asr-gateway.labels" -}}
{{- $labels := include "asr-gateway.selectorLabels" . | fromYaml }}
{{- $_ := set $labels "app.kubernetes.io/version" (default .Chart.AppVersion .Values.image.tag | trunc 63 | trimAll "-._") }}
{{- $_ := set $labels "app.kubernetes.io/part-of" .Chart.Name }}
{{- $_ := set $labels "app.kubernetes.io/managed-by" .Release.Service }}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63) }}
{{- toYaml (merge $labels .Values.commonLabels) }}
{{- end }}

{{/* Of pods: nothing that a new chart with the same image changes, or its upgrade would end calls for no reason. */}}
{{- define "asr-gateway.podLabels" -}}
{{- $labels := include "asr-gateway.selectorLabels" . | fromYaml }}
{{- $_ := set $labels "app.kubernetes.io/version" (default .Chart.AppVersion .Values.image.tag | trunc 63 | trimAll "-._") }}
{{- $_ := set $labels "app.kubernetes.io/part-of" .Chart.Name }}
{{- toYaml (merge $labels .Values.podLabels .Values.commonLabels) }}
{{- end }}

{{/* metadata of an object: list of context, suffix of the name, labels, annotations. */}}
{{- define "asr-gateway.metadata" -}}
{{- $ := index . 0 -}}
name: {{ include "asr-gateway.fullname" $ }}{{ index . 1 }}
namespace: {{ include "asr-gateway.namespace" $ }}
labels:
  {{- merge (include "asr-gateway.labels" $ | fromYaml) (index . 2) | toYaml | nindent 2 }}
{{- with index . 3 }}
annotations:
  {{- tpl (toYaml .) $ | nindent 2 }}
{{- end }}
{{- end }}

{{- define "asr-gateway.image" -}}
{{- with .Values.image }}
{{- $name := ternary (printf "%s/%s" .registry .repository) .repository (ne .registry "") }}
{{- if .digest }}
{{- printf "%s@%s" $name .digest }}
{{- else }}
{{- printf "%s:%s" $name (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "asr-gateway.configMapName" -}}
{{- if .Values.existingConfigMap }}
{{- .Values.existingConfigMap }}
{{- else if .Values.config }}
{{- include "asr-gateway.fullname" . }}
{{- end }}
{{- end }}

{{- define "asr-gateway.dashscopeSecretName" -}}
{{- if .Values.dashscope.existingSecret }}
{{- .Values.dashscope.existingSecret }}
{{- else if .Values.dashscope.demoKey }}
{{- include "asr-gateway.fullname" . }}-demo
{{- end }}
{{- end }}

{{- define "asr-gateway.tlsSecretName" -}}
{{- if .Values.tls.certManager.enabled }}
{{- include "asr-gateway.fullname" . }}-tls
{{- else }}
{{- .Values.tls.existingSecret }}
{{- end }}
{{- end }}

{{/* Whether models of the vendor are served, as far as the values tell. */}}
{{- define "asr-gateway.hasKey" -}}
{{- with .Values.config }}
{{- if or .dashscope_api_key_file .endpoints .allow_caller_keys }}true{{ end }}
{{- end }}
{{- include "asr-gateway.dashscopeSecretName" . }}
{{- end }}

{{- define "asr-gateway.embeddedWorkers" -}}
{{- if kindIs "invalid" .Values.embeddedWorkers }}
{{- ternary 0 2 (ne (include "asr-gateway.hasKey" .) "") }}
{{- else }}
{{- int64 .Values.embeddedWorkers }}
{{- end }}
{{- end }}

{{- define "asr-gateway.maxStreams" -}}
{{- if not (kindIs "invalid" .Values.limits.maxStreams) }}
{{- int64 .Values.limits.maxStreams }}
{{- else if include "asr-gateway.hasKey" . }}
{{- print 500 }}
{{- else }}
{{- max 1 (include "asr-gateway.embeddedWorkers" . | int64) }}
{{- end }}
{{- end }}

{{/* How many open calls of a pod, of those it may have, the autoscaler aims at. */}}
{{- define "asr-gateway.targetStreams" -}}
{{- max 1 (div (mul 65 (include "asr-gateway.maxStreams" . | int64)) 100) }}
{{- end }}

{{- define "asr-gateway.drainTotal" -}}
{{- with .Values.drain }}
{{- add (int64 .preStopSeconds) (int64 .timeoutSeconds) (int64 .finalizeSeconds) 10 }}
{{- end }}
{{- end }}

{{- define "asr-gateway.gracePeriod" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds }}
{{- include "asr-gateway.drainTotal" . }}
{{- else }}
{{- int64 .Values.terminationGracePeriodSeconds }}
{{- end }}
{{- end }}

{{- define "asr-gateway.resources" -}}
{{- if .Values.resources }}
{{- toYaml .Values.resources }}
{{- else }}
{{- $workers := include "asr-gateway.embeddedWorkers" . | int64 }}
{{- $others := max 0 (sub (include "asr-gateway.maxStreams" . | int64) $workers) }}
{{- $temporary := .Values.tmp.sizeLimit | trimSuffix "Mi" | int64 }}
{{- $memory := add 192 (mul 112 $workers) $others $temporary -}}
requests:
  cpu: {{ add 250 (mul 100 $workers) }}m
  memory: {{ $memory }}Mi
limits:
  memory: {{ $memory }}Mi
{{- end }}
{{- end }}

{{/* Settings that values of the chart decide, by the name they have in the configuration file. */}}
{{- define "asr-gateway.settings" -}}
listen: {{ printf "%s:50051" .Values.listenHost | quote }}
health_listen: {{ printf "%s:50052" .Values.listenHost | quote }}
http_listen: {{ printf "%s:%d" (ternary .Values.listenHost "127.0.0.1" .Values.metrics.enabled) (int64 .Values.metrics.port) | quote }}
log_level: {{ .Values.logLevel | quote }}
embedded_workers: {{ include "asr-gateway.embeddedWorkers" . | quote }}
max_streams: {{ include "asr-gateway.maxStreams" . | quote }}
drain_seconds: {{ int64 .Values.drain.timeoutSeconds | quote }}
drain_finalize_seconds: {{ int64 .Values.drain.finalizeSeconds | quote }}
{{- with .Values.limits }}
{{- if not (kindIs "invalid" .maxStreamSeconds) }}
max_stream_seconds: {{ int64 .maxStreamSeconds | quote }}
{{- end }}
{{- if not (kindIs "invalid" .maxMessageBytes) }}
max_message_bytes: {{ int64 .maxMessageBytes | quote }}
{{- end }}
{{- if not (kindIs "invalid" .maxMetadataBytes) }}
max_metadata_bytes: {{ int64 .maxMetadataBytes | quote }}
{{- end }}
{{- end }}
{{- if not (kindIs "invalid" .Values.grpc.maxConnectionAgeSeconds) }}
max_connection_age_seconds: {{ int64 .Values.grpc.maxConnectionAgeSeconds | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.grpc.reflection) }}
reflection: {{ .Values.grpc.reflection | quote }}
{{- end }}
{{- if .Values.auth.existingSecret }}
api_keys_file: /etc/asr-gateway/auth/{{ .Values.auth.existingSecretKey }}
{{- else if .Values.auth.allowAnonymous }}
allow_anonymous: "true"
{{- end }}
{{- if .Values.tls.enabled }}
tls_cert_file: /etc/asr-gateway/tls/tls.crt
tls_key_file: /etc/asr-gateway/tls/tls.key
{{- if .Values.tls.clientCA.existingSecret }}
tls_client_ca_file: /etc/asr-gateway/client-ca/{{ .Values.tls.clientCA.existingSecretKey }}
{{- end }}
{{- end }}
{{- with .Values.tracing.otlpEndpoint }}
otlp_endpoint: {{ quote . }}
{{- end }}
{{- end }}

{{- define "asr-gateway.appProtocol" -}}
{{- default (ternary "https" "kubernetes.io/h2c" .Values.tls.enabled) .Values.service.appProtocol }}
{{- end }}

{{/* How one of the two monitors scrapes. */}}
{{- define "asr-gateway.scrape" -}}
path: /metrics
interval: {{ .interval }}
scrapeTimeout: {{ .scrapeTimeout }}
honorLabels: {{ .honorLabels }}
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
