#!/usr/bin/env bats
# The daemon and the Nodes of a real API server: who carries addresses when one goes, which Nodes
# are watched, and the taint that a new one waits with.
load lib/cluster

setup_file() { cluster_make node1 gw1; }
setup() { suite_test_begin node1 gw1; }
teardown() { suite_test_end; }
teardown_file() { lab_destroy; }

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
	node_object gw1 | kube_apply # for the others
}

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
	node_object node1 | kube_apply # it is back
	nodes_tell
	kube_delete "$OFFICE" >/dev/null
	gateway_apply
	lab_wait 300 has_address gw1 "$EGRESS_V4"
}
has_both() { has_address "$1" "$EGRESS_V4" && has_address "$1" "$EGRESS_V6"; }
has_neither() { ! has_address "$1" "$EGRESS_V4" && ! has_address "$1" "$EGRESS_V6"; }

nodes_known() { [ "$(ctl "$1" status -o json | jq '.api.collections[] | select(.name == "nodes").count')" = "$2" ]; }
nodes_known_wait() {
	lab_wait 150 nodes_known "$@" && lab_wait 150 synced "$1" && return
	ctl "$1" status -o json | jq .api
	lab_fail "$1 does not know $2 nodes"
}

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
	same "a node that is not watched" "$EGRESS_V4" "$(ask web udp "$DENIED_V4")"
	policy_apply web "rules: [{name: never, action: Deny, to: [{nodes: {matchLabels: {role: far1}}}]}, {name: out, action: Allow, via: {gateway: office}}]"
	nodes_known_wait node1 3
	lab_wait 100 asks_as web timeout "$DENIED_V4"
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
