#!/usr/bin/env bats
# The Kubernetes client (pkg/source) against a real API server: slkube prints what a watch tells.
load lib/kube

PODS=/api/v1/namespaces/shop/pods

setup_file() {
	kube_assets || return 0
	kube_up
	ns_new node1 0
	plug node1 172.31.7.11/24 fd31:7::11/64
	kube_crds
	kube_apply <<<'{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}'
}
setup() { kube_or_skip; }
teardown() {
	local pid
	for pid in "$LAB"/pids/watch-*; do
		[ ! -e "$pid" ] || daemon_stop "${pid##*/}"
	done
}
teardown_file() { lab_destroy; }

slkube() { on node1 "$TOP/build/e2e/slkube" "$@"; }

# watch NAME KUBECONFIG PATH…: in the background; its words are in $LAB/log/watch-NAME
watch() {
	local name=$1 conf=$2
	shift 2
	daemon "watch-$name" slkube "$conf" watch "$@"
	FROM=1
}

# said NAME REGEX: it says so, now or soon; what it has said by then is read (since: from there on)
said() {
	lab_wait 600 has_said "$@" || lab_fail "watch $1 did not say $2: $(tail -n 20 "$LAB/log/watch-$1")"
}
has_said() { tail -n "+${FROM:-1}" "$LAB/log/watch-$1" | grep -qE "$2"; }
since() { FROM=$(($(wc -l <"$LAB/log/watch-$1") + 1)); }
tell() { daemon_kill "watch-$1" "$2"; }

# pods N NODE: a list of pods
pods() {
	local i
	for ((i = 0; i < $1; i++)); do
		echo "---"
		echo "{apiVersion: v1, kind: Pod, metadata: {name: $2-$i, namespace: shop}," \
			"spec: {nodeName: $2, containers: [{name: a, image: a}]}}"
	done
}
# nobody else ends them here
pods_gone() { kube_delete "$PODS?gracePeriodSeconds=0"; }
# times NAME REGEX: how often it said so
times() { grep -cE "$2" "$LAB/log/watch-$1"; }
all_said() { [ "$(times pods "$1")" -ge 1000 ]; }

@test "objects of all our kinds are seen when they are made, changed and deleted, over one connection" {
	local plural path all=()
	for plural in "${KUBE_KINDS[@]}"; do all+=("$SLUICE_API/$plural"); done
	watch kinds "$(kube_kubeconfig admin)" "${all[@]}"
	for path in "${all[@]}"; do said kinds "^$path synced"; done
	[ "$(on node1 ss -Htn state established dst "$KUBE_V4" | wc -l)" -eq 1 ]
	kube_apply <<-END
		{apiVersion: sluice.dev/v1alpha1, kind: EgressGateway, metadata: {name: x}, spec: {addresses: [{range: 203.0.113.10}]}}
		---
		{apiVersion: sluice.dev/v1alpha1, kind: ClusterEgressPolicy, metadata: {name: x}, spec: {subject: {podSelector: {}}}}
		---
		{apiVersion: sluice.dev/v1alpha1, kind: EgressPolicy, metadata: {name: x, namespace: shop}, spec: {subject: {podSelector: {}}}}
		---
		{apiVersion: sluice.dev/v1alpha1, kind: ClusterEgressDestination, metadata: {name: x}, spec: {cidrs: [198.51.100.0/24]}}
		---
		{apiVersion: sluice.dev/v1alpha1, kind: EgressDestination, metadata: {name: x, namespace: shop}, spec: {cidrs: [198.51.100.0/24]}}
		---
		{apiVersion: sluice.dev/v1alpha1, kind: SluiceConfig, metadata: {name: default}, spec: {audit: false}}
	END
	for plural in "${KUBE_KINDS[@]}"; do said kinds "/$plural object (shop/)?(x|default) "; done
	since kinds
	kube_write_status "$SLUICE_API/egressgateways/x" '{"observedGeneration": 1}'
	said kinds '/egressgateways object x '
	for plural in egressgateways clusteregresspolicies namespaces/shop/egresspolicies \
		clusteregressdestinations namespaces/shop/egressdestinations; do
		kube_delete "$SLUICE_API/$plural/x"
		said kinds "/${plural##*/} gone (shop/)?x\$"
	done
	kube_delete "$SLUICE_API/sluiceconfigs/default"
	said kinds '/sluiceconfigs gone default$'
	run ! has_said kinds trouble
}

