#!/usr/bin/env bats
# The daemon on a real API server: what objects say is in force before a pod's first packet, and
# an API that lies, lags or is gone changes nothing that is in force.
load lib/kube

setup_file() {
	kube_assets || return 0
	lab_up node1 gw1
	kube_up
	kube_crds
	cluster_objects | kube_apply
	kube_kubeconfig sluiced
	export EXT_V4 EXT_V6 DENIED_V4 DENIED_V6 NEXT_V4 NEXT_V6
}
setup() {
	kube_or_skip
	LAB_NODES=(node1 gw1)
	export POD_NAMESPACE=shop
}
teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] || [ -z "${LAB:-}" ] || LAB_TAIL=60 lab_dump
	node_stop node1
	node_stop gw1
	rm -f "$LAB"/log/sluiced-*
}
teardown_file() { lab_destroy; }

# ---- objects ----

cluster_objects() {
	local node
	cat <<-END
		{apiVersion: sluice.dev/v1alpha1, kind: SluiceConfig, metadata: {name: default},
		 spec: {clusterCIDRs: [10.244.0.0/16, 10.96.0.0/16, "fd00:244::/32", "fd00:96::/64"]}}
		---
		{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: payments}}}
		---
		{apiVersion: v1, kind: Namespace, metadata: {name: sluice-system}}
		---
	END
	cat "$TOP/conf/kubernetes/rbac.yaml" # the least that it needs: all of this is done with no more
	for node in "${LAB_NODES[@]}"; do
		cat <<-END
			---
			{apiVersion: v1, kind: Node, metadata: {name: $node, labels: {kubernetes.io/hostname: $node}},
			 spec: {podCIDRs: [10.244.${NODE_NUMBER[$node]}.0/24], podCIDR: 10.244.${NODE_NUMBER[$node]}.0/24}}
		END
	done
}

