#!/usr/bin/env bats
# The key that gateways share is replaced while they live: on one after another, in one step.
# shellcheck disable=SC2016,SC2034,SC2119,SC2120 # conditions for lab_wait, the lab's settings, optional arguments
load lib/lab

GATEWAYS=(gw1 gw2 gw3)
OLD_KEY="the key of last year"
NEW_KEY="the key of this year"

setup() { lab_up node1 "${GATEWAYS[@]}"; }
teardown() { lab_teardown; }

# key_write NODE TEXT: by rename; for gw3 as kubelet swaps a Secret
key_write() {
	local folder=$LAB/$1/key data
	mkdir -p "$folder"
	if [ "$1" != gw3 ]; then
		printf '%s\n' "$2" >"$folder/.new"
		mv "$folder/.new" "$folder/key"
		return
	fi
	data=$(mktemp -d "$folder/..XXXXXX")
	printf '%s\n' "$2" >"$data/key"
	ln -s "${data##*/}" "$folder/..data_tmp"
	mv -T "$folder/..data_tmp" "$folder/..data"
	[ -L "$folder/key" ] || ln -s ..data/key "$folder/key"
}

# keys_are NODE IN_FILE BEFORE
keys_are() {
	ctl "$1" status -o json | jq -e --argjson n "$2" --argjson before "$3" \
		'.gateways.keys | .inFile == $n and .before == $before and .problem == null'
}

start() {
	local node LAB_CONFIG
	for node in node1 "${GATEWAYS[@]}"; do
		LAB_CONFIG=$LAB/$node.yaml
		[ -e "$LAB_CONFIG" ] || {
			key_write "$node" "$OLD_KEY"
			echo "gatewayKeyFile: $LAB/$node/key/key" >"$LAB_CONFIG"
		}
		if [ "$#" -eq 0 ] || [[ " $* " = *" $node "* ]]; then node_start "$node"; fi
	done
}

# Each hears all others, and whoever has the address is who is to have it, as all see it.
all_live() {
	local node owner
	owner=$(owners)
	for node in "${GATEWAYS[@]}"; do
		ctl "$node" status -o json | jq -e --arg owner "$owner" '.gateways.settled and .gateways.state == "Live" and
			([.gateways.peers[] | select(.state == "Live" and .agrees)] | length) == 2 and
			all(.addresses[]; .owner == $owner)' || return
	done
}
owners() {
	local node
	for node in "${GATEWAYS[@]}"; do ! has_address "$node" "$EGRESS_V4" || echo "$node"; done
}
owner_is() { [ "$(owners)" = "$1" ]; }
moved_from() { [ "$(owners | wc -l)" = 1 ] && ! owner_is "$1"; }

# with time enough for heartbeats on a busy machine
gateways_up() {
	office_of "{range: $EGRESS_V4}" "role: gw" "failover: {interval: 200ms, missed: 10, holdDown: 1s, replicate: true}"
	web_policy
	start
	lab_wait 300 all_live
	web_add web
	lab_wait 100 asks_as web "$EGRESS_V4"
}

condition_is() {
	ctl "$1" status -o json | jq -e --arg said "$2" --arg why "$3" '.conditions[] |
		select(.type == "GatewayKeysRead") | .status == $said and (.message | contains($why))'
}

@test "keys are replaced on one gateway after another: nobody is lost, and addresses move with their connections meanwhile" {
	local node home
	gateways_up
	talk_open web "$EXT_V4" 20
	home=$(owners)
	# a file that is bad, or gone, changes nothing and is told of
	key_write gw1 "short"
	lab_wait 100 condition_is gw1 False "line 1: expected a key of 16 to 256 bytes, found 5"
	grep -q "the keys of gateways stay as they were" "$LAB/log/sluiced-gw1"
	rm "$LAB/gw3/key/key"
	lab_wait 100 condition_is gw3 False "No such file"
	key_write gw1 "$OLD_KEY"
	key_write gw3 "$OLD_KEY"
	for node in gw1 gw3; do
		lab_wait 100 condition_is "$node" True "in force"
		lab_wait 100 keys_are "$node" 1 0
	done
	# between one that has the new one and those that do not have it yet, either way
	key_write "$home" "$NEW_KEY"
	lab_wait 100 keys_are "$home" 1 1
	ctl "$home" drain
	lab_wait 300 moved_from "$home"
	same "over a move" "$EGRESS_V4 alive" "$(talk web)"
	ctl "$home" undrain
	lab_wait 300 owner_is "$home"
	same "over the way back" "$EGRESS_V4 alive" "$(talk web)"
	for node in "${GATEWAYS[@]}"; do
		key_write "$node" "$NEW_KEY"
		lab_wait 100 keys_are "$node" 1 1
	done
	sleep 3 # longer than anybody is waited for
	lab_wait 300 all_live
	! grep -h "not heard any more" "$LAB"/log/sluiced-gw* || lab_fail "somebody was lost"
	! grep -h "without" "$LAB"/log/sluiced-gw* || lab_fail "connections were left behind"
	# who has never heard of the old one is one of them
	node_stop gw1
	start gw1
	lab_wait 300 keys_are gw1 1 0
	lab_wait 300 all_live
	same "in the end" "$EGRESS_V4 alive" "$(talk web)"
}
