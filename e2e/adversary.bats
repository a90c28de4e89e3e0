#!/usr/bin/env bats
# Packets that would leave under a wrong address or past a rule: found by looking
# for them, kept so that they stay found.
load lib/lab
load lib/services

setup() { lab_up; }
teardown() { lab_teardown; }

next_mac() { ip -n "$P-node1" -j link show cni0 | jq -r '.[0].address'; }

send_frame() { on "$1" "$PROBE" frame eth0 "${@:2}"; }

@test "from an identity to the node's way and back: a connection that lives on never shows the pod's address" {
	office_up
	web_add web
	same before "$EGRESS_V4" "$(ask web udp "$EXT_V4" sport=6001)"
	counts reset >/dev/null
	flood_in web 1000 4 flows=2
	sleep 1
	web_rules '{name: out, action: Allow, via: {node: {}}}'
	in_force node1
	same "an open one" "$EGRESS_V4" "$(ask web udp "$EXT_V4" sport=6001)"
	same "a new one" "${NODE_V4[node1]}" "$(ask web udp "$EXT_V4" sport=6002)"
	web_policy
	lab_wait 20 asks_as web "$EGRESS_V4"
	same "an open one, back" "${NODE_V4[node1]}" "$(ask web udp "$EXT_V4" sport=6002)"
	same "the first one" "$EGRESS_V4" "$(ask web udp "$EXT_V4" sport=6001)"
	flood_end web
	only_from "$EGRESS_V4" "${NODE_V4[node1]}"
}

@test "an ICMP error about a connection with an identity does not leave without it" {
	gateway_on gw1
	web_rules '{name: out, ports: [{protocol: UDP, port: 7000}], via: {gateway: office}}'
	node_start node1 gw1
	gateway_wait gw1
	web_add web
	same udp "$EGRESS_V4" "$(ask web udp "$EXT_V4" sport=6001)"
	same tcp "${NODE_V4[node1]}" "$(ask web tcp "$EXT_V4")"
	send_frame web "eth:$(pod_mac web),$(next_mac)" "ip:$(pod_ip web 4),$EXT_V4" icmp:3,3 \
		"ip:$EXT_V4,$(pod_ip web 4)" "udp:$PORT,6001" data:12345678
	sleep 0.3
	only_from "$EGRESS_V4" "${NODE_V4[node1]}"
	# what belongs to a connection of the node's way still goes
	same "ping" 0 "$(on web ping -q -c 1 -W 10 "$EXT_V4" >/dev/null; echo $?)"
}

# foreign NODE REMOTE4 REMOTE6: the outside has said something to a node, and the pod sends an
# ICMP error as if it had been the one to whom that was said
foreign() {
	local node=$1 eth
	eth="eth:$(pod_mac web),$(next_mac)"
	ASK_PORT=9999 ask ext udp "${NODE_V4[$node]}" "from=$2" sport=4000 timeout=300 || true
	ASK_PORT=9999 ask ext udp "${NODE_V6[$node]}" "from=$3" sport=4000 timeout=300 || true
	counts reset >/dev/null
	send_frame web "$eth" "ip:$(pod_ip web 4),$2" icmp:3,3 "ip:$2,${NODE_V4[$node]}" udp:4000,9999 data:secret
	send_frame web "$eth" "ip:$(pod_ip web 6),$3" icmp:1,4 "ip:$3,${NODE_V6[$node]}" udp:4000,9999 data:secret
	sleep 0.3
	only_from
}

@test "an ICMP error about somebody else's connection leaves neither past a rule nor as the pod" {
	office_up
	web_add web
	foreign node1 "$DENIED_V4" "$DENIED_V6"
	foreign gw1 "$EXT_V4" "$EXT_V6"
	lab_wait 100 dropped_some node1 spoofed-source 4
}