# The nodes' addresses, which kubelets write.
nodes_tell() {
	local node
	for node in "${LAB_NODES[@]}"; do
		kube_write_status "/api/v1/nodes/$node" "{\"addresses\": [
			{\"type\": \"InternalIP\", \"address\": \"${NODE_V4[$node]}\"},
			{\"type\": \"InternalIP\", \"address\": \"${NODE_V6[$node]}\"}]}" >/dev/null || return
	done
}

gateway_apply() {
	kube_apply <<-END
		{apiVersion: sluice.dev/v1alpha1, kind: EgressGateway, metadata: {name: ${1:-office}},
		 spec: {addresses: [{range: ${2:-$EGRESS_V4}}], nodeSelector: {matchLabels: {kubernetes.io/hostname: ${3:-gw1}}},
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
AS_OFFICE='rules: [{name: out, action: Allow, via: {gateway: office}}]'
DENY='rules: [{name: never, action: Deny}]'

# pod_object POD APP [NODE]: what the scheduler's word makes of a pod
pod_object() {
	kube_apply <<-END
		{apiVersion: v1, kind: Pod, metadata: {name: $1, namespace: shop, labels: {app: $2}},
		 spec: {nodeName: ${3:-node1}, containers: [{name: c, image: none}]}}
	END
}
pod_forget() { kube_delete "/api/v1/namespaces/shop/pods/$1?gracePeriodSeconds=0" >/dev/null; }

# ---- daemons ----

kube_node_start() {
	local node
	for node in "$@"; do
		node_args "$node"
		rm -f "$LAB/$node/run/sluiced.sock"
		daemon "sluiced-$node" on "$node" "$BIN/sluiced" "${NODE_ARGS[@]}" --log-level debug \
			--kubeconfig "$KUBE/sluiced.kubeconfig" --namespace sluice-system
	done
	for node in "$@"; do
		lab_wait 100 node_answers "$node" || lab_fail "sluiced on $node does not answer"
	done
}
synced() { ctl "$1" status -o json | jq -e '.api.synced'; }
nodes_synced() {
	local node
	for node in "$@"; do lab_wait 100 synced "$node" || lab_fail "$node does not get all objects"; done
}

denied() { ! ask "$1" udp "$EXT_V4" timeout=300; }
asks_as() { [ "$(ask "$1" udp "$EXT_V4" timeout=500)" = "$2" ]; }

# What every test begins with: a gateway, the policy web by it, daemons that know all.
cluster_up() {
	nodes_tell
	gateway_apply
	policy_apply web "$AS_OFFICE"
	kube_node_start node1 gw1
	nodes_synced node1 gw1
	lab_wait 100 has_address gw1 "$EGRESS_V4" || lab_fail "gw1 does not claim $EGRESS_V4"
}

# pod_start POD APP: told by the watch or fetched at ADD, whichever is first
pod_start() { pod_object "$1" "$2" && pod_add "$1"; }
pods_end() {
	local pod
	for pod in "$@"; do
		pod_del "$pod"
		pod_forget "$pod" || true
	done
}

@test "policies of the API govern a pod from its first packet" {
	cluster_up
	pod_start web web
	same "first packet" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	pod_start plain plain
	same "no policy" "${NODE_V4[node1]}" "$(ask plain udp "$EXT_V4")"
	pods_end web plain
}

@test "edits, labels and deletions reach the kernel, and open connections live on" {
	cluster_up
	pod_start web web
	talk_open web
	same "as office" "$EGRESS_V4 alive" "$(talk web)"
	policy_apply other "$DENY"
	pod_object web other # its label is another one now
	lab_wait 100 denied web
	pod_object web web
	lab_wait 100 asks_as web "$EGRESS_V4"
	kube_apply <<-END
		{apiVersion: sluice.dev/v1alpha1, kind: ClusterEgressPolicy, metadata: {name: locked},
		 spec: {subject: {podSelector: {}, namespaceSelector: {matchLabels: {locked: "yes"}}}, $DENY}}
	END
	same "not locked" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	kube_apply <<<'{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: payments, locked: "yes"}}}'
	lab_wait 100 denied web
	kube_apply <<<'{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: payments}}}'
	lab_wait 100 asks_as web "$EGRESS_V4"
	kube_delete "$SLUICE_API/clusteregresspolicies/locked" >/dev/null
	policy_apply web "rules: [{name: out, action: Allow, via: {node: {}}}]"
	lab_wait 100 asks_as web "${NODE_V4[node1]}"
	same "the open one" "$EGRESS_V4 alive" "$(talk web)"
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies/other" >/dev/null
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies/web" >/dev/null
	lab_wait 100 asks_as web "${NODE_V4[node1]}"
	same "the open one after all" "$EGRESS_V4 alive" "$(talk web)"
	talk_close web
	pods_end web
}

# reaches WHAT PATH PATCH PATCH: they take pod web into and out of a policy, six times; the best
# counts, since a machine that does other things is no fault of ours
reaches() {
	local what=$1 index best median best_asked median_asked
	index=$(ip -n "$P-node1" -j link show "$(pod_veth web)" | jq '.[0].ifindex')
	read -r best median best_asked median_asked <<<"$(on api "$TOP/e2e/tools/labelwatch.py" \
		"$(kube_kubeconfig admin)" "$2" "$(find "$LAB/node1/bpf" -name pods)" "$index" 6 "$3" "$4")"
	echo "# $what: in the kernel $median ms after the API's answer (best $best)," \
		"$median_asked ms after the request (best $best_asked)" >&3
	[ "$best" -le 100 ]
}

@test "labels of pods and selectors of Services that change are in the kernel within 100 ms" {
	cluster_up
	policy_apply web "$DENY"
	pod_start web web
	lab_wait 100 denied web
	reaches "a pod's labels" /api/v1/namespaces/shop/pods/web \
		'{"metadata": {"labels": {"app": "none"}}}' '{"metadata": {"labels": {"app": "web"}}}'
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies/web" >/dev/null
	kube_apply <<-END
		{apiVersion: v1, kind: Service, metadata: {name: store, namespace: shop},
		 spec: {selector: {app: web}, ports: [{port: 80, protocol: TCP}]}}
		---
		{apiVersion: sluice.dev/v1alpha1, kind: EgressPolicy, metadata: {name: store, namespace: shop},
		 spec: {subject: {services: [store]}, $DENY}}
	END
	lab_wait 100 denied web
	reaches "a Service's selector" /api/v1/namespaces/shop/services/store \
		'{"spec": {"selector": {"app": "none"}}}' '{"spec": {"selector": {"app": "web"}}}'
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies/store" >/dev/null
	kube_delete /api/v1/namespaces/shop/services/store >/dev/null
	pods_end web
}

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

@test "status says what holds and what does not, and takes it back" {
	local web=namespaces/shop/egresspolicies/web office=egressgateways/office
	cluster_up
	condition_wait $web Accepted "True Accepted"
	condition_wait $web Ready "True InForce"
	condition_wait $office Ready "True AllAddressesCarried"
	kube_get "$SLUICE_API/$office" |
		jq -e --arg a "$EGRESS_V4" '.status.addresses[0] | .address == $a and .node == "gw1" and .announced'
	kube_delete "$SLUICE_API/$office" >/dev/null
	condition_wait $web Accepted "False MissingGateway"
	condition_wait $web Ready "False NotAccepted"
	gateway_apply other "$EGRESS_V4"
	condition_wait egressgateways/other Ready "True AllAddressesCarried"
	sleep 1.1 # the younger of two is told by the second
	gateway_apply
	condition_wait $office Accepted "False Conflict"
	condition_wait $office AddressAssigned "False NotCarried"
	kube_delete "$SLUICE_API/egressgateways/other" >/dev/null
	condition_wait $office Ready "True AllAddressesCarried"
	condition_wait $web Ready "True InForce"
	policy_apply web "rules: [{name: bank, action: Allow, to: [{destination: {name: bank}}]}]"
	condition_wait $web Accepted "False MissingDestination"
	lab_wait 100 said IPAssigned "$EGRESS_V4 is carried by node gw1" || kube_get /api/v1/events
}

# row PATH NAME: what kubectl get shows of it, by its columns
row() {
	KUBE_ACCEPT='application/json;as=Table;v=v1;g=meta.k8s.io' kube_get "$SLUICE_API/$1" |
		jq -r --arg name "$2" '.columnDefinitions as $c | .rows[] | select(.object.metadata.name == $name) |
			[.cells, $c] | transpose | map(select(.[1].priority == 0 and .[1].name != "Age")[0] | tostring) | join(" ")'
}
row_is() { [ "$(row "$1" "$2")" = "$3" ]; }

@test "a gateway's columns show all that it has, and entries of an owner that is gone are taken back" {
	cluster_up
	kube_apply <<-END
		{apiVersion: sluice.dev/v1alpha1, kind: EgressGateway, metadata: {name: many},
		 spec: {addresses: [{range: 172.31.7.60}, {range: 172.31.7.61-172.31.7.62}],
		        nodeSelector: {matchLabels: {kubernetes.io/hostname: gw1}}}}
	END
	lab_wait 200 row_is egressgateways many "many 172.31.7.60,172.31.7.61-172.31.7.62 gw1 True" ||
		lab_fail "the row is: $(row egressgateways many)"
	node_stop gw1 KILL
	kube_delete /api/v1/nodes/gw1 >/dev/null
	lab_wait 600 row_is egressgateways many "many 172.31.7.60,172.31.7.61-172.31.7.62 null False" ||
		lab_fail "the row is: $(row egressgateways many)"
	same "entries" 0 "$(kube_get "$SLUICE_API/egressgateways/many" | jq '.status.addresses | length')"
	kube_delete "$SLUICE_API/egressgateways/many" >/dev/null
	(LAB_NODES=(gw1) && cluster_objects) | kube_apply >/dev/null # its Node, for the others
}

# events REASON: the messages of what was said
events() { kube_get "/api/v1/events" | jq -r --arg reason "$1" '.items[] | select(.reason == $reason) | .message'; }
said() { events "$1" | grep -F "$2"; }

# owner NODE: whom it thinks the office's address belongs to
owner_is() { ctl "$1" status -o json | jq -e --arg owner "$2" 'any(.addresses[]; .gateway == "office" and .owner == $owner)'; }
# node_spec NODE JSON, node_ready NODE STATUS
node_spec() { kube_call admin PATCH "/api/v1/nodes/$1" application/merge-patch+json <<<"{\"spec\": $2}" >/dev/null; }
node_ready() {
	kube_write_status "/api/v1/nodes/$1" "{\"conditions\": [{\"type\": \"Ready\", \"status\": \"$2\",
		\"reason\": \"Test\", \"message\": \"\", \"lastHeartbeatTime\": null, \"lastTransitionTime\": null}]}" >/dev/null
}

@test "a node that is cordoned, not ready or deleted gives its addresses to another" {
	cluster_up
	kube_delete "$OFFICE" >/dev/null # an apply leaves of the old selector what it does not name
	kube_apply <<-END
		{apiVersion: sluice.dev/v1alpha1, kind: EgressGateway, metadata: {name: office},
		 spec: {addresses: [{range: $EGRESS_V4}, {range: "$EGRESS_V6"}], allowedNamespaces: {},
		        nodeSelector: {matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node1, gw1]}]}}}
	END
	policy_apply web "$AS_OFFICE"
	lab_wait 300 eval 'owner_is node1 node1 || owner_is node1 gw1'
	node_spec gw1 '{"unschedulable": true}'
	lab_wait 300 has_both node1
	lab_wait 300 has_neither gw1
	node_spec gw1 '{"unschedulable": null}'
	node_spec node1 '{"unschedulable": true}'
	lab_wait 300 has_both gw1
	lab_wait 300 has_neither node1
	node_spec node1 '{"unschedulable": null}'
	node_ready gw1 Unknown
	lab_wait 300 has_both node1
	node_ready gw1 True
	kube_delete /api/v1/nodes/node1 >/dev/null
	lab_wait 300 has_both gw1
	lab_wait 300 has_neither node1
	kube_apply <<-END # it is back
		{apiVersion: v1, kind: Node, metadata: {name: node1, labels: {kubernetes.io/hostname: node1}},
		 spec: {podCIDRs: [10.244.1.0/24], podCIDR: 10.244.1.0/24}}
	END
	nodes_tell
	kube_delete "$OFFICE" >/dev/null
	gateway_apply
	lab_wait 300 has_address gw1 "$EGRESS_V4"
}
OFFICE=/apis/sluice.dev/v1alpha1/egressgateways/office
has_both() { has_address "$1" "$EGRESS_V4" && has_address "$1" "$EGRESS_V6"; }
has_neither() { ! has_address "$1" "$EGRESS_V4" && ! has_address "$1" "$EGRESS_V6"; }

@test "who writes status is taken over for when it dies (long)" {
	local lease=/apis/coordination.k8s.io/v1/namespaces/sluice-system/leases/sluiced leader
	skip_long
	cluster_up
	condition_wait namespaces/shop/egresspolicies/web Accepted "True Accepted"
	leader=$(kube_get "$lease" | jq -r .spec.holderIdentity)
	node_stop "$leader" KILL
	policy_apply web "rules: [{name: bank, action: Allow, to: [{destination: {name: bank}}]}]"
	condition_wait namespaces/shop/egresspolicies/web Accepted "False MissingDestination"
	same "the same leader" false "$(kube_get "$lease" | jq --arg was "$leader" '.spec.holderIdentity == $was')"
}

@test "an invalid update keeps the last good version, over a restart, and status says so" {
	local web=namespaces/shop/egresspolicies/web
	cluster_up
	pod_start web web
	same "as office" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	policy_apply web "rules: [{name: out, action: Allow, novelty: 1}]" # kept by the server, unknown to us
	condition_wait $web Accepted "False Invalid"
	lab_wait 100 said InvalidPolicy "EgressPolicy shop/web: spec.rules[0].novelty"
	kube_get "$SLUICE_API/$web" | jq -e '.status.conditions[0].message | test("spec.rules\\[0\\].novelty: unknown field.*last good")'
	same "as before" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	node_stop node1
	kube_node_start node1
	nodes_synced node1
	pod_start again web
	same "a pod started after it" "$EGRESS_V4" "$(ask again udp "$EXT_V4")"
	# never valid: denies whom it selects
	policy_apply bad "rules: [{name: out, action: Allow, novelty: 1}]"
	condition_wait namespaces/shop/egresspolicies/bad Accepted "False Invalid"
	pod_start bad bad
	denied bad
	policy_apply bad "rules: [{name: out, action: Allow}]"
	lab_wait 100 asks_as bad "${NODE_V4[node1]}"
	policy_apply web "$AS_OFFICE"
	condition_wait $web Accepted "True Accepted"
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies/bad" >/dev/null
	pods_end web again bad
}

@test "without the API everything stays, and what it says afterwards counts" {
	cluster_up
	pod_start web web
	kube_api_stop KILL
	same "as before" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	node_stop node1
	node_stop gw1
	kube_node_start node1 gw1
	same "daemons that never saw it" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	run ctl node1 status
	[ "$status" -eq 3 ] && [[ $output == *"not"* ]]
	# who it is only the API knows: in-cluster traffic alone until then
	pod_add late
	denied late
	kube_api_start
	pod_object late web
	lab_wait 300 asks_as late "$EGRESS_V4"
	lab_wait 100 said Quarantined "on node node1" || echo "nobody was told: the API came back too late"
	nodes_synced node1
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies/web" >/dev/null
	lab_wait 100 asks_as web "${NODE_V4[node1]}"
	pods_end web late
}

@test "a pod that the watch does not tell is fetched, and one that is deleted by force stays who it was" {
	cluster_up
	pod_object web web gw1 # not among this node's
	pod_add web
	same "first packet" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	pod_start forced web
	pod_forget forced
	sleep 1
	same "its object is gone" "$EGRESS_V4" "$(ask forced udp "$EXT_V4")"
	node_stop node1
	kube_node_start node1
	nodes_synced node1
	same "after a restart" "$EGRESS_V4" "$(ask forced udp "$EXT_V4")"
	pods_end web forced
}

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
by_service_as() { [ "$(ASK_PORT=53 ask "$1" udp 10.96.0.77 timeout=500)" = "$2" ]; }
api_reached() { on "$1" curl -sk -m 5 -o "$LAB/log/api-asked" "$KUBE_URL/readyz"; }

@test "a Service that leads outside is judged as its endpoints, and the API servers lie inside" {
	cluster_up
	policy_apply web "rules: [{name: never, action: Deny, to: [{cidr: $DENIED_V4/32}]}, {name: out, action: Allow, via: {gateway: office}}]"
	policy_apply shut "$DENY"
	pod_start web web
	pod_start shut shut
	on node1 nft -f - <<-END
		table ip services {
			chain pre { type nat hook prerouting priority dstnat; ip daddr 10.96.0.77 udp dport 53 dnat to $EXT_V4:$PORT; }
		}
	END
	kube_apply <<-END
		{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop},
		 spec: {clusterIP: 10.96.0.77, ports: [{name: q, port: 53, protocol: UDP}]}}
	END
	same "its endpoints are not known" timeout "$(ASK_PORT=53 ask web udp 10.96.0.77 timeout=500)"
	slice_apply db-1 db "$EXT_V4"
	lab_wait 100 by_service_as web "$EGRESS_V4"
	same "a pod that may not" timeout "$(ASK_PORT=53 ask shut udp 10.96.0.77 timeout=500)"
	slice_apply db-1 db "$DENIED_V4"
	lab_wait 100 by_service_as web timeout
	slice_apply db-1 db "$EXT_V4"
	lab_wait 100 by_service_as web "$EGRESS_V4"
	kube_delete /api/v1/namespaces/shop/services/db >/dev/null
	lab_wait 100 by_service_as web timeout
	denied shut
	lab_wait 100 api_reached shut
	pods_end web shut
	on node1 nft delete table ip services
}

# config_apply [MORE]
config_apply() {
	kube_apply <<-END
		{apiVersion: sluice.dev/v1alpha1, kind: SluiceConfig, metadata: {name: default},
		 spec: {clusterCIDRs: [10.244.0.0/16, 10.96.0.0/16, "fd00:244::/32", "fd00:96::/64"]$1}}
	END
}
nodes_known() { [ "$(ctl "$1" status -o json | jq '.api.collections[] | select(.name == "nodes").count')" = "$2" ]; }
nodes_known_wait() {
	lab_wait 150 nodes_known "$@" && lab_wait 150 synced "$1" && return
	ctl "$1" status -o json | jq .api
	lab_fail "$1 does not know $2 nodes"
}
far_is() { [ "$(ask "$1" udp "$DENIED_V4" timeout=500)" = "$2" ]; }

@test "where nodes' addresses are known by prefix, a node watches its own, the gateways and those that rules name" {
	local far
	cluster_up
	for far in far1 far2 far3; do
		echo "{apiVersion: v1, kind: Node, metadata: {name: $far, labels: {role: $far}}}"
		echo ---
	done | kube_apply
	kube_write_status /api/v1/nodes/far1 "{\"addresses\": [{\"type\": \"ExternalIP\", \"address\": \"$DENIED_V4\"}]}" >/dev/null
	nodes_known_wait node1 5
	pod_start web web
	same "as office" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	config_apply ', nodeCIDRs: [172.31.7.0/27, "fd31:7::/122"]'
	nodes_known_wait node1 2
	nodes_known_wait gw1 5
	same "by the tunnel" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	far_is web "$EGRESS_V4"
	policy_apply web "rules: [{name: never, action: Deny, to: [{nodes: {matchLabels: {role: far1}}}]}, {name: out, action: Allow, via: {gateway: office}}]"
	nodes_known_wait node1 3
	lab_wait 100 far_is web timeout
	same "all else" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	node_stop node1
	kube_node_start node1
	nodes_synced node1
	nodes_known_wait node1 3
	same "after a restart" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	gateway_apply office "$EGRESS_V4" node1 # a gateway takes tunnels from every node
	nodes_known_wait node1 5
	nodes_known_wait gw1 3
	lab_wait 100 has_address node1 "$EGRESS_V4"
	lab_wait 100 asks_as web "$EGRESS_V4"
	config_apply ''
	nodes_known_wait gw1 5
	for far in far1 far2 far3; do kube_delete "/api/v1/nodes/$far" >/dev/null; done
	nodes_known_wait node1 2
	pods_end web
}

taints() { kube_get "/api/v1/nodes/$1" | jq -r '[.spec.taints[]?.key] | join(" ")'; }
taints_are() { [ "$(taints "$1")" = "$2" ]; }

@test "the taint that a node began with goes when new pods pass through the chain, and not before" {
	local conf=$LAB/node1/taint.yaml list=$LAB/node1/cni taint='{"spec": {"taints": [{"key": "other", "effect": "NoSchedule"},
		{"key": "sluice.dev/not-ready", "effect": "NoSchedule"}]}}'
	nodes_tell
	mkdir -p "$list"
	kube_call admin PATCH /api/v1/nodes/node1 application/merge-patch+json <<<"$taint" >/dev/null
	printf 'nodeTaint: true\ncniConfDir: %s\ncniBinDir: %s\n' "$list" "$BIN" >"$conf"
	LAB_CONFIG=$conf kube_node_start node1
	nodes_synced node1
	sleep 2
	same "no list to copy yet" "other sluice.dev/not-ready" "$(taints node1)"
	echo '{"cniVersion": "1.0.0", "name": "main", "plugins": [{"type": "bridge"}]}' >"$list/10-main.conflist"
	lab_wait 100 grep -q 'taint not taken off' "$LAB/log/sluiced-node1" # the manifests' rights are not enough
	same "without the right" "other sluice.dev/not-ready" "$(taints node1)"
	kube_apply "$TOP/conf/kubernetes/examples/node-taint.yaml"
	lab_wait 400 taints_are node1 other || lab_fail "taints: $(taints node1)"
	# a Node that is registered anew has it anew
	kube_call admin PATCH /api/v1/nodes/node1 application/merge-patch+json <<<"$taint" >/dev/null
	lab_wait 100 taints_are node1 other || lab_fail "taints: $(taints node1)"
	kube_delete /apis/rbac.authorization.k8s.io/v1/clusterrolebindings/sluiced-node-taint >/dev/null
	kube_delete /apis/rbac.authorization.k8s.io/v1/clusterroles/sluiced-node-taint >/dev/null
	kube_call admin PATCH /api/v1/nodes/node1 application/merge-patch+json <<<'{"spec": {"taints": null}}' >/dev/null
	rm -r "$conf" "$list"
}

