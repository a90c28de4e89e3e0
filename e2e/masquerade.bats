#!/usr/bin/env bats
# The main CNI masquerades pods in its own way; an identity wins over each, and a
# pod without one keeps the CNI's way. Strict rp_filter everywhere.
load lib/lab

setup() { lab_up node1 gw1; }
teardown() { lab_teardown; }

as_expected() {
	local node
	office_up gw1
	web_add web
	pod_add plain
	leaves_as web "$EGRESS_V4" "$EGRESS_V6"
	denied web
	leaves_as plain "${NODE_V4[node1]}" "${NODE_V6[node1]}"
	only_from "$EGRESS_V4" "$EGRESS_V6" "${NODE_V4[node1]}" "${NODE_V6[node1]}"
	# the gateway's side is under the same CNI
	web_add near gw1
	leaves_as near "$EGRESS_V4" "$EGRESS_V6"
	only_from "$EGRESS_V4" "$EGRESS_V6" "${NODE_V4[node1]}" "${NODE_V6[node1]}"
	pod_del web
	pod_del plain
	pod_del near gw1
}

@test "bridge ipMasq" {
	as_expected
}

@test "kindnet: nft at srcnat - 10" {
	local node
	chain_write ptp '.ipMasq = false'
	for node in node1 gw1; do
		on "$node" nft -f - <<-END
			table inet kindnet-ipmasq {
				chain postrouting {
					type nat hook postrouting priority srcnat - 10;
					ip saddr 10.244.0.0/16 ip daddr != 10.244.0.0/16 masquerade
					ip6 saddr fd00:244::/32 ip6 daddr != fd00:244::/32 masquerade
				}
			}
		END
	done
	as_expected
}

# flannel_rules NODE IPTABLES CIDR NODE-CIDR
flannel_rules() {
	on "$1" "$2" -t nat -N FLANNEL-POSTRTG
	on "$1" "$2" -t nat -A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -j RETURN
	on "$1" "$2" -t nat -A FLANNEL-POSTRTG -s "$4" -d "$3" -j RETURN
	on "$1" "$2" -t nat -A FLANNEL-POSTRTG -s "$3" -d "$4" -j RETURN
	on "$1" "$2" -t nat -A FLANNEL-POSTRTG ! -s "$3" -d "$4" -j RETURN
	on "$1" "$2" -t nat -A FLANNEL-POSTRTG -s "$3" ! -d "$3" -j MASQUERADE --random-fully
	on "$1" "$2" -t nat -A FLANNEL-POSTRTG ! -s "$3" -d "$3" -j MASQUERADE --random-fully
	on "$1" "$2" -t nat -A POSTROUTING -j FLANNEL-POSTRTG
	on "$1" "$2" -A FORWARD -s "$3" -j ACCEPT
	on "$1" "$2" -A FORWARD -d "$3" -j ACCEPT
}

flannel() {
	local node
	chain_write bridge '.ipMasq = false'
	for node in node1 gw1; do
		flannel_rules "$node" "iptables-$1" 10.244.0.0/16 "10.244.${NODE_NUMBER[$node]}.0/24"
		flannel_rules "$node" "ip6tables-$1" fd00:244::/32 "fd00:244:${NODE_NUMBER[$node]}::/64"
	done
	as_expected
}

@test "flannel: iptables-nft MASQUERADE --random-fully" { flannel nft; }
@test "flannel: iptables-legacy MASQUERADE --random-fully" { flannel legacy; }

# Felix' rules in short: its rpfilter check with --validmark, its mark bits, its masquerade.
calico_rules() {
	local node=$1 iptables=$2 family=$3 pool=$4
	on "$node" ipset create "cali$family-pools" hash:net family "$family"
	on "$node" ipset add "cali$family-pools" "$pool"
	on "$node" "$iptables" -t raw -A PREROUTING -i cali+ -j MARK --set-xmark 0x40000/0x40000
	on "$node" "$iptables" -t raw -A PREROUTING -m mark --mark 0x40000/0x40000 \
		-m rpfilter --validmark --invert -j DROP
	on "$node" "$iptables" -t mangle -A PREROUTING -i cali+ -j MARK --set-xmark 0x10000/0x10000
	on "$node" "$iptables" -A FORWARD -i cali+ -j MARK --set-xmark 0x0/0x30000
	on "$node" "$iptables" -A FORWARD -i cali+ -m conntrack --ctstate INVALID -j DROP
	on "$node" "$iptables" -A FORWARD -i cali+ -m comment --comment "cali:policy" -j ACCEPT
	on "$node" "$iptables" -t nat -A POSTROUTING -m set --match-set "cali$family-pools" src \
		-m set ! --match-set "cali$family-pools" dst -j MASQUERADE --random-fully
}

