#!/usr/bin/env bats
# Somebody removes what is ours, under traffic: nothing leaves under a wrong
# address, and the daemon puts it back. Without a daemon what is left fails closed.
load lib/lab

setup() { lab_up && no_redirects node1 gw1; }
teardown() { lab_teardown; }

# under_fire COMMAND…: new connections all the time, the fault in the middle
under_fire() {
	office_up
	web_add web
	counts reset >/dev/null
	flood_in web 1000 2 fresh flows=50
	sleep 0.5
	"$@"
	flood_end web
	only_from "$EGRESS_V4" || return
	# what is repaired counts a moment later: an address is announced, and let through, after it is there
	lab_wait 300 asks_as web "$EGRESS_V4" && lab_wait 300 asks_as web "$EGRESS_V6" "$EXT_V6" || lab_fail "not repaired" || return
	same "after the repair" "$EGRESS_V4" "$(ask web udp "$EXT_V4")" || return
	same "after the repair, v6" "$EGRESS_V6" "$(ask web udp "$EXT_V6")" || return
	denied web
}

# repaired COMMAND…: it succeeds again (within a second when the machine is idle)
repaired() {
	lab_wait 300 "$@" || lab_fail "not repaired: $*"
}

rule_there() { ip -n "$P-$1" "$2" rule show priority "$3" | grep -q lookup; }
del_rule() { ip -n "$P-$1" "$2" rule del priority "$3" && repaired rule_there "$@"; }
@test "the divert rule" { under_fire del_rule node1 -4 1000; }
@test "the divert rule, IPv6" { under_fire del_rule node1 -6 1000; }
@test "the gateway's reply rule" { under_fire del_rule gw1 -4 999; }

routes_there() { [ "$(ip -n "$P-$1" "$2" route show table "$3" | grep -cE '^(default|unreachable|throw|[0-9f])')" = "$4" ]; }
flush_table() {
	local n
	n=$(ip -n "$P-$1" "$2" route show table "$3" | grep -cE '^(default|unreachable|throw|[0-9f])')
	ip -n "$P-$1" "$2" route flush table "$3" && repaired routes_there "$@" "$n"
}
@test "the divert table" { under_fire flush_table node1 -4 5347; }
@test "the divert table, IPv6" { under_fire flush_table node1 -6 5347; }
@test "the gateway's reply table" { under_fire flush_table gw1 -4 5348; }

default_there() { ip -n "$P-$1" route show table 5347 | grep -q '^default.*sluice0'; }
del_default() { ip -n "$P-$1" route del default dev sluice0 table 5347 && repaired default_there "$1"; }
@test "the route into sluice0" { under_fire del_default node1; }

neighbours_there() { [ "$(ip -n "$P-$1" neigh show dev sluice0 nud permanent | wc -l)" -ge 1 ]; }
del_neighbours() {
	ip -n "$P-$1" neigh flush dev sluice0 nud permanent
	ip -n "$P-$1" -6 neigh flush dev sluice0 nud permanent
	repaired neighbours_there "$1"
}
@test "the neighbours on sluice0" { under_fire del_neighbours node1; }
@test "the neighbours on the gateway's sluice0" { under_fire del_neighbours gw1; }

device_up() { ip -n "$P-$1" link show sluice0 | grep -q 'state UNKNOWN\|LOWER_UP'; }
device_down() { ip -n "$P-$1" link set sluice0 down && repaired device_up "$1" && repaired default_there "$1"; }
device_del() { ip -n "$P-$1" link del sluice0 && repaired device_up "$1" && repaired default_there "$1"; }
@test "sluice0 set down" { under_fire device_down node1; }
@test "sluice0 deleted" { under_fire device_del node1; }
@test "the gateway's sluice0 set down" { under_fire device_down gw1; }
@test "the gateway's sluice0 deleted" { under_fire device_del gw1; }

device_address() { ip -n "$P-$1" addr show dev sluice0 | grep -q 169.254.83.1; }
device_flush() { ip -n "$P-$1" addr flush dev sluice0 && repaired device_address "$1"; }
@test "the address of the gateway's sluice0" { under_fire device_flush gw1; }

filter_there() { [ -n "$(programs "$1" "$2" "$3")" ]; }
del_filter() { programs_off "$1" "$2" "$3" && repaired filter_there "$@"; }
@test "to_tunnel" { under_fire del_filter node1 sluice0 egress; }
@test "from_tunnel on the gateway" { under_fire del_filter gw1 sluice0 ingress; }
@test "to_tunnel on the gateway" { under_fire del_filter gw1 sluice0 egress; }

