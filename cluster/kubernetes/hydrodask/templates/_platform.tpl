{{/* What driver, workers, Jobs and trainer share: addresses, settings, volumes. */}}

{{- define "hydrodask.dask.address" -}}
{{ .Values.dask.address | default (printf "tls://%s-scheduler.%s.svc.%s:8786" (include "hydrodask.name" .) .Release.Namespace .Values.clusterDomain) }}
{{- end -}}

{{/* The brokers, for clients in the cluster. */}}
{{- define "hydrodask.kafka.bootstrap" -}}
{{- if .Values.kafka.enabled -}}
{{- $places := list -}}
{{- range until (int .Values.kafka.nodes) -}}
{{- $places = append $places (printf "%s-kafka-%d.%s:9092" (include "hydrodask.name" $) . (include "hydrodask.host" (list $ "kafka" "kafka"))) -}}
{{- end -}}
{{ join "," $places }}
{{- else -}}
{{ required "kafka.bootstrap: want the brokers of your own, as kafka.enabled is false" .Values.kafka.bootstrap }}
{{- end -}}
{{- end -}}

{{- define "hydrodask.lake.claimed" -}}
{{- if not (or .Values.lake.url .Values.hdfs.enabled) }}true{{ end -}}
{{- end -}}

{{- define "hydrodask.lake.url" -}}
{{- if .Values.lake.url }}{{ .Values.lake.url -}}
{{- else if .Values.hdfs.enabled }}hdfs://{{ include "hydrodask.host" (list . "storage" "namenode") }}:8020/hydrodask/lake
{{- else }}/shared/lake{{ end -}}
{{- end -}}

{{- define "hydrodask.mongodb.url" -}}
{{- if .Values.mongodb.enabled -}}
mongodb://{{ include "hydrodask.name" . }}-mongodb-0.{{ include "hydrodask.host" (list . "storage" "mongodb") }}:27017/?replicaSet=rs0&tls=true&tlsCAFile=/run/secrets/hydrodask/mongodb/ca.crt
{{- else -}}
{{ required "mongodb.url: want the address of your own, as mongodb.enabled is false" .Values.mongodb.url }}
{{- end -}}
{{- end -}}

{{- define "hydrodask.mlflow.url" -}}
{{- if .Values.mlflow.enabled }}https://{{ include "hydrodask.host" (list . "storage" "mlflow") }}:5000{{ else }}{{ .Values.mlflow.url }}{{ end -}}
{{- end -}}

{{- define "hydrodask.pushgateway.url" -}}
{{- if .Values.pushgateway.enabled }}https://{{ include "hydrodask.host" (list . "observe" "pushgateway") }}:9091{{ else }}{{ .Values.pushgateway.url }}{{ end -}}
{{- end -}}

{{/* How a role reaches the brokers: (list $ USERNAME FOLDER-OF-ITS-SECRET). */}}
{{- define "hydrodask.kafka.settings" -}}
{{- $root := index . 0 -}}
embedded: false
bootstrap: {{ include "hydrodask.kafka.bootstrap" $root }}
username: {{ index . 1 }}
password_file: /run/secrets/hydrodask/{{ index . 2 }}/password
ca_file: /run/secrets/hydrodask/{{ index . 2 }}{{ if and (not $root.Values.kafka.enabled) $root.Values.kafka.caSecret }}-ca{{ end }}/ca.crt
client:
  security.protocol: SASL_SSL
  sasl.mechanism: {{ $root.Values.kafka.enabled | ternary "SCRAM-SHA-512" $root.Values.kafka.mechanism }}
{{- end -}}

{{/* The settings of driver and trainer, before those of the user. */}}
{{- define "hydrodask.settings" -}}
data_dir: /data
kafka: {{- include "hydrodask.kafka.settings" (list . (.Values.kafka.enabled | ternary "platform" .Values.kafka.username) "kafka") | nindent 2 }}
topics:
  partitions: {{ .Values.kafka.partitions }}
  {{- if and .Values.kafka.enabled (eq (int .Values.kafka.nodes) 3) }}
  replication: 3
  min_insync: 2
  {{- end }}
lake:
  url: {{ include "hydrodask.lake.url" . }}
documents:
  url: {{ include "hydrodask.mongodb.url" . }}
  username: {{ .Values.mongodb.enabled | ternary "hydrodask" .Values.mongodb.username }}
  password_file: /run/secrets/hydrodask/mongodb/password