@test "what only the gateway takes for a reply does not leave it as the pod" {
	local ip
	chain_write ptp '.ipMasq = false'
	office_up
	web_add web
	ip -n "$P-ext" route add 10.244.1.0/24 via "${NODE_V4[gw1]}"
	ip -n "$P-ext" route add fd00:244:1::/64 via "${NODE_V6[gw1]}"
	for ip in "$(pod_ip web 4)" "$(pod_ip web 6)"; do
		ASK_PORT=8080 ask ext udp "$ip" sport=4000 timeout=300 || true
	done
	on node1 conntrack -F # as when it ends there first
	counts reset >/dev/null
	on web "$PROBE" dgram "$EXT_V4" 4000 sport=8080 data:late
	on web "$PROBE" dgram "$EXT_V6" 4000 sport=8080 data:late
	lab_wait 100 dropped_some gw1 tunnel-state 2
	only_from
}

@test "DEL while the pod sends: nothing leaves between the plugins" {
	office_up
	web_add web
	flood_in web 5000 3 fresh flows=4
	sleep 0.7
	cni del web node1
	sleep 0.3
	only_from "$EGRESS_V4"
	same records 0 "$(find "$LAB/node1/state/attachments" -type f | wc -l)"
	same "map entries" 0 "$(map_dump node1 pods | jq length)"
}

@test "a source route leads no governed pod past its rules" {
	local dev
	office_up
	web_add web
	for dev in $(on node1 ls /proc/sys/net/ipv4/conf); do
		on node1 sysctl -qw "net.ipv4.conf.$dev.accept_source_route=1"
	done
	send_frame web "eth:$(pod_mac web),$(next_mac)" "ip:$(pod_ip web 4),10.244.1.1,lsrr=$DENIED_V4" "udp:4000,$PORT" data:x
	send_frame web "eth:$(pod_mac web),$(next_mac)" "ip:$(pod_ip web 4),10.244.1.1,lsrr=$EXT_V4" "udp:4000,$PORT" data:x
	sleep 0.3
	only_from
}

@test "another tool sets whole marks before routing: a denied packet stays denied" {
	office_up
	web_add web
	on node1 nft 'add table ip other; add chain ip other pre { type filter hook prerouting priority mangle; };
		add rule ip other pre meta mark set 1'
	denied web
	only_from
}

is_inside() { [ "/proc/$1/ns/net" -ef "/run/netns/$P-$2" ]; }

@test "a path that leads to another namespace does not set the pod free" {
	local old
	office_up
	web_add web
	nsenter --net="/run/netns/$P-web" sleep 60 3>&- 4>&- &
	old=$!
	lab_wait 100 is_inside "$old" web
	umount "/run/netns/$P-web"
	rm "/run/netns/$P-web"
	ip netns add "$P-web"
	sleep 7 # records are collected when they are older than five seconds
	run nsenter --net="/proc/$old/ns/net" "$PROBE" ask udp "$DENIED_V4" "$PORT" timeout=300
	same denied timeout "$output"
	run nsenter --net="/proc/$old/ns/net" "$PROBE" ask udp "$EXT_V4" "$PORT"
	kill "$old"
	same identity "$EGRESS_V4" "$output"
}

# node_port GW TO: what kube-proxy makes of port 30053 of its own address, answers included
node_port() {
	services "$1" "ip daddr ${NODE_V4[$1]} meta l4proto { tcp, udp } th dport 30053 dnat to $2:$PORT"
	on "$1" nft 'add table ip back; add chain ip back post { type nat hook postrouting priority srcnat; };
		add rule ip back post ct status dnat masquerade'
}
by_node() { ASK_PORT=30053 ask web "$2" "${NODE_V4[$1]}" "${@:3}"; }
open_by_node() { [ "$(by_node "$1" udp timeout=500)" = "${NODE_V4[$1]}" ]; }
denied_by_node() { [ "$(by_node "$1" udp timeout=500)" = timeout ] && dropped_some node1 denied 1; }

