# shellcheck shell=bash
# shellcheck disable=SC2034 # settings of the lab
# Gateways that know of one another, beside lib/lab:
#
#	gateways_lab NODE…     lab_up, with a key for all daemons; those called gw… are GATEWAYS
#	office FAILOVER        EgressGateway "office" on all of them: both addresses, failover: {FAILOVER}
#	owners_of ADDR         who has it on an interface;  owner_of ADDR: the only one
#	all_at_home            each hears all others, and each address is with whom all take for its owner

gateways_lab() {
	lab_up "$@" || return
	read -ra GATEWAYS <<<"$(printf '%s\n' "$@" | grep '^gw' | tr '\n' ' ')"
	echo "a key that only these gateways have" >"$LAB/key"
	echo "gatewayKeyFile: $LAB/key" >"$LAB/sluiced.yaml"
	export LAB_CONFIG=$LAB/sluiced.yaml
	# who still sends to a gateway that let go would be told so by the node itself, as the node
	no_redirects "${GATEWAYS[@]}"
}

office() { office_of "$EGRESS_BOTH" "role: gw" "failover: {$1}"; }

owners_of() {
	local node
	for node in "${GATEWAYS[@]}"; do
		! has_address "$node" "$1" || echo "$node"
	done
}
owner_of() {
	local owners
	owners=$(owners_of "$1")
	[ -n "$owners" ] && [[ $owners != *$'\n'* ]] && echo "$owners"
}

all_at_home() {
	local node addr owner others=$((${#GATEWAYS[@]} - 1))
	for node in "${GATEWAYS[@]}"; do
		ctl "$node" status -o json >"$LAB/status-$node" && jq -e --argjson others "$others" '
			.gateways.settled and .gateways.state == "Live" and
			([.gateways.peers[] | select(.state == "Live" and .agrees)] | length) == $others and
			all(.addresses[]; .state == "Local" or .state == "Remote")' "$LAB/status-$node" || return
	done
	for addr in "$EGRESS_V4" "$EGRESS_V6"; do
		owner=$(owner_of "$addr") || return
		for node in "${GATEWAYS[@]}"; do
			jq -e --arg a "$addr" --arg o "$owner" 'any(.addresses[]; .address == $a and .owner == $o)' \
				"$LAB/status-$node" || return
		done
	done
}
