#!/usr/bin/env bats
# Pods and host processes that try: forged tunnel packets, frames that hide what
# they are, foreign sources, ARP, neighbour and router advertisements, metadata.
load lib/lab
load lib/services

setup() { lab_up; }
teardown() { lab_teardown; }

DEVICE=02:53:4c:55:00:01 SENDER=02:53:4c:55:00:02 VNI=$((0x534c55))

next_mac() { ip -n "$P-node1" -j link show cni0 | jq -r '.[0].address'; }

# send_frame POD OPTION… LAYER…: as it stands
send_frame() { on "$1" "$PROBE" frame eth0 "${@:2}"; }

# The inner packet as node1 would send it for the governed pod.
inner() { INNER=("vxlan:$VNI" "eth:$SENDER,$DEVICE" "ip:$(pod_ip web 4),$EXT_V4" "udp:4000,$PORT" data:forged); }

no_forgery() {
	local all
	sleep 0.3
	all=$(counts) || return
	same "forged packets" 0 "$(awk '$1 == "pkt-udp" { n += $3 } END { print n + 0 }' <<<"$all")"
}

@test "hand-made VXLAN from a pod: to the egress address, to a gateway, to a node" {
	local to pod
	office_up
	web_add web
	pod_add plain
	inner
	for pod in web plain; do
		for to in "$EGRESS_V4" "${NODE_V4[gw1]}" "${NODE_V4[node1]}"; do
			on "$pod" "$PROBE" dgram "$to" 5347 count=3 "${INNER[@]}"
			on "$pod" "$PROBE" dgram "$to" 5347 sport=5347 "${INNER[@]}"
		done
		on "$pod" "$PROBE" dgram "$EGRESS_V6" 5347 "${INNER[@]}"
	done
	no_forgery
	lab_wait 100 dropped_some node1 forged-tunnel 1
	same "still works" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
}

@test "hand-made VXLAN from a pod to addresses that no pod of its node has" {
	gateway_on gw1
	node_start node1 gw1
	gateway_wait gw1
	pod_add plain
	on plain "$PROBE" dgram "$EGRESS_V4" 5347 count=3 "vxlan:$VNI" "eth:$SENDER,$DEVICE" \
		"ip:$(pod_ip plain 4),$EXT_V4" "udp:4000,$PORT" data:forged
	on plain "$PROBE" dgram "$EGRESS_V6" 5347 count=3 "vxlan:$VNI" "eth:$SENDER,$DEVICE" \
		"ip:$(pod_ip plain 6),$EXT_V6" "udp:4000,$PORT" data:forged
	no_forgery
	lab_wait 100 dropped_some node1 forged-tunnel 6
}

@test "hand-made VXLAN that the gateway's own translation makes one to the egress address" {
	local pod
	office_up
	web_add web
	pod_add plain
	services gw1 "ip daddr ${NODE_V4[gw1]} udp dport 30053 dnat to $EGRESS_V4:5347"
	FAMILY=ip6 services gw1 "ip6 daddr ${NODE_V6[gw1]} udp dport 30053 dnat to [$EGRESS_V6]:5347"
	inner
	for pod in web plain; do
		on "$pod" "$PROBE" dgram "${NODE_V4[gw1]}" 30053 count=3 "${INNER[@]}"
		on "$pod" "$PROBE" dgram "${NODE_V6[gw1]}" 30053 count=3 "${INNER[@]}"
	done
	no_forgery
	lab_wait 100 dropped_some gw1 forged-tunnel 12
	same "still works" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
}

@test "hand-made VXLAN from a host process, root or not" {
	local to
	office_up
	web_add web
	inner
	for to in "$EGRESS_V4" "${NODE_V4[gw1]}"; do
		on node1 "$PROBE" dgram "$to" 5347 "${INNER[@]}" || true
		on node1 setpriv --reuid 65534 --clear-groups "$PROBE" dgram "$to" 5347 sport=5347 "${INNER[@]}" || true
		# on the gateway itself
		on gw1 "$PROBE" dgram "$to" 5347 "${INNER[@]}" || true
	done
	no_forgery
	lab_wait 100 dropped_some node1 forged-tunnel 1
}

@test "hand-made VXLAN from a stranger on the segment is no node's" {
	office_up
	web_add web
	inner
	on ext "$PROBE" dgram "$EGRESS_V4" 5347 "${INNER[@]}"
	no_forgery
	lab_wait 100 dropped_some gw1 tunnel-sender 1
}