@test "a NodePort of a Service that leads outside is no way past a rule, at whichever node" {
	local node
	web_rules "{name: no, action: Deny, to: [{cidr: $DENIED_V4/32}]}" "{name: rest, action: Allow}"
	node_start node1
	web_add web
	pod_add plain
	for node in node1 gw1; do node_port "$node" "$DENIED_V4"; done
	PORTS='nodePort: 30053' service_outside shut 10.96.0.11 "$DENIED_V4"
	lab_wait 300 denied_by_node gw1
	counts reset >/dev/null # until the last file counts, nobody knows of it
	same tcp timeout "$(by_node gw1 tcp timeout=500)"
	same "here" timeout "$(by_node node1 udp timeout=500)"
	only_from
	same "ungoverned" "${NODE_V4[gw1]}" "$(ASK_PORT=30053 ask plain udp "${NODE_V4[gw1]}")"
	# one that may be reached
	on gw1 nft flush table ip services
	node_port gw1 "$EXT_V4"
	PORTS='nodePort: 30053' service_outside shut 10.96.0.11 "$EXT_V4"
	lab_wait 300 open_by_node gw1
	same tcp "${NODE_V4[gw1]}" "$(by_node gw1 tcp)"
}

# overlay NODE…: the tunnel device of a main CNI, which believes whoever knows its number
overlay() {
	local node n
	for node; do
		n=${NODE_NUMBER[$node]}
		ip -n "$P-$node" link add overlay type vxlan id 1 dstport 8472 local "${NODE_V4[$node]}" dev eth0 nolearning
		ip -n "$P-$node" link set overlay address "02:00:00:00:08:0$n" up
		ip -n "$P-$node" route add 10.244.9.0/24 dev overlay
	done
}
# through NODE ADDR POD: a packet to the denied address in one to ADDR, as if it came from a third node
through() {
	on "$3" "$PROBE" dgram "$2" 8472 count=3 vxlan:1 "eth:02:00:00:00:08:09,02:00:00:00:08:0${NODE_NUMBER[$1]}" \
		"ip:10.244.9.9,$DENIED_V4" "udp:4000,$PORT" data:wrapped
}

# on_link POD MAC ADDR: the same to all who listen there, as the node does
on_link() {
	send_frame "$1" "eth:$(pod_mac "$1"),$2" "ip:$(pod_ip "$1" 4),$3" udp:4001,8472 vxlan:1 \
		eth:02:00:00:00:08:09,02:00:00:00:08:01 "ip:10.244.9.9,$DENIED_V4" "udp:4000,$PORT" data:wrapped
}

@test "a packet wrapped for the main CNI's own tunnel does not get past a rule" {
	local node
	ip -n "$P-gw1" addr add 172.31.7.221/24 dev eth0
	sed -i "s|\(.*\){type: InternalIP, address: ${NODE_V4[gw1]}}|&\n\1{type: ExternalIP, address: 172.31.7.221}|" "$LAB/policies/00-lab.yaml"
	office_up
	web_add web
	pod_add plain
	overlay node1 gw1
	for node in node1 gw1; do through "$node" "${NODE_V4[$node]}" web; done
	through gw1 172.31.7.221 web # its ExternalIP
	through node1 10.244.1.1 web # the node's address as the pods have it
	through node1 169.254.83.1 web # that of sluice0
	on_link web "$(next_mac)" 172.31.7.255 # of the nodes' subnet
	on_link web ff:ff:ff:ff:ff:ff 255.255.255.255
	on_link web 01:00:5e:00:00:01 224.0.0.1
	sleep 0.3
	only_from
	lab_wait 100 dropped_some node1 forged-tunnel 18
	# the laboratory's tunnel works
	through node1 "${NODE_V4[node1]}" plain
	lab_wait 100 saw pkt-udp 10.244.9.9 2
	on_link plain ff:ff:ff:ff:ff:ff 255.255.255.255
	lab_wait 100 saw pkt-udp 10.244.9.9 3
}

