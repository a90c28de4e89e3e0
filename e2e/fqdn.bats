#!/usr/bin/env bats
# Names: what a resolver tells a pod is open before the pod can use it, and nothing else
# is. Real resolvers (dnsmasq, and unbound before it) stand at addresses of their own on
# the segment; ext answers at every address that they tell.
load lib/lab

DNSMASQ=172.31.7.110 DNSMASQ6=fd31:7::110 UNBOUND=172.31.7.111 UNBOUND6=fd31:7::111 FORGER=172.31.7.120

setup() { lab_up node1; }
teardown() { lab_teardown; }

dnsmasq_in() {
	local name=$1
	shift
	daemon "$name" on ext dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --pid-file= \
		--bind-interfaces --except-interface=lo --user=root --no-daemon --log-facility=- "$@"
}

# NAME's addresses, v4 and v6, from 198.18.0.0/15 and 2001:db8:18::/48: ext has them all
resolvers_up() {
	local i ttl=${1:-300}
	ip -n "$P-ext" -batch - <<-END
		addr add $DNSMASQ/24 dev eth0
		addr add $DNSMASQ6/64 dev eth0 nodad
		addr add $UNBOUND/24 dev eth0
		addr add $UNBOUND6/64 dev eth0 nodad
		addr add $FORGER/24 dev eth0
		route add local 198.18.0.0/15 dev lo
		route add local 2001:db8:18::/48 dev lo
	END
	{
		echo "198.18.1.1 api.example.com"
		echo "2001:db8:18::101 api.example.com"
		echo "198.18.1.2 other.example.com"
		echo "198.18.2.1 a.wild.example.net"
		echo "198.18.2.2 b.a.wild.example.net"
		echo "198.18.2.3 plain.example.org"
		echo "198.18.3.1 edge.cdn.example.org"
		echo "2001:db8:18::301 edge.cdn.example.org"
		for i in {1..20}; do echo "198.18.4.$i twenty.example.com"; done
		for i in {1..90}; do echo "198.18.5.$i many.example.com"; done
		echo "10.244.1.1 inside.example.com"
		echo "127.0.0.1 inside.example.com"
		for i in {0..999}; do echo "198.19.$((i / 200)).$((i % 200 + 1)) n$i.thousand.example.com"; done
	} >"$LAB/hosts"
	dnsmasq_in dnsmasq --listen-address="$DNSMASQ,$DNSMASQ6" --addn-hosts="$LAB/hosts" --local-ttl="$ttl" \
		--cname=www.example.com,lb.example.org --cname=lb.example.org,edge.cdn.example.org --edns-packet-max=512 \
		--server="/evil.example/$FORGER"
	# the owner of evil.example has a server of his own, which the cluster's asks; it says of others what it likes
	dnsmasq_in forger --listen-address="$FORGER" --host-record=api.example.com,198.18.66.66 \
		--cname=www.evil.example,a.wild.example.net --host-record=a.wild.example.net,198.18.66.67
	cat >"$LAB/unbound.conf" <<-END
		server:
		  interface: $UNBOUND
		  interface: $UNBOUND6
		  access-control: 0.0.0.0/0 allow
		  access-control: ::/0 allow
		  outgoing-interface: $UNBOUND
		  do-daemonize: no
		  chroot: ""
		  username: ""
		  directory: "$LAB"
		  pidfile: ""
		  use-syslog: no
		  module-config: "iterator"
		  do-not-query-localhost: no
		  local-zone: "example.com." transparent
		remote-control:
		  control-enable: no
		forward-zone:
		  name: "."
		  forward-addr: $DNSMASQ
		forward-zone:
		  name: "evil.example."
		  forward-addr: $FORGER
	END
	daemon unbound on ext unbound -d -c "$LAB/unbound.conf"
}

# pods with app=web: TCP to what these names lead to, and whatever they like to the forger
names_policy() {
	local name
	{
		cat <<-END
			  rules:
			  - name: forger
			    action: Allow
			    to: [{cidr: $FORGER/32}]
			  - name: names
			    action: Allow
			    ports: [{protocol: TCP, port: $PORT}]
			    to:
		END
		for name; do echo "    - {fqdn: \"$name\"}"; done
		echo "  default: {action: Deny}"
	} | web_spec
}

