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
	# the kernel cuts what it answers; that is no fragment of a stranger's
	on ext ping -c 1 -W 5 -s 3000 172.31.7.77
	on ext ping -c 1 -W 5 -s 3000 fd31:7::77
	pod_del plain
}

# other_add: a second pod on the parent, which no policy selects
other_add() {
	chain_write macvlan '.ipam = {type: "static", addresses: [
		{address: "172.31.7.78/24", gateway: "172.31.7.100"}, {address: "fd31:7::78/64", gateway: "fd31:7::100"}],
		routes: [{dst: "0.0.0.0/0"}]}'
	pod_add other
}

# every_way OPTION… LAYER…: of writing a frame. The sender may be told of the drop
every_way() {
	local way
	for way in "" bypass ring "ring bypass"; do
		# shellcheck disable=SC2086 # several words on purpose
		on web "$PROBE" frame eth0 $way "$@" || true
	done
}

# in_parts OPTION… LAYER…: into fragments by the kernel
in_parts() {
	every_way ufo "$@" fill:700 fill:700
}

@test "who writes another pod's frames, nobody's or the node's does not leave as that one" {
	local mac src
	deny_policy
	node_start node1
	web_add web
	other_add
	same "the other one may" 172.31.7.78 "$(ask other udp "$DENIED_V4")"
	same "and the other one's fragments" 172.31.7.78 "$(ask other udp "$DENIED_V4" size=3000)"
	same "and the other one's fragments, v6" fd31:7::78 "$(ask other udp "$DENIED_V6" size=3000)"
	counts reset >/dev/null
	for mac in "$(pod_mac other)" 02:00:00:00:00:99 "$(ip -n "$P-node1" -j link show eth0 | jq -r '.[0].address')"; do
		for src in 172.31.7.77 172.31.7.78 "${NODE_V4[node1]}"; do
			every_way "eth:$mac,$(pod_mac ext)" "ip:$src,$DENIED_V4" "udp:4000,$PORT" data:stolen
			every_way "eth:$mac,$(pod_mac ext)" vlan:0 "ip:$src,$DENIED_V4" "udp:4000,$PORT" data:stolen
			in_parts "eth:$mac,$(pod_mac ext)" "ip:$src,$DENIED_V4" "udp:4000,$PORT"
			in_parts "eth:$mac,$(pod_mac ext)" vlan:0 "ip:$src,$DENIED_V4" "udp:4000,$PORT"
		done
		every_way "eth:$mac,$(pod_mac ext)" "ip:fd31:7::78,$DENIED_V6" "udp:4000,$PORT" data:stolen
		in_parts "eth:$mac,$(pod_mac ext)" "ip:fd31:7::78,$DENIED_V6" "udp:4000,$PORT"
	done
	sleep 0.3
	only_from
	lab_wait 100 dropped_some node1 hand-made 1
}

@test "who writes a request to itself has not been asked" {
	local from
	deny_policy
	node_start node1
	web_add web
	counts reset >/dev/null
	for from in "$(pod_mac ext)" "$(pod_mac web)"; do
		every_way "eth:$from,$(pod_mac web)" "ip:$DENIED_V4,172.31.7.77" "udp:$PORT,4000" data:asked
		every_way "eth:$from,$(pod_mac web)" "ip:$DENIED_V6,fd31:7::77" "udp:$PORT,4000" data:asked
		in_parts "eth:$from,$(pod_mac web)" "ip:$DENIED_V4,172.31.7.77" "udp:$PORT,4000"
		in_parts "eth:$from,$(pod_mac web)" "ip:$DENIED_V6,fd31:7::77" "udp:$PORT,4000"
	done
	same denied timeout "$(ask web udp "$DENIED_V4" sport=4000 timeout=300)"
	same "denied, v6" timeout "$(ask web udp "$DENIED_V6" sport=4000 timeout=300)"
	only_from
}
