#!/usr/bin/env bats
# Sizes: path MTU, large transfers, fragments through the tunnel.
load lib/lab

setup() { lab_up; }
teardown() { lab_teardown; }

tunnel_mtu() { ip -n "$P-node1" -j link show sluice0 | jq '.[0].mtu'; }

@test "a 1472-byte ping that must not be fragmented is told the inner MTU by the node" {
	office_up
	web_add web
	run on web ping -c 1 -W 10 -M "do" -s 1472 "$EXT_V4"
	echo "$output"
	[[ $output =~ mtu\ ?=\ ?([0-9]+) ]]
	same mtu "${BASH_REMATCH[1]}" 1450
	same "tunnel mtu" "$(tunnel_mtu)" 1450
	on web ping -q -c 1 -W 10 -M "do" -s 1422 "$EXT_V4"
	on web ip route flush cache
	# IPv6 learns in two steps: the device's MTU, then the route's
	run on web ping -6 -c 1 -W 10 -M "do" -s 1452 "$EXT_V6"
	echo "$output"
	[[ $output =~ mtu\ ?=\ ?([0-9]+) ]]
	run on web ping -6 -c 1 -W 10 -M "do" -s "$((BASH_REMATCH[1] - 48))" "$EXT_V6"
	same "tunnel mtu, v6" 1430 "$(ip -n "$P-node1" -6 -j route show default dev sluice0 table 5347 | jq '.[0].metrics[0].mtu')"
	on web ping -6 -q -c 1 -W 10 -M "do" -s $((1430 - 48)) "$EXT_V6"
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

@test "a smaller link beyond the gateway is reported back to the pod" {
	lab_destroy
	LAB_EXT=routed LAB_EXT_MTU=1300 lab_up
	office_up
	web_add web
	run on web ping -c 1 -W 10 -M "do" -s 1400 "$EXT_V4"
	echo "$output"
	[[ $output =~ mtu\ ?=\ ?1300 ]]
	same "after learning" "$EGRESS_V4" "$(ask web udp "$EXT_V4" size=1400)"
	same up "$EGRESS_V4 20000000" "$(on web "$PROBE" bulk up "$EXT_V4" "$PORT" 20000000 | cut -d' ' -f1,2)"
	same up6 "$EGRESS_V6 20000000" "$(on web "$PROBE" bulk up "$EXT_V6" "$PORT" 20000000 | cut -d' ' -f1,2)"
	same down "$EGRESS_V4 20000000" "$(on web "$PROBE" bulk down "$EXT_V4" "$PORT" 20000000 | cut -d' ' -f1,2)"
}

@test "100 MB each way by the remote gateway, both families" {
	office_up
	web_add web
	local way
	for way in up down; do
		run -0 on web "$PROBE" bulk "$way" "$EXT_V4" "$PORT" 100000000
		same "$way" "$EGRESS_V4 100000000" "${output% *}"
		run -0 on web "$PROBE" bulk "$way" "$EXT_V6" "$PORT" 100000000
		same "$way" "$EGRESS_V6 100000000" "${output% *}"
	done
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

@test "100 MB each way by the local gateway" {
	office_up node1
	web_add web
	local way
	for way in up down; do
		run -0 on web "$PROBE" bulk "$way" "$EXT_V4" "$PORT" 100000000
		same "$way" "$EGRESS_V4 100000000" "${output% *}"
	done
}

@test "datagrams of every size, 10 to 60000 bytes" {
	office_up
	web_add web
	local size
	for size in 10 500 1392 1393 1421 1422 1423 1450 1472 1473 3000 9000 30000 60000; do
		same "$size bytes" "$EGRESS_V4" "$(ask_large web "$EXT_V4" "$size")"
		same "$size bytes, v6" "$EGRESS_V6" "$(ask_large web "$EXT_V6" "$size")"
	done
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

@test "ICMP errors come back: port unreachable" {
	office_up
	web_add web
	same udp refused "$(ASK_PORT=9 ask web udp "$EXT_V4")"
	same udp6 refused "$(ASK_PORT=9 ask web udp "$EXT_V6")"
	same tcp refused "$(ASK_PORT=9 ask web tcp "$EXT_V4")"
}

@test "many flows with one source port under one address" {
	office_up
	local i
	for i in 1 2 3; do
		web_add "web$i"
	done
	for i in 1 2 3; do
		same "udp $i" "$EGRESS_V4" "$(ask "web$i" udp "$EXT_V4" sport=5555)"
		same "tcp $i" "$EGRESS_V4" "$(ask "web$i" tcp "$EXT_V4" sport=5555)"
	done
}

@test "a connection that has the tunnel's port as its own is answered" {
	office_up
	pod_add plain
	web_add far
	web_add near gw1
	same "as the node" "${NODE_V4[node1]}" "$(ask plain udp "$EXT_V4" sport=5347)"
	same "as the node, v6" "${NODE_V6[node1]}" "$(ask plain udp "$EXT_V6" sport=5347)"
	same far "$EGRESS_V4" "$(ask far udp "$EXT_V4" sport=5347)"
	same "far, v6" "$EGRESS_V6" "$(ask far udp "$EXT_V6" sport=5347)"
	same near "$EGRESS_V4" "$(ask near udp "$EXT_V4" sport=5347)"
}
