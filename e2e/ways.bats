#!/usr/bin/env bats
# A gateway with two uplinks: what leaves under an address takes the uplink that the address is of,
# and its answers come back there. The server and the routers check sources strictly, so a packet
# on the wrong uplink is not answered.
# shellcheck disable=SC2016,SC2034 # conditions for lab_wait, the lab's settings
load lib/lab

setup() {
	LAB_EXT=routed
	lab_up node1 gw1
	second_uplink
}
teardown() { lab_teardown; }

# second_uplink: gw1's eth1, a segment with a router of its own, another way to the same server
second_uplink() {
	ip -n "$P-seg" link add br1 type bridge forward_delay 0 || return
	ip -n "$P-seg" link set br1 up
	ns_new router2 1 || return
	ip link add eth1 netns "$P-gw1" type veth peer name p-gw1-2 netns "$P-seg" || return
	ip link add eth0 netns "$P-router2" type veth peer name p-router2 netns "$P-seg" || return
	ip link add eth1 netns "$P-router2" type veth peer name eth1 netns "$P-ext" || return
	ip -n "$P-seg" link set p-gw1-2 master br1 up
	ip -n "$P-seg" link set p-router2 master br1 up
	up_with gw1 eth1 172.31.8.21/24 fd31:8::21/64 &&
		up_with router2 eth0 172.31.8.1/24 fd31:8::1/64 &&
		up_with router2 eth1 203.0.113.1/24 2001:db8:200::1/64 &&
		up_with ext eth1 203.0.113.2/24 2001:db8:200::2/64 || return
	both router2 add "$EXT_V4" "$EXT_V6" 203.0.113.2 2001:db8:200::2 &&
		both ext add 172.31.8.0/24 fd31:8::/64 203.0.113.1 2001:db8:200::1 &&
		both node1 add 172.31.8.0/24 fd31:8::/64 "${NODE_V4[gw1]}" "${NODE_V6[gw1]}"
}
up_with() {
	ip -n "$P-$1" link set "$2" up && ip -n "$P-$1" addr add "$3" dev "$2" && ip -n "$P-$1" addr add "$4" dev "$2" nodad
}
# both NAME VERB V4 V6 VIA-V4 VIA-V6 [OPTION…]: routes
both() {
	ip -n "$P-$1" route "$2" "$3" via "$5" "${@:7}" && ip -n "$P-$1" -6 route "$2" "$4" via "$6" "${@:7}"
}

SECOND_V4=172.31.8.50 SECOND_V6=fd31:8::50

# second_gateway [FIELDS]: its addresses are of the second uplink
second_gateway() {
	policy 20-second.yaml <<-END
		apiVersion: sluice.dev/v1alpha1
		kind: EgressGateway
		metadata: {name: second}
		spec: {addresses: [{range: $SECOND_V4}, {range: "$SECOND_V6"}], nodeSelector: {matchLabels: {kubernetes.io/hostname: gw1}}, allowedNamespaces: {}$1}
		---
		apiVersion: sluice.dev/v1alpha1
		kind: EgressPolicy
		metadata: {name: second, namespace: default}
		spec:
		  subject: {podSelector: {matchLabels: {app: second}}}
		  rules: [{name: out, action: Allow, via: {gateway: second}}]
	END
}
strict() { ctl gw1 status -o json | jq -e --arg said "$1" '.conditions[] | select(.type == "AnswersAccepted") | .status == $said'; }
second_add() { POD_LABELS='{"app": "second"}' pod_add "$@"; }
ways_are() { [ "$(ip -n "$P-gw1" rule | grep -c '^1001:')" = "$1" ] && [ "$(ip -n "$P-gw1" -6 rule | grep -c '^1001:')" = "$2" ]; }

asks6_as() { [ "$(ask "$1" udp "$EXT_V6" timeout=500)" = "$2" ]; }

leave_both_ways() {
	local node
	for node in node1 gw1; do
		lab_wait 300 asks_as "first-$node" "$EGRESS_V4"
		lab_wait 300 asks_as "second-$node" "$SECOND_V4"
		same udp "$EGRESS_V4" "$(ask "first-$node" udp "$EXT_V4")" || return
		same udp6 "$EGRESS_V6" "$(ask "first-$node" udp "$EXT_V6")" || return
		same "second udp" "$SECOND_V4" "$(ask "second-$node" udp "$EXT_V4")" || return
		same "second tcp" "$SECOND_V4" "$(ask "second-$node" tcp "$EXT_V4")" || return
		same "second fragments" "$SECOND_V4" "$(ask "second-$node" udp "$EXT_V4" size=20000)" || return
		same "second udp6" "$SECOND_V6" "$(ask "second-$node" udp "$EXT_V6")" || return
		same "second tcp6" "$SECOND_V6" "$(ask "second-$node" tcp "$EXT_V6")" || return
	done
	first_uplink
}
# first_uplink: the server's end of it, where packets are counted, saw nothing of the second's
first_uplink() { only_from "$EGRESS_V4" "$EGRESS_V6"; }

@test "each address leaves by its own uplink, from pods far and near, and answers come there" {
	local node
	office_up gw1
	for node in node1 gw1; do
		web_add "first-$node" "$node"
		second_add "second-$node" "$node"
	done
	# by the second default route of the node, where there is one
	both gw1 add default default 172.31.8.1 fd31:8::1 metric 5000
	second_gateway
	lab_wait 300 has_address gw1 "$SECOND_V4"
	lab_wait 300 strict False
	on gw1 sysctl -qw net.ipv4.conf.eth1.rp_filter=2
	lab_wait 300 strict True
	lab_wait 300 ways_are 1 1
	leave_both_ways
	# somebody removes it: it is back
	ip -n "$P-gw1" route flush table 5349
	ip -n "$P-gw1" rule del priority 1001
	lab_wait 300 ways_are 1 1
	lab_wait 300 asks_as second-node1 "$SECOND_V4"
	# the gateway's own word, where there is none; the address of the other family has no way then
	both gw1 del default default 172.31.8.1 fd31:8::1 metric 5000
	second_gateway ", interface: eth1, nextHop: 172.31.8.1"
	lab_wait 300 ways_are 1 0
	lab_wait 300 asks_as second-node1 "$SECOND_V4"
	lab_wait 300 asks_as second-gw1 "$SECOND_V4"
	second_gateway ', nextHop: "fd31:8::1"'
	lab_wait 300 ways_are 0 1
	lab_wait 300 asks6_as second-node1 "$SECOND_V6"
	# the uplink is gone: nothing of it leaves by the other one
	counts reset >/dev/null
	both gw1 add default default 172.31.8.1 fd31:8::1 metric 5000
	second_gateway
	lab_wait 300 asks_as second-node1 "$SECOND_V4"
	ip -n "$P-seg" link set p-gw1-2 down
	same gone timeout "$(ask second-node1 udp "$EXT_V4" timeout=300)"
	same "near, gone" timeout "$(ask second-gw1 udp "$EXT_V4" timeout=300)"
	first_uplink
	# and it takes itself away with its addresses
	rm "$LAB/policies/20-second.yaml"
	lab_wait 300 ways_are 0 0
	same routes "" "$(ip -n "$P-gw1" route show table 5349 2>/dev/null; ip -n "$P-gw1" -6 route show table 5349 2>/dev/null)"
}
