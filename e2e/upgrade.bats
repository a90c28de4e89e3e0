#!/usr/bin/env bats
# Another version of the programs takes over under running pods, and the one before comes back:
# the same sources built with another number of the ABI, so that nothing pinned is shared.
load lib/lab

setup() {
	skip_long
	make -s -C "$TOP" -j2 B=build/next BIN=build/next/bin CFLAGS="-O1 -DSLU_ABI=99" all 2>/dev/null
	LAB_NODES=(node1 gw1)
	lab_up "${LAB_NODES[@]}"
	office_up
	web_add far
	web_add near gw1
	talk_open far
	talk_open near
	flood_in far 500 300 flows=8
	flood_in near 500 300 flows=8
}
teardown() { lab_teardown; }

# version current|next: of the daemons and the plugin from now on
version() {
	case $1 in
	current) BIN=$TOP/build/bin ;;
	next) BIN=$TOP/build/next/bin ;;
	esac
	export CNI_PATH=$BIN:/usr/lib/cni
}
programs_of() { find "$LAB/node1/bpf" -maxdepth 1 -name "v*" -printf "%f " | sed "s/ $//"; }
all_well() {
	local pod
	for pod in far near; do same "$pod: $1" "$EGRESS_V4 alive" "$(talk "$pod")"; done
	only_from "$EGRESS_V4" "$EGRESS_V6"
}
swap() {
	node_stop node1
	node_stop gw1
	version "$1"
	node_start node1 gw1
	lab_wait 300 pins_are "$2" || lab_fail "pinned: $(programs_of)"
	cni check far node1
	cni check near gw1
}
pins_are() { [ "$(programs_of)" = "$1" ]; }

@test "an upgrade and the way back lose no packet and no connection, and leave no pins (long)" {
	local now pod line
	now=$(programs_of)
	swap next v99
	all_well "upgraded"
	web_add new
	same "a new pod" "$EGRESS_V4" "$(ask new udp "$EXT_V4")"
	swap current "$now"
	all_well "back"
	same "the pod of the other version" "$EGRESS_V4" "$(ask new udp "$EXT_V4")"
	cni check new node1
	for pod in far near; do
		line=$(flood_stop "$pod")
		[[ $line =~ ^sent\ ([0-9]+)\ answered\ ([0-9]+)\  ]]
		same "$pod answered" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
	done
	pod_del far
	pod_del new
	pod_del near gw1
	nothing_left node1
	nothing_left gw1
}