compiles() { grep -c 'policies compiled' "$LAB/log/sluiced-node1"; }

@test "a burst of 1,000 events is one compile, and history that is gone is listed anew (long)" {
	local before i pid
	skip_long
	cluster_up
	pod_start web web
	pid=$(cat "$LAB/pids/sluiced-node1")
	before=$(compiles)
	kill -STOP "$pid"
	for ((i = 0; i < 1000; i++)); do
		echo "{apiVersion: sluice.dev/v1alpha1, kind: EgressPolicy, metadata: {name: b$i, namespace: shop}, spec: {subject: {podSelector: {matchLabels: {app: b$i}}}, $DENY}}"
		echo ---
	done | kube_apply >/dev/null
	kube_api_stop KILL # its watches end, and then their place in history is gone
	kube_api_start
	kube_compact
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies/b7" >/dev/null
	kill -CONT "$pid"
	told() { [ "$(ctl node1 status -o json | jq '.policies')" = 1000 ]; }
	lab_wait 300 told
	echo "compiles: $(($(compiles) - before))"
	[ $(($(compiles) - before)) -le 4 ]
	same "as before" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	grep VmRSS "/proc/$pid/status"
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies" >/dev/null
	lab_wait 100 asks_as web "${NODE_V4[node1]}"
	pods_end web
}

@test "pods that ran before Sluice came are adopted" {
	local address
	cluster_up
	LAB_PLAIN='[]' chain_write bridge
	pod_add old
	chain_write bridge
	same "not in the chain" "${NODE_V4[node1]}" "$(ask old udp "$EXT_V4")"
	address=$(pod_ip old 4)
	pod_object old web
	kube_write_status /api/v1/namespaces/shop/pods/old "{\"podIP\": \"$address\", \"podIPs\": [{\"ip\": \"$address\"}]}" >/dev/null
	lab_wait 300 asks_as old "$EGRESS_V4"
	grep 'pod adopted' "$LAB/log/sluiced-node1"
	LAB_PLAIN='[]' chain_write bridge
	cni del old node1
	chain_write bridge
	no_records() { [ -z "$(find "$LAB/node1/state/attachments" -name 'adopted-*')" ]; }
	lab_wait 300 no_records
	pod_forget old
}