calico() {
	local node
	chain_write routed '.hostPrefix = "cali"'
	for node in node1 gw1; do
		calico_rules "$node" "iptables-$1" inet 10.244.0.0/16
		calico_rules "$node" "ip6tables-$1" inet6 fd00:244::/32
	done
	as_expected
}

@test "Calico: /32 with proxy_arp, rpfilter and marks, iptables-nft" { calico nft; }
@test "Calico: /32 with proxy_arp, rpfilter and marks, iptables-legacy" { calico legacy; }

# A second network card whose pods leave by it, chosen by source rules; ports of the
# node's services are remembered by connmark; SNAT to the primary address.
aws_node() {
	local node=$1 n=${NODE_NUMBER[$1]}
	ip link add eth1 netns "$P-$node" type veth peer name "q-$node" netns "$P-seg"
	ip -n "$P-seg" link set "q-$node" master br0 up
	ip -n "$P-$node" -batch - <<-END
		link set eth1 up
		addr add 172.31.7.${n}1$n/24 dev eth1 noprefixroute
		route add 172.31.7.0/24 dev eth1 table 2
		route add default via $NEXT_V4 dev eth1 table 2
		rule add priority 1024 fwmark 0x80/0x80 lookup main
		rule add priority 1536 from 10.244.$n.0/25 lookup 2
		rule add priority 512 to 10.244.$n.0/25 lookup main
	END
	on "$node" iptables -t mangle -A PREROUTING -i eth0 -m addrtype --dst-type LOCAL --limit-iface-in \
		-j CONNMARK --set-mark 0x80/0x80
	on "$node" iptables -t mangle -A PREROUTING -i eni+ -j CONNMARK --restore-mark --mask 0x80
	on "$node" iptables -t nat -N AWS-SNAT-CHAIN-0
	on "$node" iptables -t nat -A AWS-SNAT-CHAIN-0 -d 10.244.0.0/16 -j RETURN
	on "$node" iptables -t nat -A AWS-SNAT-CHAIN-0 ! -o vlan+ -m addrtype ! --dst-type LOCAL \
		-j SNAT --to-source "${NODE_V4[$node]}" --random-fully
	on "$node" iptables -t nat -A POSTROUTING -s 10.244.0.0/16 -j AWS-SNAT-CHAIN-0
	on "$node" ip6tables -t nat -A POSTROUTING -s fd00:244::/32 ! -d fd00:244::/32 -j MASQUERADE
}

@test "AWS: source rules 512, 1024, 1536, second interface, connmark" {
	local node
	chain_write routed '.hostPrefix = "eni"'
	for node in node1 gw1; do aws_node "$node"; done
	# AWS itself loosens these two: its SNAT to the primary address returns by the other card
	for node in node1 gw1; do on "$node" sysctl -qw net.ipv4.conf.eth0.rp_filter=2 net.ipv4.conf.eth1.rp_filter=2; done
	as_expected
}

@test "a foreign mark in other bits survives, and ours does not disturb it" {
	on node1 nft -f - <<-END
		table inet other {
			counter kept { }
			counter lost { }
			chain setter {
				type filter hook prerouting priority mangle;
				ip saddr 10.244.0.0/16 meta mark set meta mark or 0x1234
			}
			chain judge {
				type filter hook postrouting priority 200;
				udp dport $PORT meta mark & 0xffff == 0x1234 counter name kept
				udp dport $PORT meta mark & 0xffff != 0x1234 counter name lost
			}
		}
	END
	office_up gw1
	web_add web
	pod_add plain
	same web "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	same plain "${NODE_V4[node1]}" "$(ask plain udp "$EXT_V4")"
	on node1 nft list counters table inet other
	same lost 0 "$(on node1 nft -j list counter inet other lost | jq '.nftables[1].counter.packets')"
	same kept 2 "$(on node1 nft -j list counter inet other kept | jq '.nftables[1].counter.packets')"
}

@test "bridge-nf-call-iptables off" {
	local node
	for node in node1 gw1; do
		on "$node" sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0
	done
	as_expected
}
