{{- define "asr-gateway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Shorter than a name may be: the longest suffix is "-headless". */}}
{{- define "asr-gateway.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- regexReplaceAll "-+$" (default $full .Values.fullnameOverride | trunc 45) "" }}
{{- end }}

{{- define "asr-gateway.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "asr-gateway.serviceAccountName" -}}
{{- default (ternary (include "asr-gateway.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{/* Labels that select the gateway's pods. They may never change, because a Deployment's selector cannot. */}}
{{- define "asr-gateway.selectorLabels" -}}
app.kubernetes.io/name: {{ include "asr-gateway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: gateway
{{- end }}

{{/* Labels of every object. */}}
{{- define "asr-gateway.labels" -}}
{{- $labels := include "asr-gateway.selectorLabels" . | fromYaml }}
{{- $_ := set $labels "app.kubernetes.io/version" (default .Chart.AppVersion .Values.image.tag | trunc 63 | trimAll "-._") }}
{{- $_ := set $labels "app.kubernetes.io/part-of" .Chart.Name }}
{{- $_ := set $labels "app.kubernetes.io/managed-by" .Release.Service }}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63) }}
{{- toYaml (merge $labels .Values.commonLabels) }}
{{- end }}

{{/* Labels of pods: none that a new chart with the same image changes, or its upgrade would end calls without need. */}}
{{- define "asr-gateway.podLabels" -}}
{{- $labels := include "asr-gateway.selectorLabels" . | fromYaml }}
{{- $_ := set $labels "app.kubernetes.io/version" (default .Chart.AppVersion .Values.image.tag | trunc 63 | trimAll "-._") }}
{{- $_ := set $labels "app.kubernetes.io/part-of" .Chart.Name }}
{{- toYaml (merge $labels .Values.podLabels .Values.commonLabels) }}
{{- end }}

{{/*
metadata of an object, from a dict: root, the context; and as needed suffix of the name, or the whole name; namespace;
component; labels; annotations. In a namespace that is not the release's, where releases of several namespaces meet, the
name begins with the release's namespace.
*/}}
{{- define "asr-gateway.metadata" -}}
{{- $ := .root }}
{{- $home := include "asr-gateway.namespace" $ }}
{{- $namespace := default $home .namespace }}
{{- $name := default (printf "%s%s" (include "asr-gateway.fullname" $) (default "" .suffix)) .name }}
{{- $labels := include "asr-gateway.labels" $ | fromYaml }}
{{- with .component }}
{{- $_ := set $labels "app.kubernetes.io/component" . }}
{{- end }}
{{- $annotations := merge (dict) (default (dict) .annotations) $.Values.commonAnnotations -}}
name: {{ ternary $name (printf "%s-%s" $home $name) (eq $namespace $home) }}
namespace: {{ $namespace }}
labels:
  {{- merge $labels (default (dict) .labels) | toYaml | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- tpl (toYaml .) $ | nindent 2 }}
{{- end }}
{{- end }}

{{- define "asr-gateway.image" -}}
{{- with .Values.image }}
{{- $registry := default .registry $.Values.global.imageRegistry }}
{{- $name := ternary (printf "%s/%s" $registry .repository) .repository (ne $registry "") }}
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

{{/* Whether models of the vendor are served, as far as the values show. */}}
{{- define "asr-gateway.hasKey" -}}
{{- with .Values.config }}
{{- if or .dashscope_api_key_file .endpoints .allow_caller_keys }}true{{ end }}
{{- end }}
{{- include "asr-gateway.dashscopeSecretName" . }}
{{- end }}

{{/* Whether the gateway runs the vendor's emulator beside itself. */}}
{{- define "asr-gateway.emulator" -}}
{{- if has "--emulator" .Values.extraArgs }}true{{ end }}
{{- end }}

{{/* Calls that the emulator takes at once, each with a decoder process like an embedded worker: its knob `decoders`. */}}
{{- define "asr-gateway.emulatorDecoders" -}}
{{- ternary 8 0 (ne (include "asr-gateway.emulator" .) "") }}
{{- end }}

{{/* Whether the default model or an alias of `config` is the embedded model. */}}
{{- define "asr-gateway.namesEmbedded" -}}
{{- $names := append (values (default (dict) .Values.config.aliases)) (default "" .Values.config.default_model) }}
{{- if contains "\"embedded\"" (toJson $names) }}true{{ end }}
{{- end }}

{{- define "asr-gateway.embeddedWorkers" -}}
{{- if kindIs "invalid" .Values.embeddedWorkers }}
{{- ternary 0 2 (and (ne (include "asr-gateway.hasKey" .) "") (eq (include "asr-gateway.namesEmbedded" .) "")) }}
{{- else }}
{{- int64 .Values.embeddedWorkers }}
{{- end }}
{{- end }}

{{- define "asr-gateway.maxStreams" -}}
{{- if not (kindIs "invalid" .Values.limits.maxStreams) }}
{{- int64 .Values.limits.maxStreams }}
{{- else if and (include "asr-gateway.hasKey" .) (not (include "asr-gateway.emulator" .)) }}
{{- print 500 }}
{{- else }}
{{- max 1 (add (include "asr-gateway.embeddedWorkers" .) (include "asr-gateway.emulatorDecoders" .)) }}
{{- end }}
{{- end }}

{{/*
How many open calls of a pod the autoscaler aims at, in thousandths: of a pod that takes one or two, whole numbers know no
65 %. From a list: context, the target that a value sets or null.
*/}}
{{- define "asr-gateway.targetMillis" -}}
{{- if kindIs "invalid" (index . 1) }}
{{- mul 650 (include "asr-gateway.maxStreams" (index . 0)) }}
{{- else }}
{{- round (mulf 1000 (index . 1)) 0 | int64 }}
{{- end }}
{{- end }}

{{/*
How many pods there shall be; empty leaves it open. Where something else scales, what runs now stays: without the field an
upgrade would take it out, and Kubernetes would put 1 in its place. Nothing is known of a cluster while a template is
rendered without one.
*/}}
{{- define "asr-gateway.replicas" -}}
{{- if not (or .Values.autoscaling.enabled .Values.keda.enabled (kindIs "invalid" .Values.replicaCount)) }}
{{- int64 .Values.replicaCount }}
{{- else }}
{{- with lookup "apps/v1" "Deployment" (include "asr-gateway.namespace" .) (include "asr-gateway.fullname" .) }}
{{- int64 .spec.replicas }}
{{- end }}
{{- end }}
{{- end }}

{{/* The most pods that there may be, besides those of a rollout. */}}
{{- define "asr-gateway.mostPods" -}}
{{- if .Values.autoscaling.enabled }}
{{- int64 .Values.autoscaling.maxReplicas }}
{{- else if .Values.keda.enabled }}
{{- int64 .Values.keda.maxReplicas }}
{{- else }}
{{- max 1 (.Values.replicaCount | int64) }}
{{- end }}
{{- end }}

{{- define "asr-gateway.drainTotal" -}}
{{- with .Values.drain }}
{{- add (int64 .preStopSeconds) (int64 .timeoutSeconds) (int64 .finalizeSeconds) (int64 .lastScrapeSeconds) 10 }}
{{- end }}
{{- end }}

{{- define "asr-gateway.gracePeriod" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds }}
{{- include "asr-gateway.drainTotal" . }}
{{- else }}
{{- int64 .Values.terminationGracePeriodSeconds }}
{{- end }}
{{- end }}

{{/* Mebibytes that a pod needs: the gateway, embedded workers, the emulator, all other calls, and /tmp. */}}
{{- define "asr-gateway.memory" -}}
{{- $workers := include "asr-gateway.embeddedWorkers" . | int64 }}
{{- $others := max 0 (sub (include "asr-gateway.maxStreams" . | int64) $workers) }}
{{- $emulator := mul 120 (include "asr-gateway.emulatorDecoders" .) }}
{{- add 192 (mul 112 $workers) $emulator $others (.Values.tmp.sizeLimit | trimSuffix "Mi") }}
{{- end }}

{{/* Millicores: usually two of the emulator's decoders are busy. */}}
{{- define "asr-gateway.cpu" -}}
{{- add 250 (mul 100 (include "asr-gateway.embeddedWorkers" .)) (mul 100 (min 2 (include "asr-gateway.emulatorDecoders" .))) }}
{{- end }}

{{/* The number that an amount such as 500m or 1.5Gi stands for. */}}
{{- define "asr-gateway.quantity" -}}
{{- $factors := dict "n" 1e-9 "u" 1e-6 "m" 1e-3 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 "Ei" 1152921504606846976 }}
{{- $unit := regexFind "[A-Za-z]i?$" (toString .) }}
{{- mulf (toString . | trimSuffix $unit | float64) (default 1 (get $factors $unit)) }}
{{- end }}

{{/* Computes what `resources` leaves open. A limit without a request is the request too; for memory also the reverse. */}}
{{- define "asr-gateway.resources" -}}
{{- $limits := merge (dict) (default (dict) .Values.resources.limits) }}
{{- $requests := merge (dict) (default (dict) .Values.resources.requests) $limits }}
{{- $counted := dict "cpu" (printf "%sm" (include "asr-gateway.cpu" .)) "memory" (printf "%sMi" (include "asr-gateway.memory" .)) }}
{{- $requests = merge $requests $counted }}
{{- $limits = merge $limits (pick $requests "memory") }}
{{- merge (dict "requests" $requests "limits" $limits) .Values.resources | toYaml }}
{{- end }}

{{/* Settings that values of the chart set, by their name in the configuration file. */}}
{{- define "asr-gateway.settings" -}}
listen: {{ printf "%s:50051" .Values.listenHost | quote }}
health_listen: {{ printf "%s:50052" .Values.listenHost | quote }}
http_listen: {{ printf "%s:%d" (ternary .Values.listenHost "127.0.0.1" .Values.metrics.enabled) (int64 .Values.metrics.port) | quote }}
{{- if .Values.web.enabled }}
web_listen: {{ printf "%s:%d" .Values.listenHost (int64 .Values.web.port) | quote }}
{{- with .Values.web.origins }}
web_origins: {{ toJson . | quote }}
{{- end }}
{{- end }}
{{- if .Values.riva.enabled }}
riva_facade: "true"
riva_strict: {{ .Values.riva.strict | quote }}
{{- with .Values.riva.ignoredLanguages }}
riva_ignored_languages: {{ toJson . | quote }}
{{- end }}
{{- end }}
log_level: {{ .Values.logLevel | quote }}
embedded_workers: {{ include "asr-gateway.embeddedWorkers" . | quote }}
max_streams: {{ include "asr-gateway.maxStreams" . | quote }}
drain_seconds: {{ int64 .Values.drain.timeoutSeconds | quote }}
drain_finalize_seconds: {{ int64 .Values.drain.finalizeSeconds | quote }}
last_scrape_seconds: {{ int64 .Values.drain.lastScrapeSeconds | quote }}
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
{{- if not (kindIs "invalid" .taskStartsPerSecond) }}
max_task_starts_per_second: {{ divf .taskStartsPerSecond (include "asr-gateway.mostPods" $) | quote }}
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

{{/* Address families, of every Service. */}}
{{- define "asr-gateway.ipFamilies" -}}
{{- with .Values.service.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.service.ipFamilies }}
ipFamilies:
  {{- toYaml . | nindent 2 }}
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

{{/* Matches the number at the end of an alert's expression, which a value may replace; `14 * 86400` is 14 days. */}}
{{- define "asr-gateway.threshold" -}}
([<>]=?) [0-9.]+( \* 86400)?$
{{- end }}
