#!/usr/bin/env bats
# A cluster as it is: three nodes with containerd each, our list beside the bridge plugin's, the
# daemons on a real API server. Pods are run through CRI; their first process speaks at once.
load lib/cluster
load lib/runtimes

setup() {
	local node
	skip_long
	kube_or_skip
	need_containerd
	cluster_make node1 gw1 gw2
	gateway_apply office "$EGRESS_V4 $EGRESS_V6"
	policy_apply web "rules: [{name: never, action: Deny, to: [{cidr: $DENIED_V4/32}]}, {name: out, action: Allow, via: {gateway: office}}]"
	for node in "${LAB_NODES[@]}"; do member_up "$node"; done
	for node in "${LAB_NODES[@]}"; do lab_wait 300 in_force "$node" || lab_fail "$(ctl "$node" status)"; done
	gateway_wait gw1
}
teardown() { lab_teardown; }

# member_up NODE: its containerd with the bridge plugin's list, and our daemon, which writes ours
member_up() {
	local node=$1
	LAB_PLAIN='[]' chain_write bridge
	containerd_up "$node"
	jq -n --arg net_d "$ROOM/net.d" --argjson entry "$(sluice_entry "$node")" \
		'{cniConfDir: $net_d, cniEntry: $entry}' >"$ROOM/sluiced.yaml"
	daemon_start "$node"
}
daemon_start() { LAB_CONFIG=$LAB/room-$1/sluiced.yaml kube_node_start "$1"; }
in_force() {
	ctl "$1" status -o json | jq -e '.api.synced' && [ -s "$LAB/room-$1/net.d/00-sluice.conflist" ] &&
		room_of "$1" && cri network | grep -q sluice
}

# pod_run POD APP NODE: its object, then its sandbox, as a kubelet does; its id in $ID
pod_run() {
	local uid
	pod_object "$@" >/dev/null
	uid=$(kube_get "/api/v1/namespaces/shop/pods/$1" | jq -r .metadata.uid)
	room_of "$3"
	ID=$(sandbox_run "shop/$1" "uid=$uid")
}
# pod_end POD NODE
pod_end() {
	room_of "$2"
	sandboxes_remove
	pod_forget "$1"
	lab_wait 300 nothing_left "$2" || nothing_left "$2"
}
heard() { [ "$(seen tcp "$EGRESS_V4")" -ge "$1" ] && [ "$(seen tcp "$EGRESS_V6")" -ge "$1" ]; }
netns_of() { inside ls /run/netns; }
pod_asks() { in_pod "$(netns_of)" "$PROBE" ask udp "$1" "$PORT" "${@:2}"; }

@test "pods of three nodes leave as the office from their first packet, and nothing is left (long)" {
	local node n=0
	for node in "${LAB_NODES[@]}"; do
		pod_run "web-$node" web "$node"
		n=$((n + 1))
		lab_wait 300 heard "$n" || lab_fail "$node: $(counts)"
		same "denied at $node" timeout "$(pod_asks "$DENIED_V4" timeout=300)"
	done
	only_from "$EGRESS_V4" "$EGRESS_V6"
	for node in "${LAB_NODES[@]}"; do
		pod_end "web-$node" "$node"
		same "calls at $node" "ADD netns prevResult;DEL netns prevResult" "$(calls | grep -v STATUS | head -2 | paste -sd ';')"
	done
}

@test "containerd, the daemon and the API are killed in turn, and a pod goes on and ends in order (long)" {
	pod_run web web node1
	lab_wait 300 heard 1
	daemon_stop containerd-node1 KILL
	same "without containerd" "$EGRESS_V4" "$(pod_asks "$EXT_V4")"
	containerd_start
	kube_api_stop KILL
	same "without the API" "$EGRESS_V4" "$(pod_asks "$EXT_V4")"
	daemon_stop sluiced-node1 KILL
	same "without the daemon" "$EGRESS_V4" "$(pod_asks "$EXT_V4")"
	# neither can a second one be known, nor is it let out
	run sandbox_run shop/late
	if [ "$status" -eq 0 ]; then
		same "one that nobody knows" 0 "$(seen tcp "${NODE_V4[node1]}")"
	fi
	cri stop "$ID"
	cri remove "$ID"
	sandboxes_remove
	kube_api_start
	daemon_start node1
	lab_wait 300 in_force node1
	lab_wait 300 nothing_left node1 || nothing_left node1
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

@test "sixty pods come and go on three nodes, four at a time, and nothing is left (long)" {
	local i node pids
	for i in $(seq 5); do
		pids=()
		for node in "${LAB_NODES[@]}"; do
			for n in 1 2 3 4; do
				(pod_run "p$node-$n" web "$node") 3>&- &
				pids+=($!)
			done
		done
		for pid in "${pids[@]}"; do wait "$pid"; done
		for node in "${LAB_NODES[@]}"; do
			room_of "$node"
			sandboxes_remove
		done
		only_from "$EGRESS_V4" "$EGRESS_V6"
		echo "# $((i * 12)) pods" >&3
	done
	for node in "${LAB_NODES[@]}"; do lab_wait 300 nothing_left "$node" || nothing_left "$node"; done
}
