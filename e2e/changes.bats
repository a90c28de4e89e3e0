#!/usr/bin/env bats
# Edits, restarts and moves under traffic: a packet sees the old or the new, never
# half of each.
load lib/lab

setup() { lab_up node1 gw1 gw2; }
teardown() { lab_teardown; }

# The web policy in many equivalent clothes; $1 changes them.
web_variant() {
	local n=$1 i
	{
		cat <<-END
			  priority: $((n % 1000))
			  rules:
			  - name: no
			    action: Deny
			    to: [{cidr: $DENIED_V4/32}, {cidr: "$DENIED_V6/128"}]
		END
		for ((i = 0; i < n % 7; i++)); do
			echo "  - {name: extra$i, action: Allow, to: [{cidr: 198.18.$i.0/24}], ports: [{protocol: TCP, port: $((n + i + 1))}]}"
		done
		if ((n % 2)); then
			echo "  - {name: out, action: Allow, via: {gateway: office}}"
		else
			echo "  - {name: some, to: [{cidr: 172.31.0.0/16}], via: {gateway: office, addresses: [$EGRESS_V4]}}"
			echo "  default: {action: Allow, via: {gateway: office}}"
		fi
	} | web_spec
}

@test "100 edits under 10,000 packets a second: none leaves wrongly, none reaches the denied" {
	local n=100 i
	[ -z "${SLUICE_E2E_FULL:-}" ] || n=400
	office_up
	web_add web
	web_add noisy
	counts reset >/dev/null
	flood_in web 10000 "$((n / 8 + 2))" flows=8
	daemon noisy-flood on noisy "$PROBE" flood "$DENIED_V4" "$PORT" 1000 "$((n / 8 + 2))" fresh
	for ((i = 1; i <= n; i++)); do
		web_variant "$i"
		sleep 0.08
	done
	flood_end web
	flood_end noisy
	counts
	only_from "$EGRESS_V4"
	# noisy speaks to the denied address alone, under the same egress address: nothing was answered
	grep -q 'answered 0 ' "$LAB/log/noisy-flood"
	ctl node1 status
	same "still works" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	denied web
}

@test "a change of identity under traffic: the old address or the new one, then the new one" {
	office_up
	sed -i "s|{range: $EGRESS_V4}|{range: 172.31.7.50-172.31.7.51}|" "$LAB/policies/10-gateway.yaml"
	lab_wait 50 has_address gw1 172.31.7.51
	via_51() {
		sed 's|via: {gateway: office}|via: {gateway: office, addresses: [172.31.7.51]}|' "$LAB/policies/20-web.yaml" |
			policy 20-web.yaml
	}
	sed 's|via: {gateway: office}|via: {gateway: office, addresses: [172.31.7.50]}|' "$LAB/policies/20-web.yaml" |
		policy 20-web.yaml
	web_add web
	lab_wait 20 asks_as web 172.31.7.50
	counts reset >/dev/null
	flood_in web 5000 60 fresh flows=50
	lab_wait 300 saw udp 172.31.7.50 1000
	sed 's|172.31.7.50\]|172.31.7.51]|' "$LAB/policies/20-web.yaml" | policy 20-web.yaml
	lab_wait 20 asks_as web 172.31.7.51
	lab_wait 300 saw udp 172.31.7.51 1000
	flood_stop web
	only_from 172.31.7.50 172.31.7.51
	counts reset >/dev/null
	same after 172.31.7.51 "$(ask web tcp "$EXT_V4")"
	only_from 172.31.7.51
}

@test "kill -9 and restart of both daemons: the kernel's state is identical" {
	office_up
	web_add web
	pod_add plain
	local node
	same before "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	for node in node1 gw1; do kernel_settled "$node" >"$LAB/$node.before"; done
	flood_in web 2000 4 flows=4
	node_stop node1 KILL
	node_stop gw1 KILL
	sleep 0.3
	same "between" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	node_start node1 gw1
	for node in node1 gw1; do
		lab_wait 100 kernel_as "$node" "$LAB/$node.before" || kernel_as "$node" "$LAB/$node.before"
	done
	flood_end web | tee "$LAB/sum"
	only_from "$EGRESS_V4"
	# not a packet lost over it
	same "answered" "$(awk '{ print $2 }' "$LAB/sum")" "$(awk '{ print $4 }' "$LAB/sum")"
}

