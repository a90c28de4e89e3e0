#!/usr/bin/env bats
# Addresses that go from one living gateway to another: no packet is lost, no connection is cut.
# shellcheck disable=SC2016,SC2034,SC2119,SC2120 # conditions for lab_wait, the lab's settings, optional arguments
load lib/lab
load lib/gateways

setup() { gateways_lab node1 gw1 gw2; }
teardown() { lab_teardown; }

has_both() { has_address "$1" "$EGRESS_V4" && has_address "$1" "$EGRESS_V6"; }
has_none() { ! has_address "$1" "$EGRESS_V4" && ! has_address "$1" "$EGRESS_V6"; }
moved() { has_none "$1" && has_both "$2"; }

settled() { [ "$(ctl "$1" status -o json | jq .gateways.settled)" = true ]; }

# pods_up: one far away, one on each gateway, with a connection and many packets under way
pods_up() {
	local pod
	web_add far node1
	web_add old gw1
	web_add new gw2
	for pod in far old new; do
		lab_wait 100 asks_as "$pod" "$EGRESS_V4"
		talk_open "$pod" "$EXT_V4" "${TALKS:-50}"
		same "$pod" "$EGRESS_V4 alive" "$(talk "$pod")"
	done
	counts reset >/dev/null
	flood_in far "${PPS:-500}" 60 flows=8
	for pod in old new; do flood_in "$pod" 500 60 flows=8; done
	sleep 1
}

# nothing_lost: what was under way all the time, to the last packet
nothing_lost() {
	local pod line
	for pod in far old new; do
		same "$pod" "$EGRESS_V4 alive" "$(talk "$pod")" || return
		line=$(flood_stop "$pod")
		[[ $line =~ ^sent\ ([0-9]+)\ answered\ ([0-9]+)\  ]] || return
		same "$pod answered" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" || return
	done
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

@test "an edit moves an address with the connections of pods far away and on both gateways" {
	office_up gw1
	pods_up
	gateway_on gw2
	lab_wait 100 moved gw1 gw2
	sleep 1
	nothing_lost
}

@test "1,000 connections and 10,000 packets a second, ten times there and back (long)" {
	local i TALKS=1000 PPS=10000
	skip_long
	office_up gw1
	pods_up
	for i in {1..10}; do
		gateway_on "gw$((1 + i % 2))"
		lab_wait 100 moved "gw$((2 - i % 2))" "gw$((1 + i % 2))"
		sleep 0.5
	done
	nothing_lost
}

# drained_to FROM TO: both say so, and that the address moved
drained_to() {
	ctl "$1" status -o json | jq -e '.gateways.state == "Drained" and .gateways.drained' &&
		ctl "$2" status -o json | jq -e --arg from "$1" '(.gateways.peers[] | select(.node == $from).state) == "Drained" and
			.gateways.state == "Live" and .gateways.moves >= 1 and
			any(.addresses[]; .by == "Moved" and .from == $from)'
}

@test "a drained gateway hands its addresses over, and has them again when it is drained no longer" {
	# nothing is lost over it, so who is busy must not be taken for dead
	office "interval: 500ms, missed: 6, holdDown: 1s"
	web_policy
	node_start "${LAB_NODES[@]}"
	ctl gw2 drain
	lab_wait 300 moved gw2 gw1
	pods_up
	# one goes home, the other one follows
	ctl gw2 undrain
	lab_wait 300 has_address gw2 "$EGRESS_V4"
	ctl gw1 drain
	moved gw1 gw2
	sleep 1
	nothing_lost
	lab_wait 100 drained_to gw1 gw2
	# over a restart, too
	node_stop gw1
	node_start gw1
	lab_wait 300 settled gw1
	sleep 3 # holdDown, and time to take an address
	moved gw1 gw2
	ctl gw1 undrain
	lab_wait 300 has_address gw1 "$EGRESS_V6"
}
