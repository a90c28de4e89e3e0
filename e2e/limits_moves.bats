#!/usr/bin/env bats
# One pod's share of an address that goes from gateway to gateway: what came with it counts.
# shellcheck disable=SC2016,SC2034,SC2119,SC2120 # conditions for lab_wait, the lab's settings, optional arguments
load lib/lab
load lib/gateways
load lib/hold

setup() { gateways_lab node1 gw1 gw2 gw3; }
teardown() { lab_teardown; }

gone_to() { has_address "$1" "$EGRESS_V4" && has_address "$1" "$EGRESS_V6"; }

@test "an address moves with its connections, which count at the next gateway as they did before" {
	office_up gw1
	limit_pods portsPerPod 20
	lab_wait 100 limited gw1 portsPerPod 20
	web_add far node1
	web_add new gw2
	holders_up tcp far new
	each_holds 15 more 15 20000
	gateway_on gw2
	limit_pods portsPerPod 20
	lab_wait 300 gone_to gw2
	each_may 20
	each_holds 17 drop 3
	each_may 20
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

# kept N: all gateways together keep that many for others, at least
kept() {
	local node n=0
	for node in "${GATEWAYS[@]}"; do n=$((n + $(ctl "$node" status -o json | jq .gateways.replication.kept))); done
	[ "$n" -ge "$1" ]
}
crash() {
	daemon_kill "sluiced-$1" STOP
	ip -n "$P-seg" link set "p-$1" down
	node_stop "$1" KILL
}
taken_over() { [ "$(owners_of "$1" | grep -vc "^$2\$")" = 1 ]; }

@test "the owner crashes, and what outlives it counts at the next gateway" {
	local home
	office "interval: 500ms, missed: 6, holdDown: 1s, replicate: true"
	limit_pods connectionsPerPod 20
	web_policy
	node_start "${LAB_NODES[@]}"
	lab_wait 300 all_at_home
	home=$(owner_of "$EGRESS_V4")
	web_add far node1
	holders_up tcp far
	each_holds 15 more 15 20000
	lab_wait 300 kept 30
	crash "$home"
	lab_wait 300 taken_over "$EGRESS_V4" "$home"
	lab_wait 300 taken_over "$EGRESS_V6" none
	each_may 20
	each_holds 17 drop 3
	each_may 20
	only_from "$EGRESS_V4" "$EGRESS_V6"
}
