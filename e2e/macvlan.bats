#!/usr/bin/env bats
# macvlan: verdicts at the parent; an identity there is a numbered drop.
load lib/lab

setup() {
	lab_up node1 gw1
	# pods live on the segment itself
	chain_write macvlan '.ipam = {type: "static", addresses: [
		{address: "172.31.7.77/24", gateway: "172.31.7.100"}, {address: "fd31:7::77/64", gateway: "fd31:7::100"}],
		routes: [{dst: "0.0.0.0/0"}]}'
}
teardown() { lab_teardown; }

deny_policy() {
	web_rules "{name: no, action: Deny, to: [{cidr: $DENIED_V4/32}, {cidr: '$DENIED_V6/128'}]}"
}

@test "a verdict holds on macvlan, and frames past the queueing discipline meet it too" {
	deny_policy
	node_start node1
	web_add web
	same allowed 172.31.7.77 "$(ask web udp "$EXT_V4")"
	same allowed6 fd31:7::77 "$(ask web tcp "$EXT_V6")"
	denied web
	counts reset >/dev/null
	# the sender may be told of the drop
	on web "$PROBE" frame eth0 bypass "eth:$(pod_mac web),$(pod_mac ext)" \
		"ip:172.31.7.77,$DENIED_V4" "udp:4000,$PORT" data:leak || true
	same "nothing came" 0 "$(seen pkt-udp 172.31.7.77)"
	pod_del web
}

@test "a spoofed source on macvlan does not leave" {
	deny_policy
	node_start node1
	web_add web
	on web "$PROBE" frame eth0 "eth:$(pod_mac web),$(pod_mac ext)" \
		"ip:172.31.7.78,$EXT_V4" "udp:4000,$PORT" data:spoof || true
	only_from
}

@test "an identity on macvlan is dropped with its number, never ignored" {
	gateway_on gw1
	web_policy
	node_start node1 gw1
	gateway_wait gw1
	web_add web
	same answer timeout "$(ask web udp "$EXT_V4" timeout=300)"
	only_from
	lab_wait 100 dropped_some node1 via-unsupported 1
	pod_del web
}

@test "an ungoverned macvlan pod is left alone" {
	deny_policy
	node_start node1
	pod_add plain
	same allowed 172.31.7.77 "$(ask plain udp "$DENIED_V4")"
	pod_del plain
}
