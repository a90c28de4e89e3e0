# shellcheck shell=bash
# shellcheck disable=SC2119,SC2120 # optional arguments
# A real Kubernetes API on the lab's segment: etcd and kube-apiserver in a namespace of their own
# (api), at $KUBE_V4 and $KUBE_V6, port 6443. There is nothing else of a cluster: no controllers,
# no scheduler, no kubelets; what those would write, tests write. The binaries are those of
# $KUBEBUILDER_ASSETS, or the shared ones beside the checkout, unpacked once into a cache folder.
# All is the lab's own: lab_destroy ends it, and any number of them run side by side.
#
#	kube_or_skip               in setup: skips where there is no API server to be had
#	lab_up; kube_up            kube_up alone makes a lab of the segment and nothing else
#	kube_crds                  conf/crds applied and served
#	kube_apply [FILE] [USER]   objects of a YAML file, - or none: standard input; server-side apply
#	kube_get PATH [USER]       kube_delete PATH [USER]
#	kube_call USER METHOD PATH [TYPE] [<<<BODY]     the answer's body; false unless 2xx
#	kube_write_status PATH JSON   merges into the object's status
#	kube_kubeconfig USER       the path of a kubeconfig; kube_token USER; kube_cert USER [GROUP]
#	kube_sa_token NS NAME [SECONDS]   a token by TokenRequest
#	kube_api_stop [SIGNAL], kube_api_start, kube_etcd_stop, kube_etcd_start
#	kube_compact               history before now is gone: old watches and pages get 410
#
# The shared kube-apiserver 1.20.2 takes an empty string for null where a schema wants a string (its
# old validator, built with a newer Go): write no "" into custom resources there.
#
# Users: admin may all, sluiced is the service account sluice-system/sluiced, the others (security,
# editor, viewer, node1, gw1, gw2, nobody) may what a test binds to them.