# dns_config MIN-TTL GRACE
dns_config() {
	sed -i "s|^spec: {clusterCIDRs: \(.*\)}\$|spec: {clusterCIDRs: \1, dns: {resolvers: [$DNSMASQ, \"$DNSMASQ6\", $UNBOUND, \"$UNBOUND6\"], minTTL: ${1}s, grace: ${2}s}}|" \
		"$LAB/policies/00-lab.yaml"
	grep -q "minTTL: ${1}s" "$LAB/policies/00-lab.yaml"
}

# names_up [TTL [MIN-TTL GRACE]]: everything, and the pod "web"
names_up() {
	resolvers_up "${1:-300}" || return
	dns_config "${2:-30}" "${3:-60}" || return
	names_policy api.example.com "*.wild.example.net" www.example.com "*.example.com"
	node_start node1 || return
	web_add web || return
	lab_wait 100 resolves "$DNSMASQ" && lab_wait 100 resolves "$DNSMASQ6" &&
		lab_wait 100 resolves "$UNBOUND" && lab_wait 100 resolves "$UNBOUND6"
}

# look SERVER NAME [option…]: what came of it
look() { on web "$PROBE" names "$1" "$PORT" "${@:2}"; }
resolves() { on ext "$PROBE" names "$1" "$PORT" api.example.com | grep -q "^1 connected"; }
open_now() { [ "$(ask web tcp "$1")" = "${NODE_V4[node1]}" ]; }

@test "a connection right after the lookup passes: exact, wildcard, chain, 20 addresses, by TCP, IPv4 and IPv6" {
	local server
	names_up
	same "before any lookup" timeout "$(ask web tcp 198.18.1.1 timeout=300)"
	for server in "$DNSMASQ" "$DNSMASQ6" "$UNBOUND" "$UNBOUND6"; do
		same "exact by $server" "1 connected, 0 failed, 0 nothing" "$(look "$server" api.example.com)"
		same "other letters by $server" "1 connected, 0 failed, 0 nothing" "$(look "$server" API.eXample.COM)"
		same "IPv6 by $server" "1 connected, 0 failed, 0 nothing" "$(look "$server" api.example.com aaaa)"
		same "wildcard by $server" "1 connected, 0 failed, 0 nothing" "$(look "$server" a.wild.example.net)"
		same "deeper by $server" "1 connected, 0 failed, 0 nothing" "$(look "$server" b.a.wild.example.net)"
		same "chain by $server" "1 connected, 0 failed, 0 nothing" "$(look "$server" www.example.com)"
		same "chain to IPv6 by $server" "1 connected, 0 failed, 0 nothing" "$(look "$server" www.example.com aaaa)"
		same "no name of any rule by $server" "0 connected, 1 failed, 0 nothing" \
			"$(look "$server" plain.example.org 2>/dev/null)"
		same "twenty by $server" "20 connected, 0 failed, 0 nothing" "$(look "$server" twenty.example.com)"
		# unbound takes its only upstream for dead after this, and answers from its cache alone
		same "truncated by $server" "90 connected, 0 failed, 0 nothing" "$(look "$server" many.example.com)"
		same "by TCP alone by $server" "1 connected, 0 failed, 0 nothing" "$(look "$server" api.example.com tcp)"
	done
	same "another port" timeout "$(ASK_PORT=$((PORT + 1)) ask web tcp 198.18.1.1 timeout=300)"
	same "another protocol" timeout "$(ask web udp 198.18.1.1 timeout=300)"
}

@test "explain knows the names that an address is known under, and the program in force agrees" {
	names_up
	run -0 ctl node1 explain default/web "198.18.1.1:$PORT" -o json
	same "before" "[]" "$(jq -c '.[0].names' <<<"$output")"
	same "looked up" "1 connected, 0 failed, 0 nothing" "$(look "$DNSMASQ" api.example.com)"
	run -0 ctl node1 explain default/web "198.18.1.1:$PORT"
	[[ $output == *"known as     *.example.com, api.example.com"* ]]
	[[ $output == *"outcome      leaves as the node"* ]]
	[[ $output == *"the program in force says the same"* ]]
}

@test "1,000 of 1,000 first connections right after the first lookup succeed" {
	names_up
	same first "1000 connected, 0 failed, 0 nothing" "$(look "$DNSMASQ" n%.thousand.example.com count=1000)"
}