cluster:
  address: {{ include "hydrodask.dask.address" . }}
  ca_file: /run/secrets/hydrodask/dask/ca.crt
  cert_file: /run/secrets/hydrodask/dask/tls.crt
  key_file: /run/secrets/hydrodask/dask/tls.key
source:
  kind: none            # the platform publishes nothing
detect:
  rules: /etc/hydrodask/rules.yaml
{{- with include "hydrodask.mlflow.url" . }}
learn:
  mlflow: {{ . }}
  {{- if or $.Values.mlflow.enabled $.Values.mlflow.secret }}
  password_file: /run/secrets/hydrodask/mlflow/password
  {{- end }}
  {{- if or $.Values.mlflow.enabled $.Values.mlflow.caSecret }}
  ca_file: /run/secrets/hydrodask/mlflow{{ if not $.Values.mlflow.enabled }}-ca{{ end }}/ca.crt
  {{- end }}
{{- end }}
observe:
  metrics: 0.0.0.0:9464
  hosts: [{{ include "hydrodask.host" (list . "platform" "driver") }}, {{ include "hydrodask.name" . }}-driver]
  {{- with include "hydrodask.pushgateway.url" . }}
  pushgateway: {{ . }}
  {{- if or $.Values.pushgateway.enabled $.Values.pushgateway.secret }}
  password_file: /run/secrets/hydrodask/pushgateway/password
  {{- end }}
  {{- if or $.Values.pushgateway.enabled $.Values.pushgateway.caSecret }}
  ca_file: /run/secrets/hydrodask/pushgateway{{ if not $.Values.pushgateway.enabled }}-ca{{ end }}/ca.crt
  {{- end }}
  {{- end }}
{{- end -}}

{{/* Secrets of the platform, by the folder that their keys go to; the same paths in driver and workers. */}}
{{- define "hydrodask.secrets" -}}
{{- if .Values.dask.address }}{{ $_ := required "dask.secret: want the Secret with ca.crt, tls.crt, tls.key for dask.address" .Values.dask.secret }}{{ end -}}
{{- if not .Values.kafka.enabled }}{{ $_ := include "hydrodask.kafka.bootstrap" . }}{{ $_ := required "kafka.secret: want the Secret with password and ca.crt, as kafka.enabled is false" .Values.kafka.secret }}{{ end -}}
{{- if not .Values.mongodb.enabled }}{{ $_ := include "hydrodask.mongodb.url" . }}{{ $_ := required "mongodb.secret: want the Secret with password, as mongodb.enabled is false" .Values.mongodb.secret }}{{ end -}}
{{- $name := include "hydrodask.name" . -}}
dask: {{ ne .Values.dask.address "" | ternary .Values.dask.secret (printf "%s-dask" $name) }}
kafka: {{ .Values.kafka.enabled | ternary (printf "%s-kafka-platform" $name) (.Values.kafka.secret | default "") }}
kafka-ca: {{ .Values.kafka.enabled | ternary "" .Values.kafka.caSecret }}
mongodb: {{ .Values.mongodb.enabled | ternary (printf "%s-mongodb-client" $name) (.Values.mongodb.secret | default "") }}
mlflow: {{ .Values.mlflow.enabled | ternary (printf "%s-mlflow-client" $name) (.Values.mlflow.secret | default "") }}
mlflow-ca: {{ .Values.mlflow.enabled | ternary "" .Values.mlflow.caSecret }}
pushgateway: {{ .Values.pushgateway.enabled | ternary (printf "%s-pushgateway-client" $name) (.Values.pushgateway.secret | default "") }}
pushgateway-ca: {{ .Values.pushgateway.enabled | ternary "" .Values.pushgateway.caSecret }}
{{- end -}}

{{- define "hydrodask.volumes" -}}
- name: tmp
  emptyDir: {}
- name: config
  configMap: {name: {{ include "hydrodask.name" . }}-config}
