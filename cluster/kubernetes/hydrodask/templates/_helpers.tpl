{{/* Names. */}}
{{- define "hydrodask.name" -}}
{{- if contains "hydrodask" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-hydrodask" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end -}}
{{- end -}}

{{/* The namespace of a part: (list $ "kafka" | "storage" | "observe" | "platform"). */}}
{{- define "hydrodask.namespace" -}}
{{- $root := index . 0 -}}{{- $which := index . 1 -}}
{{- if or (eq $which "platform") $root.Values.namespaces.one -}}
{{ $root.Release.Namespace }}
{{- else -}}
{{ get $root.Values.namespaces $which | default (printf "%s-%s" $root.Release.Namespace $which) }}
{{- end -}}
{{- end -}}

{{/* The namespaces that something of ours is in, as JSON; the release's first. */}}
{{- define "hydrodask.namespaces" -}}
{{- $used := list .Release.Namespace -}}
{{- if .Values.kafka.enabled }}{{ $used = append $used (include "hydrodask.namespace" (list . "kafka")) }}{{ end -}}
{{- if or .Values.hdfs.enabled .Values.mongodb.enabled .Values.mlflow.enabled }}{{ $used = append $used (include "hydrodask.namespace" (list . "storage")) }}{{ end -}}
{{- if or .Values.prometheus.enabled .Values.pushgateway.enabled .Values.grafana.enabled }}{{ $used = append $used (include "hydrodask.namespace" (list . "observe")) }}{{ end -}}
{{- uniq $used | toJson -}}
{{- end -}}

{{/* The DNS name of a Service: (list $ NAMESPACE-OF-PART SUFFIX). */}}
{{- define "hydrodask.host" -}}
{{- $root := index . 0 -}}
{{ include "hydrodask.name" $root }}-{{ index . 2 }}.{{ include "hydrodask.namespace" (list $root (index . 1)) }}.svc.{{ $root.Values.clusterDomain }}
{{- end -}}

{{/* Labels by which a part's pods are found: (list $ COMPONENT). */}}
{{- define "hydrodask.selector" -}}
app.kubernetes.io/name: hydrodask
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "hydrodask.labels" -}}
{{ include "hydrodask.selector" . }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
{{- end -}}

{{/* name, namespace and labels of an object: (list $ NAMESPACE-OF-PART SUFFIX COMPONENT). */}}
{{- define "hydrodask.metadata" -}}
name: {{ include "hydrodask.name" (index . 0) }}-{{ index . 2 }}
namespace: {{ include "hydrodask.namespace" (list (index . 0) (index . 1)) }}
labels:
  {{- include "hydrodask.labels" (list (index . 0) (index . 3)) | nindent 2 }}
{{- end -}}

{{/* An image: (list $ IMAGE), IMAGE with registry, repository, tag, digest. */}}
{{- define "hydrodask.image" -}}
{{- $root := index . 0 -}}{{- $image := index . 1 -}}
{{- $registry := $root.Values.images.registry | default $image.registry -}}
{{- if $registry }}{{ $registry }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default $root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/*
An image over another, as JSON: (list OVER BASE). Tag and digest are of one of them: a digest decides, so that of the one
beneath would win over a new tag; and a digest is of one repository only.
*/}}
{{- define "hydrodask.over" -}}
{{- $over := index . 0 | default dict -}}{{- $base := index . 1 -}}
{{- $from := or $over.tag $over.digest | empty | ternary $base $over -}}
{{- $other := and (ne ($over.repository | default $base.repository) $base.repository) (empty $over.digest) -}}
{{- dict "registry" ($over.registry | default $base.registry) "repository" ($over.repository | default $base.repository)
  "tag" ($from.tag | default "") "digest" ($other | ternary "" ($from.digest | default "")) | toJson -}}
{{- end -}}

{{/* hydrodask's image in pods of others. */}}
{{- define "hydrodask.tools" -}}
{{ include "hydrodask.image" (list . (include "hydrodask.over" (list .Values.images.tools .Values.images.hydrodask) | fromJson)) }}
{{- end -}}

