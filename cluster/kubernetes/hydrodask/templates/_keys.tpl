{{/*
Passwords and certificates are made here, by the first install, and found again (`lookup`) by each upgrade. A Job before
the install could do it, too, but it would need a token that may write Secrets in four namespaces, and those have to be
there before anything else of the chart is. Who renders without a cluster (`helm template`, GitOps) gets new ones each
time: make the Secrets there yourself, with these names and keys; what is there is never changed.
*/}}

{{/* The value of a key of a Secret that is there, or nothing: (list NAMESPACE NAME KEY). */}}
{{- define "hydrodask.kept" -}}
{{- $secret := lookup "v1" "Secret" (index . 0) (index . 1) | default dict -}}
{{- get ($secret.data | default dict) (index . 2) | default "" | b64dec -}}
{{- end -}}

{{/* A password: (list NAMESPACE NAME KEY). */}}
{{- define "hydrodask.password" -}}
{{- include "hydrodask.kept" . | default (randAlphaNum 32) -}}
{{- end -}}

{{/*
A certificate with its key and the authority that has signed it, as JSON: (list NAMESPACE NAME COMMON-NAME HOSTS).
The authority's own key is forgotten: it signs nothing else, so nobody can come in with another certificate of it.
For new ones take tls.key out of the Secret and upgrade. Other hosts than those of the one that is there make a new one, too.
*/}}
{{- define "hydrodask.certificate" -}}
{{- $secret := lookup "v1" "Secret" (index . 0) (index . 1) | default dict -}}
{{- $data := $secret.data | default dict -}}
{{- $hosts := index . 3 -}}
{{- $old := get (($secret.metadata | default dict).annotations | default dict) "hydrodask/hosts" -}}
{{- if and (get $data "tls.key") (or (not $old) (eq $old (join "," $hosts))) -}}
{{- dict "ca" (get $data "ca.crt" | b64dec) "cert" (get $data "tls.crt" | b64dec) "key" (get $data "tls.key" | b64dec) | toJson -}}
{{- else -}}
{{- $ca := genCAWithKey (printf "hydrodask %s CA" (index . 2)) 3650 (genPrivateKey "ecdsa") -}}
{{- $made := genSignedCertWithKey (index . 2) nil $hosts 3650 $ca (genPrivateKey "ecdsa") -}}
{{- dict "ca" $ca.Cert "cert" $made.Cert "key" (include "hydrodask.pkcs8" $made.Key) | toJson -}}
{{- end -}}
{{- end -}}

{{/*
A P-256 key as PKCS#8, which Kafka wants; Helm makes it as SEC 1. The one is the other with 29 bytes before it: version,
the names of algorithm and curve, and the length, which is always 121.
*/}}
{{- define "hydrodask.pkcs8" -}}
{{- $body := regexReplaceAll "-----[A-Z ]+-----|\\s" . "" -}}
{{- $whole := printf "%s%s" (b64dec "MIGTAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBHk=") (b64dec $body) | b64enc -}}
-----BEGIN PRIVATE KEY-----
{{ regexReplaceAll "(.{64})" $whole "${1}\n" | trim }}
-----END PRIVATE KEY-----
{{ end -}}

{{/* A Secret that outlives the release, as the data do that its passwords are for: (list $ NAMESPACE-OF-PART SUFFIX DATA [HOSTS]). */}}
{{- define "hydrodask.secret" -}}
---
apiVersion: v1
kind: Secret
metadata:
  {{- include "hydrodask.metadata" (list (index . 0) (index . 1) (index . 2) "keys") | nindent 2 }}
  annotations:
    helm.sh/resource-policy: keep
    {{- if gt (len .) 4 }}
    hydrodask/hosts: {{ join "," (index . 4) | quote }}
    {{- end }}
type: Opaque
data:
  {{- range $key, $value := index . 3 }}
  {{ $key }}: {{ $value | b64enc }}
  {{- end }}
{{ end -}}