@test "forged answers and names that lead inside open nothing" {
	names_up
	same "the forger's answer" "0 connected, 1 failed, 0 nothing" "$(look "$FORGER" api.example.com 2>/dev/null)"
	same "the same by TCP" "0 connected, 1 failed, 0 nothing" "$(look "$FORGER" api.example.com tcp 2>/dev/null)"
	look "$DNSMASQ" inside.example.com || true
	ctl node1 names | tee "$LAB/names"
	run ! grep -qE '198\.18\.66\.66|10\.244\.1\.1|127\.0\.0\.1' "$LAB/names"
	ctl node1 names -o json | jq -e '.counts.foreign > 0 and .counts.rebound == 2'
}

@test "whose name leads to another's opens nothing by it, whatever his server says of that" {
	local server
	names_up
	for server in "$DNSMASQ" "$UNBOUND"; do
		look "$server" www.evil.example 2>"$LAB/log/look.$server" || true
	done
	# dnsmasq passes on what the zone's server says; unbound asks for the other name where it belongs
	ctl node1 names | tee "$LAB/names"
	run ! grep -q '198\.18\.66\.67' "$LAB/names"
	same "what the forger says of the other name" timeout "$(ask web tcp 198.18.66.67 timeout=300)"
	same "the other name itself" "1 connected, 0 failed, 0 nothing" "$(look "$DNSMASQ" a.wild.example.net)"
	# a policy that has the first name trusts its owner with where it leads
	names_policy www.evil.example
	leads() { [ "$(look "$DNSMASQ" www.evil.example 2>/dev/null)" = "1 connected, 0 failed, 0 nothing" ]; }
	lab_wait 100 leads
	open_now 198.18.66.67
	same "by unbound" "1 connected, 0 failed, 0 nothing" "$(look "$UNBOUND" www.evil.example)"
	ctl node1 names | grep -q '^www\.evil\.example *198\.18\.2\.1 '
}

@test "what one namespace was told opens nothing for another" {
	names_up
	sed 's/namespace: default/namespace: other/' "$LAB/policies/20-web.yaml" | policy 21-other.yaml
	printf 'apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n' | policy 05-other.yaml
	POD_NAMESPACE=other web_add web2
	same "told" "1 connected, 0 failed, 0 nothing" "$(look "$DNSMASQ" api.example.com)"
	same "not told" timeout "$(ask web2 tcp 198.18.1.1 timeout=300)"
	same "told, too" "1 connected, 0 failed, 0 nothing" "$(on web2 "$PROBE" names "$DNSMASQ" "$PORT" api.example.com)"
	open_now 198.18.1.1
}

@test "when a name expires, new connections are closed and open ones go on" {
	names_up 1 4 4
	same "first" "1 connected, 0 failed, 0 nothing" "$(look "$DNSMASQ" api.example.com)"
	mkfifo "$LAB/web.in"
	daemon web-talk on web sh -c "exec '$PROBE' talk 198.18.1.1 $PORT <>'$LAB/web.in'"
	lab_wait 50 grep -q open "$LAB/log/web-talk"
	closed() { [ "$(ask web tcp 198.18.1.1 timeout=300)" = timeout ]; }
	lab_wait 300 closed
	echo hello >"$LAB/web.in"
	lab_wait 100 grep -q alive "$LAB/log/web-talk"
	same "after another lookup" "1 connected, 0 failed, 0 nothing" "$(look "$DNSMASQ" api.example.com)"
	# an edit that takes the rule away ends it
	names_policy other.example.com
	in_force node1
	closed
	echo hello >"$LAB/web.in"
	lab_wait 100 grep -q dead "$LAB/log/web-talk"
}

@test "without the daemon known names go on and new ones are learned; edits attach and detach" {
	local veth
	names_up
	veth=$(pod_veth web)
	same "known" "1 connected, 0 failed, 0 nothing" "$(look "$DNSMASQ" api.example.com)"
	node_stop node1 KILL
	open_now 198.18.1.1
	same "new, without a daemon" "1 connected, 0 failed, 0 nothing" "$(look "$DNSMASQ" other.example.com)"
	node_start node1
	ctl node1 names | tee "$LAB/names"
	grep -q '198\.18\.1\.1 ' "$LAB/names"
	open_now 198.18.1.2
	same "programs towards the pod" 1 "$(programs node1 "$veth" egress | wc -l)"
	web_policy
	none() { [ "$(programs node1 "$veth" egress | wc -l)" = 0 ]; }
	lab_wait 100 none
	names_policy "*.example.com"
	one() { [ "$(programs node1 "$veth" egress | wc -l)" = 1 ]; }
	lab_wait 100 one
	same "again" "1 connected, 0 failed, 0 nothing" "$(look "$DNSMASQ" other.example.com)"
}