@test "VLAN 0 double and triple tags, 802.1ad, and other disguises do not pass" {
	local pod tags eth
	office_up
	web_add web
	pod_add plain
	for pod in web plain; do
		eth="eth:$(pod_mac $pod),$(next_mac)"
		for tags in "vlan:0" "vlan:0 vlan:0" "vlan:0 vlan:0 vlan:0" "vlan:0,0x88a8 vlan:0" "vlan:0,0x88a8"; do
			# shellcheck disable=SC2086 # several words on purpose
			send_frame "$pod" "$eth" $tags "ip:$(pod_ip $pod 4),$DENIED_V4" "udp:4000,$PORT" data:tagged
			# shellcheck disable=SC2086
			send_frame "$pod" "$eth" $tags "ip:$(pod_ip $pod 4),$EXT_V4" "udp:4000,$PORT" data:tagged
		done
		# an ethertype that is none of ours, and a packet that ends in its header
		send_frame "$pod" "$eth,0x88b5" "ip:$(pod_ip $pod 4),$DENIED_V4" "udp:4000,$PORT"
		send_frame "$pod" "$eth,0x0800" data:E
	done
	sleep 0.3
	# whatever of web arrives has its identity; nothing of it arrives at the denied address
	only_from "$EGRESS_V4" "${NODE_V4[node1]}"
	same "web at the denied" timeout "$(ask web udp "$DENIED_V4" timeout=300)"
}

@test "a governed pod's tagged frames are seen under no wrong address" {
	local tags
	office_up
	web_add web
	for tags in "vlan:0 vlan:0" "vlan:0,0x88a8 vlan:0" "vlan:0 vlan:0 vlan:0"; do
		# shellcheck disable=SC2086 # several words on purpose
		send_frame web "eth:$(pod_mac web),$(next_mac)" $tags "ip:$(pod_ip web 4),$EXT_V4" "udp:4000,$PORT" data:x
		# shellcheck disable=SC2086
		send_frame web bypass "eth:$(pod_mac web),$(next_mac)" $tags "ip:$(pod_ip web 4),$DENIED_V4" "udp:4000,$PORT"
	done
	sleep 0.3
	only_from "$EGRESS_V4"
	lab_wait 100 dropped_some node1 malformed 1
}

@test "frames from a TX_RING are judged like any other" {
	office_up
	web_add web
	local eth
	eth="eth:$(pod_mac web),$(next_mac)"
	send_frame web ring "$eth" "ip:$(pod_ip web 4),$EXT_V4" "udp:4000,$PORT" data:ring
	lab_wait 50 saw udp "$EGRESS_V4" 0
	same "the first one" 1 "$(seen udp "$EGRESS_V4")"
	send_frame web ring "$eth" "ip:$(pod_ip web 4),$DENIED_V4" "udp:4000,$PORT" data:ring
	send_frame web ring bypass "$eth" "ip:$(pod_ip web 4),$DENIED_V4" "tcp:4000,$PORT,S"
	send_frame web ring "$eth" vlan:0 vlan:0 "ip:$(pod_ip web 4),$DENIED_V4" "udp:4000,$PORT" data:ring
	send_frame web ring "eth:$(pod_mac web),$(next_mac)" "ip:$(pod_ip web 6),$DENIED_V6" "udp:4000,$PORT" data:ring
	sleep 0.3
	only_from "$EGRESS_V4"
	same "one packet only" 1 "$(seen pkt-udp "$EGRESS_V4")"
}

@test "spoofed sources: another pod's, the node's, an outside one, another MAC" {
	local source pod eth
	office_up
	web_add web
	pod_add plain
	web_add other
	for pod in plain web; do
		eth="eth:$(pod_mac $pod),$(next_mac)"
		for source in "$(pod_ip other 4)" "${NODE_V4[node1]}" "$EGRESS_V4" 198.18.0.1 10.244.2.9; do
			send_frame "$pod" "$eth" "ip:$source,$EXT_V4" "udp:4000,$PORT" data:spoof
			send_frame "$pod" "$eth" "ip:$source,$EXT_V4" "tcp:4000,$PORT,S"
		done
		for source in "$(pod_ip other 6)" "${NODE_V6[node1]}" "$EGRESS_V6"; do
			send_frame "$pod" "$eth" "ip:$source,$EXT_V6" "udp:4000,$PORT" data:spoof
		done
		send_frame "$pod" "eth:$(pod_mac other),$(next_mac)" "ip:$(pod_ip other 4),$EXT_V4" "udp:4000,$PORT"
		send_frame "$pod" "eth:02:00:00:00:00:99,$(next_mac)" "ip:$(pod_ip $pod 4),$EXT_V4" "udp:4000,$PORT"
	done
	sleep 0.3
	only_from
	lab_wait 100 dropped_some node1 spoofed-source 16
	lab_wait 100 dropped_some node1 spoofed-mac 2
}

@test "a reply made up by a neighbour does not open the way out" {
	# strict rp_filter would hide what the source check must do
	chain_write ptp '.ipMasq = false'
	on node1 sysctl -qw net.ipv4.conf.all.rp_filter=0
	office_up
	web_add victim
	pod_add attacker
	on node1 sysctl -qw net.ipv4.conf.default.rp_filter=0 "net.ipv4.conf.$(pod_veth attacker).rp_filter=0"
	local host
	host=$(ip -n "$P-node1" -j link show "$(pod_veth attacker)" | jq -r '.[0].address')
	send_frame attacker "eth:$(pod_mac attacker),$host" "ip:$EXT_V4,$(pod_ip victim 4)" "udp:$PORT,4000" data:bait
	sleep 0.2
	same victim "$EGRESS_V4" "$(ask victim udp "$EXT_V4" sport=4000)"
	only_from "$EGRESS_V4"
}

