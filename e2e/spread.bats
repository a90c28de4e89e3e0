#!/usr/bin/env bats
# spread: Connection: one address of several for each connection, on gateways near and far.
# shellcheck disable=SC2016 # conditions for lab_wait
load lib/lab

setup() { lab_up node1 gw1 gw2; }
teardown() { lab_teardown; }

V4=(172.31.7.50 172.31.7.51 172.31.7.52) V6=(fd31:7::50 fd31:7::51 fd31:7::52)

# gateway_of ADDR…: a gateway of these, on gw1 and gw2
gateway_of() {
	local ranges
	ranges=$(printf '{range: "%s"}, ' "$@")
	office_of "${ranges%, }" "role: gw" "spread: Connection"
}
carried() {
	local addr
	for addr; do has_address gw1 "$addr" || has_address gw2 "$addr" || return; done
}
# seen_all POD TO ADDR…: two more connections; by now there was one under each ADDR
seen_all() {
	local addr
	ask "$1" udp "$2" >>"$LAB/$1.seen" && ask "$1" tcp "$2" >>"$LAB/$1.seen" || return
	for addr in "${@:3}"; do grep -qx "$addr" "$LAB/$1.seen" || return; done
}

# one connection of the pod web left, under one of these
seen_one() { printf '%s\n' "$@" | grep -qxF "$(ask web udp "$EXT_V4")"; }

@test "connections of one pod leave under all addresses, and each stays what it was" {
	local pod
	gateway_of "${V4[@]}" "${V6[@]}"
	web_policy
	node_start "${LAB_NODES[@]}"
	lab_wait 300 carried "${V4[@]}" "${V6[@]}"
	web_add far node1
	web_add near gw1
	for pod in far near; do
		lab_wait 300 seen_all "$pod" "$EXT_V4" "${V4[@]}"
		lab_wait 300 seen_all "$pod" "$EXT_V6" "${V6[@]}"
		talk_open "$pod" "$EXT_V4" 30
		grep -q alive <<<"$(talk "$pod")"
	done
	same "fragments" "" "$(ask far udp "$EXT_V4" size=20000 | grep -vxF "$(printf '%s\n' "${V4[@]}")")"
	only_from "${V4[@]}" "${V6[@]}"
	# one more, one less: what is open goes on, under the address that was taken away, too
	gateway_of "${V4[@]}" 172.31.7.53 "${V6[@]}"
	lab_wait 300 carried 172.31.7.53
	lab_wait 300 seen_all far "$EXT_V4" 172.31.7.53
	for pod in far near; do grep -q alive <<<"$(talk "$pod")"; done
	only_from "${V4[@]}" "${V6[@]}" 172.31.7.53
	run -0 ctl node1 explain default/far "$EXT_V4:$PORT/UDP"
	[[ $output == *"leaves as one of the addresses of gateway office, by connection"* ]]
	[[ $output == *"the program in force says the same"* ]]
}

@test "an address that no node may carry is left out" {
	office_of "{range: $EGRESS_V4}, {range: 172.31.7.60, nodeSelector: {matchLabels: {no: node}}}, {range: '$EGRESS_V6'}" \
		"role: gw" "spread: Connection"
	web_policy
	node_start "${LAB_NODES[@]}"
	lab_wait 300 carried "$EGRESS_V4" "$EGRESS_V6"
	web_add web
	local i
	for i in {1..10}; do same "IPv4 $i" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"; done
	same IPv6 "$EGRESS_V6" "$(ask web udp "$EXT_V6")"
}

@test "a range is on a node that it prefers, and what finds no room at nodeCapacity is dropped" {
	local in_gw2='preferredNodes: {matchLabels: {kubernetes.io/hostname: gw2}}'
	office_of "{range: ${V4[0]}, $in_gw2}, {range: ${V4[1]}}" "role: gw"
	web_policy
	node_start "${LAB_NODES[@]}"
	lab_wait 300 has_address gw2 "${V4[0]}"
	lab_wait 300 has_address gw1 "${V4[1]}"
	web_add web node1
	lab_wait 300 seen_one "${V4[@]:0:2}"
	# gw2 keeps who prefers it, and so has none for who may go nowhere else
	web_rules "{name: out, action: Allow, via: {gateway: office, addresses: [${V4[2]}]}}"
	office_of "{range: ${V4[2]}, nodeSelector: {matchLabels: {kubernetes.io/hostname: gw2}}}, {range: ${V4[0]}, $in_gw2}, {range: ${V4[1]}}" \
		"role: gw" "nodeCapacity: 1"
	lab_wait 300 eval 'ctl node1 gateways | grep -F "no node is a candidate, or has room for it"'
	has_address gw2 "${V4[0]}"
	has_address gw1 "${V4[1]}"
	same "a packet without a place" timeout "$(ask web udp "$EXT_V4" timeout=300)"
	run -0 ctl node1 explain default/web "$EXT_V4:$PORT/UDP"
	[[ $output == *"no-owner"* ]]
	only_from "${V4[@]}"
}