@test "a pod that was deleted while the daemon was down, and one whose namespace vanished, are collected" {
	office_up
	web_add web
	web_add lost
	node_stop node1 KILL
	ip netns del "$P-lost"
	pod_del web
	node_start node1
	# a record is collected when no ADD can be at work on it any more
	lab_wait 150 nothing_left node1
	nothing_left node1
}

@test "an invalid edit changes nothing, says so, and the last good state survives a restart" {
	office_up
	web_add web
	same before "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	web_rules "{name: bad, action: Allow, to: [{cidr: 172.31.7.1/24}]}"
	lab_wait 100 says_where node1
	same "after the bad edit" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	denied web
	run -3 ctl node1 status
	[[ $output == *20-web.yaml:6* && $output == *"ready       no"* ]]
	run -1 on node1 "$BIN/sluicectl" check-config "$LAB/policies"
	[[ $output == *20-web.yaml:6* ]]
	node_stop node1
	node_start node1
	same "after the restart" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	web_add late
	same "a new pod" "$EGRESS_V4" "$(ask late udp "$EXT_V4")"
	web_policy
	lab_wait 30 is_ready node1
}

says_where() { ctl "$1" status | grep -q '20-web.yaml:6'; }
is_ready() { ctl "$1" status | grep -q '^ready *yes'; }

last_good_in_force() { ctl node1 status -o json | jq -e 'any(.conditions[]; .reason == "LastGoodInForce" and (.message | test("the folder is gone")))'; }
lets_go() { [ "$(ask web udp "$DENIED_V4" timeout=200)" = "${NODE_V4[node1]}" ]; }

@test "a policy folder that is not mounted lets nobody go, over a restart too; an empty one does" {
	office_up gw1
	web_add web
	mv "$LAB/policies" "$LAB/away"
	lab_wait 100 last_good_in_force
	denied web
	same "still" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	node_stop node1
	node_args node1
	on node1 "$BIN/sluiced" "${NODE_ARGS[@]}" --once
	web_add later
	node_start node1
	last_good_in_force
	run -0 ctl node1 policies
	[[ $output == *"the folder is gone: put it back, or make an empty one"* ]]
	denied later
	mkdir "$LAB/policies"
	lab_wait 100 lets_go
}

@test "a policy that appears, changes and goes, for a pod that runs" {
	gateway_on gw1
	node_start node1 gw1
	gateway_wait gw1
	web_add web
	same "no policy yet" "${NODE_V4[node1]}" "$(ask web udp "$EXT_V4")"
	web_policy
	lab_wait 20 asks_as web "$EGRESS_V4"
	denied web
	# also the flow that was there before: its old binding must not live on
	same "the same ports" "$EGRESS_V4" "$(ask web udp "$EXT_V4" sport=6001)"
	rm "$LAB/policies/20-web.yaml"
	lab_wait 20 asks_as web "${NODE_V4[node1]}"
	# a connection keeps the identity that it began with; it may not be lost, or leave as the pod
	[[ " $EGRESS_V4 ${NODE_V4[node1]} " == *" $(ask web udp "$EXT_V4" sport=6001) "* ]]
	only_from "$EGRESS_V4" "${NODE_V4[node1]}"
	same "denied no more" "${NODE_V4[node1]}" "$(ask web udp "$DENIED_V4")"
}

# asked_as POD: each family has found its way
asked_as() { lab_wait 30 asks_as "$1" "$EGRESS_V4" && lab_wait 30 asks_as "$1" "$EGRESS_V6" "$EXT_V6"; }