@test "a checksum that is left to the card is written over no address and no port" {
	local at eth
	office_up node1
	web_add web
	lab_wait 100 guards node1 || skip "no programs of netfilter on kernel $(uname -r)"
	same "tcp leaves it, too" "$EGRESS_V6" "$(ask web tcp "$EXT_V6")"
	same v4 "$EGRESS_V4" "$(ask web tcp "$EXT_V4")"
	eth="eth:$(pod_mac web),$(next_mac)"
	counts reset >/dev/null
	# bytes 36 and 37 are the source's last, 52 and 53 the destination's; then come the ports
	for at in 36 52 54 56; do
		send_frame web "csum=$at" "$eth" "ip:$(pod_ip web 6),$EXT_V6" "udp:4000,$PORT" data:card
	done
	send_frame web csum=36 "$eth" "ip:$(pod_ip web 4),$EXT_V4" "udp:4000,$PORT" data:card
	send_frame web csum=34 "$eth" "ip:$(pod_ip web 4),$EXT_V4" "tcp:4000,$PORT,S"
	lab_wait 100 dropped_some node1 malformed 6
	only_from
	send_frame web csum=40 "$eth" "ip:$(pod_ip web 4),$EXT_V4" "udp:4000,$PORT" data:card
	send_frame web csum=60 "$eth" "ip:$(pod_ip web 6),$EXT_V6" "udp:4000,$PORT" data:card
	lab_wait 100 saw pkt-udp "$EGRESS_V4" 0
	lab_wait 100 saw pkt-udp "$EGRESS_V6" 0
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

@test "another tool writes a mark that means nothing: what has an identity does not leave without it" {
	local hook node pod
	office_up
	web_add far
	web_add near gw1
	for pod in far near; do same "$pod before" "$EGRESS_V4" "$(ask "$pod" udp "$EXT_V4")"; done
	node_stop node1
	node_stop gw1
	# as before Linux 6.4: nftables guards alone
	for node in node1 gw1; do guard_pins "$node" | xargs -r rm; done
	counts reset >/dev/null
	for hook in "prerouting priority mangle" "forward priority mangle" "postrouting priority -160"; do
		for node in node1 gw1; do
			on "$node" nft "table inet other { chain over { type filter hook $hook; meta mark set 0x00200000; }; }"
		done
		for pod in far near; do
			ask "$pod" udp "$EXT_V4" timeout=200 || true
			ask "$pod" tcp "$EXT_V6" timeout=200 || true
		done
		for node in node1 gw1; do on "$node" nft delete table inet other; done
	done
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

# given POD NODE V4 V6: the main CNI gives a pod these, and routes them to it; we refuse ADD
given() {
	local pod=$1 node=$2 ranges said
	ranges="[{subnet: \"${3%.*}.0/24\", rangeStart: \"$3\", rangeEnd: \"$3\", gateway: \"${3%.*}.254\"}],
		[{subnet: \"${4%::*}::/64\", rangeStart: \"$4\", rangeEnd: \"$4\", gateway: \"${4%::*}::fffe\"}]"
	chain_write routed ".hostPrefix = \"cali\" | .ipam.ranges = [$ranges]"
	said=$(pod_add "$pod" "$node") || :
	[[ $said == *"prevResult: $3 is"* ]] || lab_fail "ADD of $pod with $3 says '$said'" || return
	pod_del "$pod" "$node"
}

@test "no pod gets an egress address or a node's: it would leave as that one, and have its packets" {
	local node
	chain_write ptp
	office_up
	web_add web
	for node in node1 gw1; do
		given "egress-$node" "$node" "$EGRESS_V4" "$EGRESS_V6"
		given "there-$node" "$node" "${NODE_V4[gw1]}" "${NODE_V6[gw1]}"
		given "here-$node" "$node" "${NODE_V4[node1]}" "${NODE_V6[node1]}"
	done
	given gateway node1 10.244.1.1 fd00:244:1::1
	same web "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	same web6 "$EGRESS_V6" "$(ask web udp "$EXT_V6")"
	only_from "$EGRESS_V4" "$EGRESS_V6"
	pod_del web
	nothing_left node1
	nothing_left gw1
}