- name: secrets
  projected:
    defaultMode: 0400
    sources:
      {{- $both := list "password" "ca.crt" }}
      {{- $keys := dict "dask" (list "ca.crt" "tls.crt" "tls.key") "kafka" $both "mongodb" $both }}
      {{- if .Values.mlflow.enabled }}{{ $_ := set $keys "mlflow" $both }}{{ end }}
      {{- if .Values.pushgateway.enabled }}{{ $_ := set $keys "pushgateway" $both }}{{ end }}
      {{- if and (not .Values.kafka.enabled) .Values.kafka.caSecret }}{{ $_ := set $keys "kafka" (list "password") }}{{ end }}
      {{- if and (not .Values.mongodb.enabled) (not (contains "ca.crt" .Values.mongodb.url)) }}{{ $_ := set $keys "mongodb" (list "password") }}{{ end }}
      {{- range $folder, $secret := include "hydrodask.secrets" . | fromYaml }}
      {{- if $secret }}
      - secret:
          name: {{ $secret }}
          items:
            {{- range get $keys $folder | default (list (hasSuffix "-ca" $folder | ternary "ca.crt" "password")) }}
            - {key: {{ . }}, path: {{ $folder }}/{{ . }}}
            {{- end }}
      {{- end }}
      {{- end }}
{{- if include "hydrodask.lake.claimed" . }}
- name: shared
  persistentVolumeClaim: {claimName: {{ .Values.lake.claim.existing | default (printf "%s-lake" (include "hydrodask.name" .)) }}}
{{- end }}
{{- end -}}

{{- define "hydrodask.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: config, mountPath: /etc/hydrodask, readOnly: true}
- {name: secrets, mountPath: /run/secrets/hydrodask, readOnly: true}
{{- if include "hydrodask.lake.claimed" . }}
- {name: shared, mountPath: /shared}
{{- end }}
{{- end -}}

{{- define "hydrodask.environment" -}}
- {name: HOME, value: /tmp}
- {name: HADOOP_USER_NAME, value: hydrodask}
{{- end -}}

{{- define "hydrodask.environmentFrom" -}}
{{- with .Values.environmentFrom }}
envFrom:
  {{- range . }}
  - secretRef: {name: {{ . }}}
  {{- end }}
{{- end }}
{{- end -}}

{{/* What driver and trainer need before they start, as a list of host:port. A stream runs without MLflow. */}}
{{- define "hydrodask.needs" -}}
{{- $needs := list -}}
{{- if .Values.kafka.enabled }}{{ $needs = append $needs (include "hydrodask.kafka.bootstrap" . | splitList "," | first) }}{{ end -}}
{{- if .Values.mongodb.enabled }}{{ $needs = append $needs (printf "%s:27017" (include "hydrodask.host" (list . "storage" "mongodb"))) }}{{ end -}}
{{- if .Values.hdfs.enabled }}{{ $needs = append $needs (printf "%s:8020" (include "hydrodask.host" (list . "storage" "namenode"))) }}
{{- /* A name node takes no file while it has no data node: any of them will do. */ -}}
{{- $needs = append $needs (printf "%s:9866" (include "hydrodask.host" (list . "storage" "datanode"))) }}{{ end -}}
{{- toJson $needs -}}
{{- end -}}

{{/* Our settings of Dask, as hydrodask/driver/cluster.py has them, and its TLS; a test compares. */}}
{{- define "hydrodask.dask.environment" -}}
{{ include "hydrodask.environment" . }}
{{- range $key, $value := dict
  "SCHEDULER__ALLOWED_FAILURES" "0" "SCHEDULER__WORK_STEALING" "False" "SCHEDULER__WORKER_TTL" "None"
  "WORKER__PROFILE__ENABLED" "False" "ADMIN__TICK__INTERVAL" "1s" "ADMIN__SYSTEM_MONITOR__INTERVAL" "2s"
  "WORKER__MEMORY__MONITOR_INTERVAL" "1s" "WORKER__MEMORY__TARGET" "False" "WORKER__MEMORY__SPILL" "False"
  "WORKER__MEMORY__PAUSE" "False" "WORKER__MEMORY__TERMINATE" "0.95" "COMM__TIMEOUTS__CONNECT" "30s"
  "COMM__REQUIRE_ENCRYPTION" "True" "COMM__TLS__CA_FILE" "/run/secrets/hydrodask/dask/ca.crt" }}
- {name: DASK_DISTRIBUTED__{{ $key }}, value: {{ $value | quote }}}
{{- end }}
{{- range list "SCHEDULER" "WORKER" "CLIENT" }}
- {name: DASK_DISTRIBUTED__COMM__TLS__{{ . }}__CERT, value: /run/secrets/hydrodask/dask/tls.crt}
- {name: DASK_DISTRIBUTED__COMM__TLS__{{ . }}__KEY, value: /run/secrets/hydrodask/dask/tls.key}
{{- end }}
{{- end }}
