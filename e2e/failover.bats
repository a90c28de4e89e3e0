#!/usr/bin/env bats
# Gateways that stand in for one another: the owner's uplink is cut, its daemon killed, its
# segment parted from the others', and all of it comes back. make failover: many times, with the
# median of the gaps and the longest.
# shellcheck disable=SC2016,SC2119,SC2120 # conditions for lab_wait, optional arguments
load lib/lab
load lib/gateways

setup() { gateways_lab node1 gw1 gw2 gw3; }
teardown() { lab_teardown; }

# gateways_up: office on all three, and a pod that uses it
gateways_up() {
	office "interval: 500ms, missed: 6, holdDown: 1s" # a busy machine is not a dead gateway
	web_policy
	node_start "${LAB_NODES[@]}"
	lab_wait 300 all_at_home || lab_fail "the addresses are not where they belong"
	web_add web
	same v4 "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	same v6 "$EGRESS_V6" "$(ask web udp "$EXT_V6")"
	HOME_V4=$(owner_of "$EGRESS_V4")
	HOME_V6=$(owner_of "$EGRESS_V6")
}

# moved ADDR FROM: somebody else has it, and nobody but that one
moved() {
	local owner
	owner=$(owner_of "$1") && [ "$owner" != "$2" ]
}
is_with() { [ "$(owner_of "$1")" = "$2" ]; }

cut() { ip -n "$P-seg" link set "p-$1" down; }
join() { ip -n "$P-seg" link set "p-$1" up; }
claims_of() { cat "$LAB"/log/sluiced-gw* | grep -c "address claimed\" address=$1 " || true; }

# told NODE ADDR FROM: it says whom it took the address over from, since when, how long it was gone
told() {
	ctl "$1" status -o json | jq -e --arg addr "$2" --arg from "$3" --arg node "$1" '
		(.addresses[] | select(.address == $addr) |
			.by == "Failover" and .from == $from and (.since | fromdateiso8601) > 0 and .portsLimit == 64512) and
		.gateways.failovers >= 1 and .gateways.announcements >= 1 and .gateways.conntrack.max > 0 and
		(.gateways.lastFailover | .from == $from and .to == $node and .gapMs > 100 and .gapMs < 30000)'
}

# probers: 1,000 packets a second for each family
probers() {
	daemon web-flood on web "$PROBE" flood "$EXT_V4" "$PORT" 1000 600
	daemon web-flood6 on web "$PROBE" flood "$EXT_V6" "$PORT" 1000 600
}
# probers_stop: V4 gap and V6 gap in ms, in GAP_V4 and GAP_V6
probers_stop() {
	local name
	for name in web-flood web-flood6; do
		daemon_kill "$name" TERM
		lab_wait 300 daemon_gone "$name"
	done
	GAP_V4=$(awk 'END { print $8 }' "$LAB/log/web-flood")
	GAP_V6=$(awk 'END { print $8 }' "$LAB/log/web-flood6")
}

# passes FAMILY: it works, for lab_wait
passes() {
	if [ "$1" = 4 ]; then asks_as web "$EGRESS_V4" "$EXT_V4"; else asks_as web "$EGRESS_V6" "$EXT_V6"; fi
}