@test "the address moves to another gateway: its tunnels follow, nothing leaves wrongly" {
	office_up gw1
	web_add web
	counts reset >/dev/null
	flood_in web 500 6 fresh flows=20
	sleep 1
	gateway_on gw2
	gateway_wait gw2
	lab_wait 20 eval "! has_address gw1 $EGRESS_V4"
	flood_end web
	only_from "$EGRESS_V4"
	asked_as web
	leaves_as web "$EGRESS_V4" "$EGRESS_V6"
	# and to the pod's own node, and back
	gateway_on node1
	gateway_wait node1
	asked_as web
	leaves_as web "$EGRESS_V4" "$EGRESS_V6"
	gateway_on gw1
	gateway_wait gw1
	asked_as web
	leaves_as web "$EGRESS_V4" "$EGRESS_V6"
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

@test "the gateway goes away: dropped, never as the node" {
	office_up gw1
	web_add web
	counts reset >/dev/null
	flood_in web 500 3 fresh flows=20
	sleep 1
	rm "$LAB/policies/10-gateway.yaml"
	flood_end web
	in_force node1 gw1
	same answer timeout "$(ask web udp "$EXT_V4" timeout=300)"
	only_from "$EGRESS_V4"
	lab_wait 100 dropped_some node1 no-gateway 1
	lab_wait 20 eval "! has_address gw1 $EGRESS_V4"
}

@test "an address somebody else has is not claimed" {
	ip -n "$P-ext" addr add "$EGRESS_V4/24" dev eth0
	gateway_on gw1
	web_policy
	node_start node1 gw1
	lab_wait 50 has_address gw1 "$EGRESS_V6"
	lab_wait 50 in_conflict gw1
	run ! has_address gw1 "$EGRESS_V4"
	web_add web
	same v4 timeout "$(ask web udp "$EXT_V4" timeout=300)"
	same v6 "$EGRESS_V6" "$(ask web udp "$EXT_V6")"
}

# stale ADDR: the server outside has it behind a gateway that is gone
stale() { ip -n "$P-ext" neigh replace "$1" lladdr 02:00:00:00:00:99 dev eth0 nud reachable; }
# behind ADDR MAC: what the server outside knows of it
behind() { [ "$(ip -n "$P-ext" -j neigh show to "$1" dev eth0 | jq -r '.[0].lladdr')" = "$2" ]; }

@test "a daemon killed before it announced what it had put on its interface does so when it starts" {
	local mac addr
	office_up gw1
	mac=$(ip -n "$P-gw1" -j link show eth0 | jq -r ".[0].address")
	node_stop gw1 KILL
	sleep 3 # nothing that was announced before is under way
	stale "$EGRESS_V4"
	stale "$EGRESS_V6"
	node_start gw1
	for addr in "$EGRESS_V4" "$EGRESS_V6"; do
		lab_wait 100 behind "$addr" "$mac" || lab_fail "nobody was told who has $addr"
	done
}

in_conflict() { ctl "$1" status -o json | jq -e 'any(.addresses[]; .state == "Conflict")'; }

@test "without any daemon: verdicts hold, and an identity whose address the node has" {
	web_rules "{name: no, action: Deny, to: [{cidr: $DENIED_V4/32}]}"
	web_add web
	same allowed "${NODE_V4[node1]}" "$(ask web udp "$EXT_V4")"
	same denied timeout "$(ask web udp "$DENIED_V4" timeout=300)"
	gateway_on node1
	web_policy
	ip -n "$P-node1" addr add "$EGRESS_V4/32" dev eth0
	web_add second
	same identity "$EGRESS_V4" "$(ask second udp "$EXT_V4")"
	same denied timeout "$(ask second udp "$DENIED_V4" timeout=300)"
	pod_del web
	pod_del second
	nothing_left node1
}

@test "sluiced --once leaves what the daemon would, and is idempotent" {
	office_up gw1
	web_add web
	kernel_settled node1 >"$LAB/before"
	node_stop node1
	node_args node1
	on node1 "$BIN/sluiced" "${NODE_ARGS[@]}" --once
	on node1 "$BIN/sluiced" "${NODE_ARGS[@]}" --once
	kernel_state node1 >"$LAB/after"
	diff -u "$LAB/before" "$LAB/after"
	same "still" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
}
