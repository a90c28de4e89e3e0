# shellcheck shell=bash
# shellcheck disable=SC2034,SC2119,SC2120 # what suites use; optional arguments
# A cluster on the lab's API server (lib/kube): its Nodes, what every cluster has, daemons with no
# more rights than the manifests give them, and what controllers and kubelets would write.
#
#	cluster_make NODE…         in setup_file: lab, API server, our kinds, the base's objects
#	kube_node_start NODE…      daemons;  nodes_synced NODE…: they know all objects
#	gateway_apply, policy_apply, pod_object, config_apply: the objects of most tests
#	cluster_up                 node1 and gw1 with gateway office and policy shop/web by it
#	pod_start POD APP          an object, then the chain's ADD;  pods_end POD…
#	condition_wait PATH TYPE "STATUS REASON";  row_is PATH NAME COLUMNS;  said REASON WORDS
#	suite_test_begin NODE…, suite_test_end   in setup and teardown where tests share the cluster

# shellcheck source=e2e/lib/kube.bash
declare -F kube_up >/dev/null || . "$(dirname "${BASH_SOURCE[0]}")/kube.bash"

OFFICE=$SLUICE_API/egressgateways/office
AS_OFFICE='rules: [{name: out, action: Allow, via: {gateway: office}}]'
DENY='rules: [{name: never, action: Deny}]'

# ---- objects ----

# config_object [MORE]
config_object() {
	cat <<-END
		{apiVersion: sluice.dev/v1alpha1, kind: SluiceConfig, metadata: {name: default},
		 spec: {clusterCIDRs: [10.244.0.0/16, 10.96.0.0/16, "fd00:244::/32", "fd00:96::/64"]${1:-}}}
	END
}
config_apply() { config_object "$@" | kube_apply; }

node_object() {
	cat <<-END
		{apiVersion: v1, kind: Node, metadata: {name: $1, labels: {kubernetes.io/hostname: $1}},
		 spec: {podCIDRs: [10.244.${NODE_NUMBER[$1]}.0/24], podCIDR: 10.244.${NODE_NUMBER[$1]}.0/24}}
	END
}

# Of the daemon's rights the least that it needs: all of this is done with no more.
cluster_base() {
	local node
	config_object
	cat <<-END
		---
		{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: payments}}}
		---
		{apiVersion: v1, kind: Namespace, metadata: {name: sluice-system}}
		---
	END
	cat "$TOP/conf/kubernetes/rbac.yaml"
	for node in "${LAB_NODES[@]}"; do
		echo ---
		node_object "$node"
	done
}

# What kubelets write of the nodes.
nodes_tell() {
	local node
	for node in "${LAB_NODES[@]}"; do
		kube_write_status "/api/v1/nodes/$node" "{\"addresses\": [
			{\"type\": \"InternalIP\", \"address\": \"${NODE_V4[$node]}\"},
			{\"type\": \"InternalIP\", \"address\": \"${NODE_V6[$node]}\"}],
			\"conditions\": [{\"type\": \"Ready\", \"status\": \"True\"}]}" >/dev/null || return
	done
}

# gateway_apply [NAME [RANGES [NODE]]]
gateway_apply() {
	local ranges
	# shellcheck disable=SC2086 # several
	ranges=$(printf '{range: "%s"},' ${2:-$EGRESS_V4})
	kube_apply <<-END
		{apiVersion: sluice.dev/v1alpha1, kind: EgressGateway, metadata: {name: ${1:-office}},
		 spec: {addresses: [$ranges], nodeSelector: {matchLabels: {kubernetes.io/hostname: ${3:-gw1}}},
		        allowedNamespaces: {}}}
	END
}

# policy_apply NAME SPEC-WITHOUT-SUBJECT: of the pods with app=NAME
policy_apply() {
	kube_apply <<-END
		{apiVersion: sluice.dev/v1alpha1, kind: EgressPolicy, metadata: {name: $1, namespace: shop},
		 spec: {subject: {podSelector: {matchLabels: {app: $1}}}, $2}}
	END
}

# pod_object POD APP [NODE]: what the scheduler's word makes of a pod
pod_object() {
	kube_apply <<-END
		{apiVersion: v1, kind: Pod, metadata: {name: $1, namespace: shop, labels: {app: $2}},
		 spec: {nodeName: ${3:-node1}, containers: [{name: c, image: none}]}}
	END
}
pod_forget() { kube_delete "/api/v1/namespaces/shop/pods/$1?gracePeriodSeconds=0" >/dev/null; }

# slice_apply NAME SERVICE ADDRESS…: of whichever version the server has
slice_apply() {
	local name=$1 service=$2 version=v1
	shift 2
	kube_get /apis/discovery.k8s.io/v1 >/dev/null 2>&1 || version=v1beta1
	kube_apply <<-END
		{apiVersion: discovery.k8s.io/$version, kind: EndpointSlice, addressType: IPv4,
		 metadata: {name: $name, namespace: shop, labels: {kubernetes.io/service-name: $service}},
		 endpoints: [$(printf '{addresses: [%s]},' "$@")], ports: [{name: q, protocol: UDP, port: $PORT}]}
	END
}

# bind RoleBinding|ClusterRoleBinding CLUSTERROLE USER [NAMESPACE]
bind() {
	kube_apply <<-END
		apiVersion: rbac.authorization.k8s.io/v1
		kind: $1
		metadata: {name: $3-$2${4:+, namespace: $4}}
		roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: $2}
		subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: $3}]
	END
}

