#!/usr/bin/env bats
# The exit guard that is no part of nftables: what our first chain has released and no other
# chain has met, as when somebody deletes the table while a packet is on its way, does not leave.
load lib/lab

setup() {
	[ "$(printf '%s\n' 6.4 "$(uname -r)" | sort -V | head -n 1)" = 6.4 ] ||
		skip "no programs of netfilter on kernel $(uname -r): nftables guards alone"
	lab_up
}
teardown() { lab_teardown; }

dropped() { ctl node1 -o json counters | jq -e --arg r "$1" 'any(.[]; .reason == $r and .packets > 0)'; }

# asks: new connections of the pod in both families, to where it may go and where not
asks() {
	local to
	for to in "$EXT_V4" "$EXT_V6" "$DENIED_V4" "$DENIED_V6"; do
		ask web udp "$to" timeout=200 || true
		ask web tcp "$to" timeout=200 || true
	done
	on web ping -c 2 -i 0.2 -W 1 "$EXT_V4" || true
	on web ping -c 2 -i 0.2 -W 1 "$EXT_V6" || true
}

# let_go OWNER: nobody translates and no rule guards, no daemon puts it back
let_go() {
	office_up "$1"
	web_add web
	same before "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	same "before, v6" "$EGRESS_V6" "$(ask web udp "$EXT_V6")"
	lab_wait 100 guards "$1" || lab_fail "no guard on $1"
	node_stop node1
	node_stop gw1
	released "$1"
	counts reset >/dev/null
	asks
}

@test "what was released and met no other chain does not leave as the node" {
	let_go node1
	same strangers "" "$(strangers "$EGRESS_V4" "$EGRESS_V6")"
	dropped exit-source
	dropped denied
}

@test "the same at a gateway, of what came by tunnel" {
	let_go gw1
	same strangers "" "$(strangers "$EGRESS_V4" "$EGRESS_V6")"
}

@test "without the guard it would" {
	office_up node1
	web_add web
	same before "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	node_stop node1
	node_stop gw1
	released node1
	lab_wait 100 guards node1
	guard_pins node1 | xargs rm
	counts reset >/dev/null
	asks
	[ -n "$(strangers "$EGRESS_V4" "$EGRESS_V6")" ]
}

@test "traffic inside goes on without the table" {
	office_up node1
	web_add web
	pod_add other
	node_stop node1
	on node1 nft flush ruleset
	on web ping -c 1 -W 5 "$(pod_ip other 4)"
	on web ping -c 1 -W 5 "$(pod_ip other 6)"
}

# back COMMAND…: the daemon puts the guard back, and nothing is lost meanwhile
back() {
	local before
	office_up node1
	web_add web
	lab_wait 100 guards node1
	before=$(bpftool -j link show pinned "$(guard_pins node1 | head -n 1)" | jq .id)
	"$@"
	lab_wait 100 another_guard "$before"
	same "guards" 2 "$(guard_pins node1 | wc -l)"
	same after "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	same "after, v6" "$EGRESS_V6" "$(ask web udp "$EXT_V6")"
	denied web
}
another_guard() {
	guards node1 && [ "$(bpftool -j link show pinned "$(guard_pins node1 | head -n 1)" | jq .id)" != "$1" ]
}

@test "its pins are removed: the daemon puts it back" {
	take_pins() { guard_pins node1 | xargs rm; }
	back take_pins
}

@test "its links are detached: the daemon puts it back" {
	detach() { for pin in $(guard_pins node1); do bpftool link detach pinned "$pin"; done; }
	back detach
}

@test "another build's guard is replaced by this one's" {
	rename_pins() { for pin in $(guard_pins node1); do mv "$pin" "${pin%_*}_00000000"; done; }
	back rename_pins
	run ! compgen -G "$LAB/node1/bpf/v*/exit_v4_00000000"
}

@test "sluiced --cleanup takes it away" {
	node_start node1
	lab_wait 100 guards node1
	node_stop node1
	on node1 "$BIN/sluiced" "${NODE_ARGS[@]}" --cleanup
	run ! guard_pins node1
}