{{/* What every pod of ours has: (list $ PART UID), PART with the keys of `scheduling`. */}}
{{- define "hydrodask.pod" -}}
{{- $root := index . 0 -}}{{- $part := index . 1 -}}{{- $uid := index . 2 -}}
serviceAccountName: {{ include "hydrodask.name" $root }}
automountServiceAccountToken: false   # nothing here asks the API server
enableServiceLinks: false             # HYDRODASK_PORT and the like of a Service are no settings
securityContext:
  runAsNonRoot: true
  runAsUser: {{ $uid }}
  runAsGroup: {{ $uid }}
  fsGroup: {{ $uid }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with $root.Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "priorityClassName" "topologySpreadConstraints" }}
{{- with get $part $key | default (get $root.Values.scheduling $key) }}
{{ $key }}: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What every container of ours has: (list $ RESOURCES). */}}
{{- define "hydrodask.container" -}}
imagePullPolicy: {{ (index . 0).Values.images.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
resources: {{- toYaml (index . 1) | nindent 2 }}
{{- end -}}

{{/* An init container that waits until addresses take connections: (list $ ADDRESSES [IMAGE]). */}}
{{- define "hydrodask.wait" -}}
{{- $root := index . 0 -}}
- name: wait
  image: {{ gt (len .) 2 | ternary (last .) (include "hydrodask.tools" $root) }}
  {{- include "hydrodask.container" (list $root (dict "limits" (dict "cpu" "200m" "memory" "64Mi") "requests" (dict "cpu" "20m" "memory" "32Mi"))) | nindent 2 }}
  command: [python3, -I, -S, -c, {{ $root.Files.Get "files/wait.py" | quote }}]
  args: {{ toJson (index . 1) }}
{{- end -}}

{{/* The command of a container that waits until addresses take connections, and then runs COMMAND: (list $ ADDRESSES COMMAND). */}}
{{- define "hydrodask.after" -}}
command: [python3, -I, -S, -c, {{ (index . 0).Files.Get "files/wait.py" | quote }}]
args: {{ concat (index . 1) (list "--") (index . 2) | toJson }}
{{- end -}}

{{/* Keys of a Secret as the files of a volume. */}}
{{- define "hydrodask.items" -}}
{{- $items := list -}}
{{- range . }}{{ $items = append $items (dict "key" . "path" .) }}{{ end -}}
{{- toJson $items -}}
{{- end -}}

{{/* Spread over machines, unless the part says otherwise: (list $ PART COMPONENT); gives PART. */}}
{{- define "hydrodask.spread" -}}
{{- $labels := include "hydrodask.selector" (list (index . 0) (index . 2)) | fromYaml -}}
{{- $constraint := dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway" "labelSelector" (dict "matchLabels" $labels) -}}
{{- toYaml (merge (deepCopy (index . 1)) (dict "topologySpreadConstraints" (list $constraint))) -}}
{{- end -}}

{{/* A volumeClaimTemplate: (list $ NAME STORAGE). */}}
{{- define "hydrodask.claim" -}}
- metadata:
    name: {{ index . 1 }}
    labels: {{- include "hydrodask.selector" (list (index . 0) "data") | nindent 6 }}
  spec:
    accessModes: [ReadWriteOnce]
    {{- with (index . 2).storageClass }}
    storageClassName: {{ . }}
    {{- end }}
    resources: {requests: {storage: {{ (index . 2).size }}}}
{{- end -}}

{{/* A PodDisruptionBudget that lets one pod go at a time: (list $ NAMESPACE-OF-PART COMPONENT). */}}
{{- define "hydrodask.budget" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.podDisruptionBudgets }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "hydrodask.metadata" (list $root (index . 1) (index . 2) (index . 2)) | nindent 2 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{- include "hydrodask.selector" (list $root (index . 2)) | nindent 6 }}
{{- end }}
{{- end -}}