pod_filter() { del_filter node1 "$(pod_veth web)" ingress; }
@test "from_pod on the pod's veth" { under_fire pod_filter; }

table_there() { on "$1" nft list table inet sluice | grep -q postrouting; }
del_table() { on "$1" nft delete table inet sluice && repaired table_there "$1"; }
flush_ruleset() { on "$1" nft flush ruleset && repaired table_there "$1"; }
@test "the nft table" { under_fire del_table node1; }
@test "the gateway's nft table" { under_fire del_table gw1; }
@test "the gateway's whole ruleset, as a firewall's restart flushes it" { under_fire flush_ruleset gw1; }

del_address() { ip -n "$P-$1" addr del "$2" dev eth0 && repaired has_address "$1" "${2%/*}"; }
@test "the egress address on the gateway" { under_fire del_address gw1 "$EGRESS_V4/32"; }

link_there() { ip -n "$P-gw1" route show default | grep -q eth0; }
bounce_uplink() {
	ip -n "$P-gw1" link set eth0 down
	ip -n "$P-gw1" link set eth0 up
	ip -n "$P-gw1" addr replace "${NODE_V6[gw1]}/64" dev eth0 nodad
	ip -n "$P-gw1" route replace default via "$NEXT_V4"
	ip -n "$P-gw1" -6 route replace default via "$NEXT_V6"
	ip -n "$P-gw1" route replace 10.244.1.0/24 via "${NODE_V4[node1]}"
	ip -n "$P-gw1" -6 route replace fd00:244:1::/64 via "${NODE_V6[node1]}"
	repaired has_address gw1 "$EGRESS_V4"
	repaired has_address gw1 "$EGRESS_V6"
}
@test "the gateway's uplink goes down and up" { under_fire bounce_uplink; }

# without_daemons NODE COMMAND…: nobody repairs; nothing may leave wrongly
without_daemons() {
	office_up
	web_add web
	same before "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	node_stop node1
	node_stop gw1
	same "SIGTERM leaves it in force" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	counts reset >/dev/null
	flood_in web 500 2 fresh flows=20
	sleep 0.5
	"$@"
	flood_end web
	ask web tcp "$EXT_V4" timeout=200 || true
	ask web udp "$EXT_V6" timeout=200 || true
	on web ping -c 1 -W 1 "$EXT_V4" || true
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

del_rules() { ip -n "$P-node1" rule del priority 1000 && ip -n "$P-node1" -6 rule del priority 1000; }
@test "no daemon, the rules gone: closed" { without_daemons del_rules; }
flush_tables() { ip -n "$P-node1" route flush table 5347 && ip -n "$P-node1" -6 route flush table 5347; }
@test "no daemon, the tables gone: closed" { without_daemons flush_tables; }
@test "no daemon, sluice0 down: closed" { without_daemons ip -n "$P-node1" link set sluice0 down; }
@test "no daemon, sluice0 gone: closed" { without_daemons ip -n "$P-node1" link del sluice0; }
@test "no daemon, the node's nft table gone: closed" { without_daemons on node1 nft delete table inet sluice; }
gateway_programs() { programs_off gw1 sluice0 ingress && programs_off gw1 sluice0 egress; }
@test "no daemon, the gateway's programs gone: closed" { without_daemons gateway_programs; }
@test "no daemon, the gateway's nft table gone: closed" { without_daemons on gw1 nft delete table inet sluice; }

# flushed NODE GATEWAY: a firewall's restart flushes everything; verdicts hold as well
flushed() {
	office_up "$2"
	web_add web
	node_stop node1
	node_stop gw1
	counts reset >/dev/null
	flood_in web 500 2 fresh flows=20
	sleep 0.5
	on "$1" nft flush ruleset
	flood_end web
	denied web
	only_from "$EGRESS_V4" "$EGRESS_V6"
}
@test "no daemon, the node's whole ruleset flushed: closed" { flushed node1 gw1; }
@test "no daemon, the gateway's whole ruleset flushed: closed" { flushed gw1 gw1; }
@test "no daemon, the ruleset of a node that owns the address flushed: closed" { flushed node1 node1; }
@test "no daemon, the gateway's address gone: closed" { without_daemons ip -n "$P-gw1" addr del "$EGRESS_V4/32" dev eth0; }