@test "ARP: a pod answers and asks for its own address only" {
	office_up
	web_add web
	pod_add plain
	same "the victim works" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	local kind
	for kind in request reply; do
		send_frame plain "eth:$(pod_mac plain),ff:ff:ff:ff:ff:ff" \
			"arp:$kind,$(pod_mac plain),$(pod_ip web 4),00:00:00:00:00:00,10.244.1.1"
		send_frame plain "eth:$(pod_mac plain),$(next_mac)" \
			"arp:$kind,$(pod_mac plain),$(pod_ip web 4),$(next_mac),10.244.1.1"
		send_frame plain "eth:$(pod_mac plain),$(next_mac)" \
			"arp:$kind,$(pod_mac plain),10.244.1.1,$(next_mac),10.244.1.1"
	done
	sleep 0.2
	same "node's neighbour" "$(pod_mac web)" \
		"$(ip -n "$P-node1" -j neigh show "$(pod_ip web 4)" | jq -r '.[0].lladdr')"
	same "still works" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	lab_wait 100 dropped_some node1 spoofed-arp 4
}

@test "router advertisements, redirects and foreign neighbour advertisements stay in the pod" {
	office_up
	web_add web
	pod_add plain
	same "the victim works" "$EGRESS_V6" "$(ask web udp "$EXT_V6")"
	local link eth
	link=$(ip -n "$P-plain" -j addr show eth0 | jq -r '.[0].addr_info[] | select(.local | startswith("fe80")).local')
	eth="eth:$(pod_mac plain),33:33:00:00:00:01"
	send_frame plain "$eth" "ip:$link,ff02::1" ra
	send_frame plain "$eth" "ip:$link,ff02::1" "redirect:$(pod_ip web 6),$EXT_V6"
	send_frame plain "$eth" "ip:$link,ff02::1" "na:$(pod_ip web 6),$(pod_mac plain)"
	send_frame plain "eth:$(pod_mac plain),$(next_mac)" "ip:$(pod_ip plain 6),fd00:244:1::1" \
		"na:$(pod_ip web 6),$(pod_mac plain)"
	sleep 0.2
	same "still works" "$EGRESS_V6" "$(ask web udp "$EXT_V6")"
	lab_wait 100 dropped_some node1 router-advert 2
	lab_wait 100 dropped_some node1 spoofed-arp 2
	same "node's neighbour" "$(pod_mac web)" \
		"$(ip -n "$P-node1" -j neigh show "$(pod_ip web 6)" | jq -r '.[0].lladdr')"
}

@test "169.254.169.254 never gets an identity" {
	local node
	ip -n "$P-ext" addr add 169.254.169.254/32 dev eth0
	for node in node1 gw1; do ip -n "$P-$node" route add 169.254.169.254 via 172.31.7.100; done
	office_up
	web_add web
	pod_add plain
	same web timeout "$(ask web tcp 169.254.169.254 timeout=300)"
	only_from
	lab_wait 100 dropped_some node1 link-local-via 1
	same plain "${NODE_V4[node1]}" "$(ask plain tcp 169.254.169.254)"
	policy 15-metadata.yaml <<-END
		apiVersion: sluice.dev/v1alpha1
		kind: ClusterEgressPolicy
		metadata: {name: metadata}
		spec:
		  subject: {podSelector: {matchLabels: {app: web}}}
		  rules: [{name: node, action: Allow, to: [{cidr: 169.254.169.254/32}], via: {node: {}}}]
	END
	lab_wait 30 asks_as web "${NODE_V4[node1]}" 169.254.169.254
	same "the node's way" "${NODE_V4[node1]}" "$(ask web tcp 169.254.169.254)"
	same "the rest" "$EGRESS_V4" "$(ask web tcp "$EXT_V4")"
}

@test "fragments that nobody put together are not a way around" {
	on node1 sysctl -qw net.ipv4.ipfrag_time=1
	office_up
	web_add web
	local eth
	eth="eth:$(pod_mac web),$(next_mac)"
	# the tail first, then alone; then a head to an allowed port whose tail never comes
	send_frame web "$eth" "ip:$(pod_ip web 4),$DENIED_V4,17,frag=185" fill:64
	send_frame web "$eth" "ip:$(pod_ip web 4),$EXT_V4,17,frag=185" fill:64
	send_frame web "$eth" "ip:$(pod_ip web 4),$EXT_V4,17,frag=185,more" fill:64
	send_frame web "$eth" "ip:$(pod_ip web 4),$DENIED_V4,more" "udp:4000,$PORT" fill:64
	sleep 0.5
	only_from "$EGRESS_V4"
}