@test "calls apply, merge and are refused in words" {
	local conf
	conf=$(kube_kubeconfig admin)
	run -0 slkube "$conf" call PATCH "$PODS/applied?fieldManager=sluiced&force=true" \
		'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"applied","labels":{"a":"b"}},"spec":{"containers":[{"name":"a","image":"a"}]}}' \
		application/apply-patch+yaml
	[[ ${lines[0]} == 201* ]]
	run -0 slkube "$conf" call PATCH "$PODS/applied" '{"metadata":{"labels":{"a":null}}}' application/merge-patch+json
	[[ ${lines[0]} == 200* ]]
	run -1 slkube "$conf" call POST "$PODS" '{"metadata":{"name":"applied"},"spec":{"containers":[{"name":"a","image":"a"}]}}'
	[[ ${lines[0]} == '409 POST /api/v1/namespaces/shop/pods: 409 Conflict: pods "applied" already exists' ]]
	run -1 slkube "$(kube_kubeconfig nobody)" call GET "$PODS/applied"
	[[ ${lines[0]} == *'403 Forbidden: pods "applied" is forbidden: User "nobody" cannot get resource'* ]]
	pods_gone
}

@test "a client certificate and a server of another name do, too" {
	kube_cert boss system:masters
	sed -e "s|server: .*|server: https://api.sluice.test:6443|; s|user: {token.*|user: {client-certificate: boss.crt, client-key: boss.key}|" \
		-e "s|    certificate-authority: .*|    certificate-authority-data: $(base64 -w0 "$KUBE/ca.crt")\n    tls-server-name: api.lab.test|" \
		"$(kube_kubeconfig admin)" >"$KUBE/cert.kubeconfig"
	# of three addresses one cannot be reached, at one nobody listens
	printf '%s api.sluice.test\n' 172.31.7.250 "$KUBE_V4" 172.31.7.11 >"$KUBE/hosts"
	on node1 ip route add unreachable 172.31.7.250
	# shellcheck disable=SC2016 # for the inner shell
	run -0 on node1 unshare -m sh -c 'mount --bind "$1/hosts" /etc/hosts && exec "$2" "$1/cert.kubeconfig" call GET /api/v1/nodes' \
		- "$KUBE" "$TOP/build/e2e/slkube"
	[[ ${lines[0]} == 200* ]]
}

@test "a thousand pods come and go, of this node only, in few MiB" {
	watch pods "$(kube_kubeconfig admin)" '/api/v1/pods?fieldSelector=spec.nodeName%3Dn1'
	said pods synced
	{ pods 1000 n1 && pods 50 n2; } | on api "$TOP/e2e/tools/kube.py" "$(kube_kubeconfig admin)" create - >/dev/null
	lab_wait 600 all_said ' object shop/n1-'
	watch again "$(kube_kubeconfig admin)" '/api/v1/pods?fieldSelector=spec.nodeName%3Dn1'
	said again 'synced 1000$'
	pods_gone >/dev/null
	lab_wait 600 all_said ' gone shop/n1-'
	[ "$(times pods ' gone ')" -eq 1000 ]
	run ! grep n2- "$LAB/log/watch-pods"
	run ! grep trouble "$LAB/log/watch-pods"
	tell pods USR1
	said pods '^used '
	used=$(sed -n 's/^used \([0-9]*\) KiB.*/\1/p' "$LAB/log/watch-pods")
	echo "used $used KiB"
	[ "$used" -lt 20000 ]
}

@test "history that was compacted away while the client was not listening is listed anew" {
	pods 3 n1 | kube_apply >/dev/null
	watch old "$(kube_kubeconfig admin)" '/api/v1/pods?fieldSelector=spec.nodeName%3Dn1'
	said old 'synced 3$'
	tell old STOP
	kube_delete "$PODS/n1-0?gracePeriodSeconds=0" >/dev/null
	pods 1 n2 | kube_apply >/dev/null
	kube_compact
	kube_api_stop KILL
	kube_api_start
	since old
	tell old CONT
	said old begin
	said old 'object shop/n1-2'
	said old synced
	# what had reached the stopped client before may come first
	run ! grep n1-0 <(tail -n "+$FROM" "$LAB/log/watch-old" | sed '1,/ begin$/d')
	pods_gone >/dev/null
}

@test "an API server that is killed is missed, and found again with the token of the day" {
	local conf=$KUBE/rotated.kubeconfig
	kube_apply <<-END
		{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: rotated},
		 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin},
		 subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: nobody}]}
	END
	sed "s|user: {token.*|user: {tokenFile: the.token}|" "$(kube_kubeconfig nobody)" >"$conf"
	kube_token nobody >"$KUBE/the.token"
	watch on "$conf" /api/v1/namespaces/shop/pods
	said on synced
	kube_api_stop KILL
	said on 'trouble GET /api/v1/namespaces/shop/pods: https://172.31.7.200:6443: '
	since on
	sed -i "s/^$(kube_token nobody),/another-token,/" "$KUBE/tokens.csv"
	echo another-token >"$KUBE/.new" && mv "$KUBE/.new" "$KUBE/the.token"
	kube_api_start
	said on ' over$'
	pods 1 n1 | kube_apply
	said on 'object shop/n1-0 '
}
