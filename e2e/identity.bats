#!/usr/bin/env bats
# Who the outside sees: {bridge, ptp} × {remote gateway, local gateway} × {IPv4, IPv6}.
load lib/lab

setup() { lab_up node1 gw1; }
teardown() { lab_teardown; }

# matrix CHAIN GATEWAY
matrix() {
	chain_write "$1"
	office_up "$2"
	web_add web
	leaves_as web "$EGRESS_V4" "$EGRESS_V6"
	denied web
	only_from "$EGRESS_V4" "$EGRESS_V6"
	pod_add plain
	leaves_as plain "${NODE_V4[node1]}" "${NODE_V6[node1]}"
	same "plain to the denied" "${NODE_V4[node1]}" "$(ask plain udp "$DENIED_V4")"
	only_from "$EGRESS_V4" "$EGRESS_V6" "${NODE_V4[node1]}" "${NODE_V6[node1]}"
	cni check web node1
	pod_del web
	pod_del plain
	nothing_left node1
}

@test "bridge, remote gateway" { matrix bridge gw1; }
@test "ptp, remote gateway" { matrix ptp gw1; }
@test "bridge, local gateway" { matrix bridge node1; }
@test "ptp, local gateway" { matrix ptp node1; }

@test "the gateway's own pods leave under the address too" {
	office_up gw1
	web_add web gw1
	leaves_as web "$EGRESS_V4" "$EGRESS_V6"
	denied web
	pod_add plain gw1
	leaves_as plain "${NODE_V4[gw1]}" "${NODE_V6[gw1]}"
	pod_del web gw1
	pod_del plain gw1
}

@test "beyond a router, with strict rp_filter everywhere" {
	lab_destroy
	LAB_EXT=routed lab_up
	matrix bridge gw1
}

@test "traffic inside the cluster is left alone" {
	chain_write ptp '.ipMasq = false'
	office_up gw1
	web_add web
	pod_add peer gw1
	server_in peer
	same v4 "$(pod_ip web 4)" "$(ASK_PORT=8080 ask web tcp "$(pod_ip peer 4)")"
	same v6 "$(pod_ip web 6)" "$(ASK_PORT=8080 ask web udp "$(pod_ip peer 6)")"
	on web ping -q -c 1 -W 10 "${NODE_V4[gw1]}"
	on web ping -q -c 1 -W 10 "${NODE_V6[node1]}"
}

@test "several addresses: Policy shares one, Pod spreads, via picks" {
	office_of "{range: 172.31.7.50-172.31.7.57}" "kubernetes.io/hostname: gw1" "spread: Pod"
	web_rules "{name: one, to: [{cidr: $DENIED_V4/32}], via: {gateway: office, addresses: [172.31.7.53]}}" \
		"{name: out, via: {gateway: office}}"
	node_start node1 gw1
	local i seen=()
	for i in {50..57}; do lab_wait 100 has_address gw1 "172.31.7.$i"; done
	for i in 1 2 3 4 5 6; do
		web_add "web$i"
		seen+=("$(ask "web$i" udp "$EXT_V4")")
		same "again" "${seen[-1]}" "$(ask "web$i" tcp "$EXT_V4")"
		same "the picked one" 172.31.7.53 "$(ask "web$i" udp "$DENIED_V4")"
	done
	[ "$(printf '%s\n' "${seen[@]}" | sort -u | wc -l)" -gt 1 ]
	same "family" timeout "$(ask web1 udp "$EXT_V6" timeout=300)"
}

@test "a gateway that does not allow the namespace: dropped, never passed on" {
	office_up gw1
	sed -i 's/allowedNamespaces: {}/allowedNamespaces: {matchLabels: {team: payments}}/' "$LAB/policies/10-gateway.yaml"
	web_add web
	in_force node1
	same answer timeout "$(ask web udp "$EXT_V4" timeout=300)"
	POD_NAMESPACE=shop pod_add other
	pod_del web
}

@test "strange pods: two interfaces of one container, both governed" {
	office_up gw1
	web_add web
	jq '.plugins[0].bridge = "cni1" | .plugins[0].ipam.ranges = [[{subnet: "10.244.101.0/24"}]] | .name = "second"' \
		"$LAB/node1/net.conflist" >"$LAB/node1/second.conflist"
	on node1 env CNI_PATH="$CNI_PATH" CNI_CACHE="$LAB/cache" CNI_IFNAME=net1 \
		CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web" \
		CAP_ARGS='{"podLabels": {"app": "web"}}' \
		"$CNIRUN" add "$LAB/node1/second.conflist" "/run/netns/$P-web" "$P-web"
	on web ip route replace "$EXT_V4" via 10.244.101.1
	same "through net1" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	same "through eth0" timeout "$(ask web udp "$DENIED_V4" timeout=300)"
	on node1 env CNI_PATH="$CNI_PATH" CNI_CACHE="$LAB/cache" CNI_IFNAME=net1 \
		"$CNIRUN" del "$LAB/node1/second.conflist" "/run/netns/$P-web" "$P-web"
	same "net1 gone, eth0 still governed" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	pod_del web
	nothing_left node1
}