# shellcheck source=e2e/lib/lab.bash
declare -F lab_up >/dev/null || . "$(dirname "${BASH_SOURCE[0]}")/lab.bash"
# what setup_file made is every test's
if [ -n "${KUBE:-}" ]; then
	LAB=${KUBE%/kube} LAB_NODES=()
	P=${LAB##*/}
fi
KUBE_V4=172.31.7.200 KUBE_V6=fd31:7::200
KUBE_URL=https://$KUBE_V4:6443
KUBE_USERS=(admin sluiced security editor viewer node1 gw1 gw2 nobody)

# ---- the binaries ----

# kube_assets: prints the folder of kube-apiserver and etcd, or why there is none
kube_assets() {
	local packed=$TOP/../shared/kube-assets/kube-apiserver.xz cache etcd
	if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
		echo "$KUBEBUILDER_ASSETS"
		[ -x "$KUBEBUILDER_ASSETS/kube-apiserver" ] && [ -x "$KUBEBUILDER_ASSETS/etcd" ] && return
		echo "has no kube-apiserver and etcd"
		return 1
	fi
	[ -r "$packed" ] || { echo "no API server: set KUBEBUILDER_ASSETS" && return 1; }
	etcd=$(command -v etcd) || { echo "no etcd: install etcd-server" && return 1; }
	cache=${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/sluice/kube-$(stat -L -c %s-%Y "$packed")
	if [ ! -x "$cache/kube-apiserver" ]; then
		mkdir -p "$cache" || return
		(
			flock 9
			[ ! -x "$cache/kube-apiserver" ] || exit 0
			xz -dc "$packed" >"$cache/.new" && chmod 755 "$cache/.new" &&
				ln -sfn "$etcd" "$cache/etcd" && mv "$cache/.new" "$cache/kube-apiserver"
		) 9>"$cache/.lock" >&2 || { echo "cannot unpack $packed" && return 1; }
	fi
	echo "$cache"
}

# ---- up and down ----

# whether the server knows CEL: 1.25 and later
kube_has_cel() { [ "$(kube_get /version | jq -r '.minor | sub("[^0-9].*"; "") | tonumber')" -ge 25 ]; }

# kube_or_skip: for setup (setup_file cannot skip), where there is no API server to be had
kube_or_skip() {
	local why
	why=$(kube_assets) || skip "${why//$'\n'/ }"
}

kube_up() {
	KUBE_ASSETS=$(kube_assets) || lab_fail "$KUBE_ASSETS" || return
	[ -n "${LAB:-}" ] || kube_ground || return
	KUBE=$LAB/kube
	export KUBE KUBE_ASSETS # to the tests of a file whose setup_file this is
	mkdir -p "$KUBE/etcd" && mount -t tmpfs -o "size=${KUBE_SIZE:-512m}" "$P" "$KUBE/etcd" || return
	ns_new api 0 && plug api "$KUBE_V4/24" "$KUBE_V6/64" || return
	kube_keys && kube_users && kube_etcd_start && kube_api_start
}

# a lab of the segment alone
kube_ground() {
	LAB_NODES=()
	lab_folder && segment_up
}

kube_down() {
	kube_api_stop KILL
	kube_etcd_stop KILL
}

kube_keys() {
	local curve=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
	openssl req -x509 "${curve[@]}" -keyout "$KUBE/ca.key" -out "$KUBE/ca.crt" -days 30 \
		-subj "/CN=lab" 2>"$LAB/log/openssl" &&
		openssl req "${curve[@]}" -keyout "$KUBE/server.key" -out "$KUBE/server.csr" \
			-subj "/CN=kube-apiserver" 2>>"$LAB/log/openssl" &&
		openssl x509 -req -in "$KUBE/server.csr" -CA "$KUBE/ca.crt" -CAkey "$KUBE/ca.key" -days 30 \
			-CAcreateserial -out "$KUBE/server.crt" -extfile <(
				echo "subjectAltName=IP:$KUBE_V4,IP:$KUBE_V6,IP:127.0.0.1,DNS:kubernetes.default.svc,DNS:api.lab.test"
				echo "extendedKeyUsage=serverAuth"
			) 2>>"$LAB/log/openssl" &&
		openssl ecparam -name prime256v1 -genkey -noout -out "$KUBE/sa.key" &&
		openssl ec -in "$KUBE/sa.key" -pubout -out "$KUBE/sa.pub" 2>>"$LAB/log/openssl"
}

kube_users() {
	local user
	for user in "${KUBE_USERS[@]}"; do
		case $user in
		admin) echo "$(kube_token admin),admin,1,system:masters" ;;
		sluiced) echo "$(kube_token sluiced),system:serviceaccount:sluice-system:sluiced,2,\"system:serviceaccounts,system:serviceaccounts:sluice-system\"" ;;
		*) echo "$(kube_token "$user"),$user,$user," ;;
		esac
	done >"$KUBE/tokens.csv"
}

kube_etcd_start() {
	daemon etcd on api "$KUBE_ASSETS/etcd" --name lab --data-dir "$KUBE/etcd/data" --log-level warn --logger zap \
		--listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
		--listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
		--initial-cluster lab=http://127.0.0.1:2380
	lab_wait 600 on api curl -sf -m 5 http://127.0.0.1:2379/health || kube_failed etcd
}
kube_etcd_stop() { daemon_stop etcd "${1:-TERM}"; }

# kube_api_start [OPTION…]
kube_api_start() {
	daemon kube-apiserver on api "$KUBE_ASSETS/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
		--bind-address=:: --advertise-address="$KUBE_V4" --secure-port=6443 --cert-dir="$KUBE" \
		--tls-cert-file="$KUBE/server.crt" --tls-private-key-file="$KUBE/server.key" \
		--client-ca-file="$KUBE/ca.crt" --token-auth-file="$KUBE/tokens.csv" --authorization-mode=RBAC \
		--service-cluster-ip-range=10.96.0.0/16 --service-account-issuer=https://kubernetes.default.svc \
		--service-account-key-file="$KUBE/sa.pub" --service-account-signing-key-file="$KUBE/sa.key" \
		--disable-admission-plugins=ServiceAccount --allow-privileged=true --v=1 "$@"
	lab_wait 1200 kube_ready || kube_failed kube-apiserver
}
kube_api_stop() { daemon_stop kube-apiserver "${1:-TERM}"; }