@test "the owner is cut off: the next one takes over, and there is no flapping when it is back" {
	gateways_up
	local before
	before=$(claims_of "$EGRESS_V4")
	counts reset >/dev/null
	probers
	sleep 0.5
	cut "$HOME_V4"
	lab_wait 300 moved "$EGRESS_V4" "$HOME_V4"
	lab_wait 300 passes 4
	same "claims after the cut" "$((before + 1))" "$(claims_of "$EGRESS_V4")"
	lab_wait 300 told "$(owner_of "$EGRESS_V4")" "$EGRESS_V4" "$HOME_V4"
	join "$HOME_V4"
	lab_wait 300 is_with "$EGRESS_V4" "$HOME_V4"
	lab_wait 300 all_at_home
	lab_wait 300 passes 4
	probers_stop
	echo "# longest gap over a cut and the way back: IPv4 $GAP_V4 ms, IPv6 $GAP_V6 ms" >&3
	same "claims in the end" "$((before + 2))" "$(claims_of "$EGRESS_V4")"
	only_from "$EGRESS_V4" "$EGRESS_V6"
	counts reset >/dev/null
	cut "$HOME_V6"
	lab_wait 300 moved "$EGRESS_V6" "$HOME_V6"
	lab_wait 300 passes 6
	join "$HOME_V6"
	lab_wait 300 is_with "$EGRESS_V6" "$HOME_V6"
	lab_wait 300 passes 6
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

says_away() { cat "$LAB"/log/sluiced-gw* | grep -q "address=$1 node=$2 daemon=silent"; }

@test "the owner's daemon is killed: nothing moves; its link goes too: it moves" {
	gateways_up
	probers
	node_stop "$HOME_V4" KILL
	lab_wait 300 says_away "$EGRESS_V4" "$HOME_V4"
	sleep 1
	same "still there" "$HOME_V4" "$(owners_of "$EGRESS_V4")"
	probers_stop
	echo "# longest gap over the daemon's death: IPv4 $GAP_V4 ms, IPv6 $GAP_V6 ms" >&3
	same "and it works" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	cut "$HOME_V4"
	# the dead daemon's node has it still, for nobody
	takes_over() { [ "$(owners_of "$EGRESS_V4" | grep -vc "^$HOME_V4\$")" = 1 ]; }
	lab_wait 300 takes_over
	lab_wait 300 passes 4
	node_start "$HOME_V4"
	# its link is down: it lets go before it is back
	lab_wait 300 eval "! has_address $HOME_V4 $EGRESS_V4"
	join "$HOME_V4"
	lab_wait 300 is_with "$EGRESS_V4" "$HOME_V4"
	lab_wait 300 passes 4
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

# parted NODE, whole NODE: without its carrier noticing
parted() { ip -n "$P-seg" link set "p-$1" nomaster; }
whole() { ip -n "$P-seg" link set "p-$1" master br0; }

# twice_told NODE FROM: it had an address that FROM had, too, and says that FROM has let go. Who of
# two lets go is up to who hears the other first.
twice_told() {
	ctl "$1" status -o json | jq -e --arg from "$2" '.gateways | .duplicates >= 1 and
		(.lastDuplicate | .node == $from and .gateway == "office" and .addresses >= 1 and .open == 0 and
			.settledMs >= 0 and .settledMs < 30000)' &&
		ctl "$1" status -o json | jq -e 'all(.addresses[]; has("alsoOn") | not)' &&
		ctl "$1" gateways | grep "^duplicate .*on $2, too.*settled after" &&
		grep "another gateway has the address, too.*node=$2" "$LAB/log/sluiced-$1" &&
		grep "the other gateway has let go.*node=$2" "$LAB/log/sluiced-$1"
}

@test "the owner is parted from the segment: it claims nothing, and two owners are one again, and told of" {
	gateways_up
	local other
	parted "$HOME_V4"
	lab_wait 300 eval '[ "$(owners_of "$EGRESS_V4" | wc -l)" = 2 ]'
	lab_wait 300 passes 4
	sleep 1
	for other in "$EGRESS_V4" "$EGRESS_V6"; do
		[ "$other" = "$EGRESS_V4" ] || [ "$HOME_V4" = "$HOME_V6" ] ||
			! has_address "$HOME_V4" "$other" || lab_fail "it claimed $other unseen"
	done
	other=$(owners_of "$EGRESS_V4" | grep -v "^$HOME_V4\$")
	whole "$HOME_V4"
	lab_wait 300 owner_of "$EGRESS_V4"
	lab_wait 300 is_with "$EGRESS_V4" "$HOME_V4"
	lab_wait 300 all_at_home
	lab_wait 300 eval 'twice_told "$HOME_V4" "$other" || twice_told "$other" "$HOME_V4"'
	lab_wait 300 passes 4
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

@test "all daemons are killed and started again: nothing moves, not a packet is lost" {
	gateways_up
	local before node
	before=$(claims_of "$EGRESS_V4")
	probers
	for node in "${GATEWAYS[@]}"; do node_stop "$node" KILL; done
	node_start "${GATEWAYS[@]}"
	lab_wait 300 all_at_home
	probers_stop
	same "IPv4" "$HOME_V4" "$(owners_of "$EGRESS_V4")"
	same "IPv6" "$HOME_V6" "$(owners_of "$EGRESS_V6")"
	same "claims" "$before" "$(claims_of "$EGRESS_V4")"
	same "answered" "$(awk 'END { print $2 }' "$LAB/log/web-flood")" "$(awk 'END { print $4 }' "$LAB/log/web-flood")"
	only_from "$EGRESS_V4" "$EGRESS_V6"
}