# ---- nodes ----

cluster_make() {
	kube_assets || return 0
	lab_up "$@"
	kube_up
	kube_crds
	cluster_base | kube_apply
	nodes_tell
	export EXT_V4 EXT_V6 DENIED_V4 DENIED_V6 NEXT_V4 NEXT_V6
}

# kube_node_start NODE…: settings in LAB_CONFIG, another program in SLUICED
kube_node_start() {
	local node
	kube_kubeconfig sluiced >/dev/null
	for node in "$@"; do
		node_args "$node"
		rm -f "$LAB/$node/run/sluiced.sock"
		daemon "sluiced-$node" on "$node" "${SLUICED:-$BIN/sluiced}" "${NODE_ARGS[@]}" \
			--log-level "${LAB_LOG:-debug}" --kubeconfig "$KUBE/sluiced.kubeconfig" --namespace sluice-system
	done
	for node in "$@"; do
		lab_wait 100 node_answers "$node" || node_fail "$node" "does not answer"
	done
}
synced() { ctl "$1" status -o json | jq -e '.api.synced'; }
nodes_synced() {
	local node
	for node in "$@"; do lab_wait 100 synced "$node" || lab_fail "$node does not get all objects"; done
}

# What most tests begin with: a gateway, the policy web by it, daemons that know all.
cluster_up() {
	nodes_tell
	gateway_apply
	policy_apply web "$AS_OFFICE"
	kube_node_start node1 gw1
	nodes_synced node1 gw1
	lab_wait 100 has_address gw1 "$EGRESS_V4" || lab_fail "gw1 does not claim $EGRESS_V4"
}

suite_test_begin() {
	kube_or_skip
	LAB_NODES=("$@")
	export POD_NAMESPACE=shop
}
# The daemons were this test's own.
suite_test_end() {
	local node
	[ -n "${BATS_TEST_COMPLETED:-}" ] || [ -z "${LAB:-}" ] || LAB_TAIL=60 lab_dump
	for node in "${LAB_NODES[@]}"; do node_stop "$node"; done
	rm -f "$LAB"/log/sluiced-*
}

# ---- pods ----

# pod_start POD APP: told by the watch or fetched at ADD, whichever is first
pod_start() { pod_object "$1" "$2" && pod_add "$1"; }
pods_end() {
	local pod
	for pod in "$@"; do
		pod_del "$pod"
		pod_forget "$pod" || true
	done
}

# ---- what is told ----

# condition PATH TYPE: "STATUS REASON"
condition() {
	kube_get "$SLUICE_API/$1" | jq -r --arg type "$2" \
		'.status.conditions[]? | select(.type == $type) | "\(.status) \(.reason)"'
}
condition_is() { [ "$(condition "$1" "$2")" = "$3" ]; }
condition_wait() {
	lab_wait 100 condition_is "$@" || {
		kube_get "$SLUICE_API/$1" | jq .status
		lab_fail "$1: $2 is not $3"
	}
}

# row PATH NAME: what kubectl get shows of it, by its columns
row() {
	KUBE_ACCEPT='application/json;as=Table;v=v1;g=meta.k8s.io' kube_get "$SLUICE_API/$1" |
		jq -r --arg name "$2" '.columnDefinitions as $c | .rows[] | select(.object.metadata.name == $name) |
			[.cells, $c] | transpose | map(select(.[1].priority == 0 and .[1].name != "Age")[0] | tostring) | join(" ")'
}
row_is() { [ "$(row "$1" "$2")" = "$3" ]; }

# events REASON: the messages of what was said
events() { kube_get "/api/v1/events" | jq -r --arg reason "$1" '.items[] | select(.reason == $reason) | .message'; }
said() { events "$1" | grep -F "$2"; }