# readyz comes before the namespaces that the server itself makes
kube_ready() {
	kube_get /readyz && kube_get /api/v1/namespaces/default && kube_get /api/v1/namespaces/kube-system
}

kube_failed() {
	lab_fail "$1 does not answer: $(tail -n 20 "$LAB/log/$1")"
}

# ---- who asks ----

kube_token() { echo "$1-of-$P"; }

kube_kubeconfig() {
	local file=$KUBE/$1.kubeconfig new=$KUBE/.$1.$BASHPID
	# by rename: others read it meanwhile
	cat >"$new" <<-END
		apiVersion: v1
		kind: Config
		current-context: lab
		contexts:
		- name: lab
		  context: {cluster: lab, user: $1}
		clusters:
		- name: lab
		  cluster:
		    server: $KUBE_URL
		    certificate-authority: $KUBE/ca.crt
		users:
		- name: $1
		  user: {token: $(kube_token "$1")}
	END
	mv "$new" "$file" && echo "$file"
}

# kube_cert USER [GROUP]: $KUBE/USER.crt and .key, for a kubeconfig with a client certificate
kube_cert() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$KUBE/$1.key" \
		-out "$KUBE/$1.csr" -subj "${2:+/O=$2}/CN=$1" 2>>"$LAB/log/openssl" &&
		openssl x509 -req -in "$KUBE/$1.csr" -CA "$KUBE/ca.crt" -CAkey "$KUBE/ca.key" -days 30 \
			-CAcreateserial -out "$KUBE/$1.crt" -extfile <(echo extendedKeyUsage=clientAuth) 2>>"$LAB/log/openssl"
}

kube_sa_token() {
	kube_call admin POST "/api/v1/namespaces/$1/serviceaccounts/$2/token" <<-END | jq -er .status.token
		{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
		 "spec": {"audiences": ["https://kubernetes.default.svc"], "expirationSeconds": ${3:-3600}}}
	END
}

# ---- asking ----

# kube_call USER METHOD PATH [TYPE]: the body of PUT, POST and PATCH is read from standard input
kube_call() {
	local body=()
	case $2 in
	PUT | POST | PATCH) body=(-H "Content-Type: ${4:-application/json}" --data-binary @-) ;;
	esac
	on api curl -sS -m 60 --fail-with-body --cacert "$KUBE/ca.crt" -H "Accept: ${KUBE_ACCEPT:-application/json}" \
		-H "Authorization: Bearer $(kube_token "$1")" -X "$2" "${body[@]}" "$KUBE_URL$3"
}

kube_get() { kube_call "${2:-admin}" GET "$1"; }
kube_delete() { kube_call "${2:-admin}" DELETE "$1"; }

# Many objects at once, each by server-side apply: what the server parses is the YAML as it stands.
kube_apply() {
	on api "$TOP/e2e/tools/kube.py" "$(kube_kubeconfig "${2:-admin}")" apply "${1:--}"
}

kube_write_status() {
	kube_call "${3:-admin}" PATCH "$1/status" application/merge-patch+json <<<"{\"status\": $2}"
}

SLUICE_API=/apis/sluice.dev/v1alpha1
KUBE_KINDS=(egressgateways clusteregresspolicies egresspolicies clusteregressdestinations
	egressdestinations sluiceconfigs)

kube_crds() {
	local plural
	cat "$TOP"/conf/crds/sluice.dev_*.yaml | sed 's/^apiVersion: apiext/---\n&/' | kube_apply || return
	for plural in "${KUBE_KINDS[@]}"; do
		lab_wait 600 kube_get "$SLUICE_API/$plural" || lab_fail "$plural are not served"
	done
}

# ---- etcd ----

etcd_call() { on api curl -sf -m 30 "http://127.0.0.1:2379/v3/$1" -d "$2"; }

kube_compact() {
	local revision
	revision=$(etcd_call kv/range '{"key": "AA=="}' | jq -er .header.revision) &&
		etcd_call kv/compaction "{\"revision\": \"$revision\", \"physical\": true}" >/dev/null
}
