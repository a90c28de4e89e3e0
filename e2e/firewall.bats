#!/usr/bin/env bats
# The firewall on real packets: what each action does, what edits do to open connections,
# destinations that come and go, Services, labels, schedules, the audit switch. What is
# decided where is the oracle's business (oracle_test in pkg/policy and pkg/dataplane).
load lib/lab

setup() {
	lab_up
	OWN=${NODE_V4[node1]} OWN6=${NODE_V6[node1]}
}
teardown() { lab_teardown; }

# becomes WHAT POD ADDR: the answer to a question, once the edit is in force. No answer is an
# answer, too, which a busy machine gives before.
becomes() { in_force node1 && lab_wait 50 answers "$@"; }
answers() { [ "$(ask "$2" udp "$3" timeout=150)" = "$1" ]; }

@test "Reject says so at once: a reset for TCP, prohibited for the rest" {
	web_rules "{name: no, action: Reject, to: [{cidr: $DENIED_V4/32}, {cidr: '$DENIED_V6/128'}]}" "{name: yes, action: Allow}"
	node_start node1
	web_add web
	daemon dump on web tcpdump -lnni eth0 'tcp or icmp or icmp6'
	lab_wait 50 grep -q 'listening on' "$LAB/log/dump"
	for to in "$DENIED_V4" "$DENIED_V6"; do
		same "tcp to $to" refused "$(ask web tcp "$to" timeout=5000)"
	done
	# code 13 is "unreachable" to a socket, ICMPv6's code 1 is "prohibited"
	same "udp v4" unreachable "$(ask web udp "$DENIED_V4" timeout=5000)"
	same "udp v6" prohibited "$(ask web udp "$DENIED_V6" timeout=5000)"
	same allowed "$OWN" "$(ask web tcp "$EXT_V4")"
	lab_wait 50 grep -q "$DENIED_V4.$PORT > $(pod_ip web 4).*Flags \[R" "$LAB/log/dump"
	lab_wait 50 grep -q "$DENIED_V6.$PORT > $(pod_ip web 6).*Flags \[R" "$LAB/log/dump"
	cat "$LAB/log/dump"
	lab_wait 50 grep -qi "ICMP host $DENIED_V4 unreachable - admin prohibited" "$LAB/log/dump"
	lab_wait 50 grep -qi "ICMP6, destination unreachable, *unreachable prohibited $DENIED_V6" "$LAB/log/dump"
	run ! grep -v -e "$OWN" -e "$OWN6" <<<"$(sources)"
}

# Milliseconds from a SYN to its reset, by tcpdump's clock: the fastest, since how long a processor
# was somebody else's is not the answer's matter
fastest_reset() {
	awk -v to="$DENIED_V4.$PORT" '$5 == to ":" && /Flags \[S\]/ { at[$3] = $1 }
		$3 == to && /Flags \[R/ && (from = substr($5, 1, length($5) - 1)) in at {
			ms = ($1 - at[from]) * 1000; if (!n++ || ms < best) best = ms }
		END { if (n < 10) exit 1; printf "%d\n", best }' "$LAB/log/dump"
}
prohibited() { grep -ci 'admin prohibited' "$LAB/log/dump" || true; }

@test "Reject answers within 100 ms, and no more than 100 times a second" {
	web_rules "{name: no, action: Reject, to: [{cidr: $DENIED_V4/32}]}" "{name: yes, action: Allow}"
	node_start node1
	web_add web
	daemon dump on web tcpdump -ttlnni eth0 'tcp or icmp'
	lab_wait 50 grep -q 'listening on' "$LAB/log/dump"
	for _ in {1..10}; do same "tcp" refused "$(ask web tcp "$DENIED_V4" timeout=5000)"; done
	lab_wait 100 fastest_reset
	echo "# a reset after $(fastest_reset) ms" >&3
	[ "$(fastest_reset)" -lt 100 ]
	local before answers seconds=$EPOCHSECONDS denied
	before=$(prohibited)
	on web "$PROBE" flood "$DENIED_V4" "$PORT" 2000 2 fresh
	seconds=$((EPOCHSECONDS - seconds + 1))
	sleep 0.5 # what was answered has been dumped
	answers=$(($(prohibited) - before))
	denied=$(ctl node1 rules --hits -o json | jq '.[] | select(.rule | endswith("no")) | .packets')
	echo "# $answers answers to $denied packets in $seconds s" >&3
	[ "$denied" -gt 1000 ] && [ "$answers" -gt 0 ]
	[ "$answers" -le $((100 * seconds + 100)) ] # a burst first
}

@test "an edit ends the open connections it forbids, and disturbs no other" {
	web_rules "{name: all, action: Allow}"
	node_start node1
	for pod in web stays; do web_add $pod; done
	talk_open web
	talk_open stays "$EXT_V6"
	same "web at first" "$OWN alive" "$(talk web)"
	same "stays at first" "$OWN6 alive" "$(talk stays)"
	web_rules "{name: no, action: Deny, to: [{cidr: $EXT_V4/32}]}" "{name: rest, action: Allow}"
	becomes timeout web "$EXT_V4"
	same "web is cut" "$OWN dead" "$(talk web)"
	same "stays goes on" "$OWN6 alive" "$(talk stays)"
	web_rules "{name: no, action: Reject}"
	becomes prohibited web "$EXT_V6"
	same "stays is reset" "$OWN6 dead" "$(talk stays)"
}

@test "a destination takes effect when it appears, and none of it is left when it goes" {
	web_rules "{name: partner, action: Allow, to: [{destination: {name: partner}}]}" "{name: rest, action: Deny}"
	node_start node1
	web_add web
	same "not there yet" timeout "$(ask web udp "$EXT_V4" timeout=150)"
	run ctl node1 check-config "$LAB/policies"
	[[ $output == *partner* ]]
	policy 30-partner.yaml <<-END
		apiVersion: sluice.dev/v1alpha1
		kind: EgressDestination
		metadata: {name: partner, namespace: default, labels: {tier: gold}}
		spec: {cidrs: [$EXT_V4/32, "$EXT_V6/128"], ports: [{protocol: UDP, port: $PORT}]}
	END
	becomes "$OWN" web "$EXT_V4"
	same "v6 too" "$OWN6" "$(ask web udp "$EXT_V6")"
	same "not its ports" timeout "$(ask web tcp "$EXT_V4" timeout=150)"
	rm "$LAB/policies/30-partner.yaml"
	becomes timeout web "$EXT_V4"
	# by label, and large: held once, beside what the policy has of its own
	web_rules "{name: gold, action: Allow, to: [{destinationSelector: {matchLabels: {tier: gold}}}]}" "{name: rest, action: Deny}"
	{
		echo "{apiVersion: sluice.dev/v1alpha1, kind: EgressDestination, metadata: {name: feed, namespace: default,
		  labels: {tier: gold}}, spec: {cidrs: [$EXT_V4/32"
		for i in {0..255}; do printf ', "100.64.%d.0/25"' "$i"; done
		for i in {0..255}; do printf ', "2001:db8:%x::/48"' "$i"; done
		echo "]}}"
	} | policy 31-feed.yaml
	becomes "$OWN" web "$EXT_V4"
	same "v6 is not in it" timeout "$(ask web udp "$EXT_V6" timeout=150)"
	rm "$LAB/policies/31-feed.yaml"
	becomes timeout web "$EXT_V4"
}

@test "a policy on a Service is for the pods its selector selects, as it is now" {
	policy_of 20-web.yaml web <<-END
		  subject: {services: [shop]}
		  rules: [{name: no, action: Deny}]
	END
	node_start node1
	web_add web
	same "no such Service" "$OWN" "$(ask web udp "$EXT_V4")"
	policy 40-service.yaml <<<"{apiVersion: v1, kind: Service, metadata: {name: shop, namespace: default},
	  spec: {selector: {app: web}, ports: [{port: 80}]}}"
	becomes timeout web "$EXT_V4"
	policy 40-service.yaml <<<"{apiVersion: v1, kind: Service, metadata: {name: shop, namespace: default},
	  spec: {selector: {app: other}, ports: [{port: 80}]}}"
	becomes "$OWN" web "$EXT_V4"
}

@test "labels of a pod that change take it into and out of a policy" {
	web_rules "{name: no, action: Deny}"
	label_pod web
	node_start node1
	pod_add p
	same "selected at first" timeout "$(ask p udp "$EXT_V4" timeout=150)"
	label_pod other
	becomes "$OWN" p "$EXT_V4"
	label_pod web
	becomes timeout p "$EXT_V4"
}

label_pod() {
	policy 50-pod.yaml <<<"{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: default, labels: {app: $1}}}"
}

now() { date +%s; }
opened() { [ "$(now)" -ge "$1" ] || answers "$OWN" web "$EXT_V4"; }
# closed N: somebody is denied, for the first time since N were
closed() { answers timeout web "$EXT_V4" && dropped_some node1 denied $(($1 + 1)); }

# opens_in SECONDS: a window from then on, as long again; 2 when the machine was too slow to
# look before it begins, or to begin a connection before it ends
opens_in() {
	local from until before denied
	from=$(($(now) + $1)) until=$(($(now) + 2 * $1))
	web_rules "{name: then, action: Allow, schedule: {startAt: '$(date -ud "@$from" +%FT%TZ)', endAt: '$(date -ud "@$until" +%FT%TZ)'}}" \
		"{name: rest, action: Deny}"
	in_force node1
	before=$(ask web udp "$EXT_V4" timeout=150)
	[ "$(now)" -lt "$from" ] || return 2
	same "before" timeout "$before" || return 1
	lab_wait 300 opened "$until"
	[ "$(now)" -ge "$from" ] || lab_fail "open before its first second" || return
	[ "$(now)" -lt "$until" ] || return 2
	rm -f "$LAB/web.in" "$LAB/log/web-talk"
	talk_open web
	[ "$(now)" -lt "$until" ] || { talk_close web && return 2; }
	denied=$(dropped node1 denied)
	[ "$(now)" -lt "$until" ] || { talk_close web && return 2; }
	lab_wait 300 closed "$denied" || lab_fail "still open" || return
	[ "$(now)" -ge "$until" ] || lab_fail "closed before its last second" || return
	same "what began within it" "$OWN dead" "$(talk web)"
}

@test "a schedule holds from its first second to its last, and open connections end with it" {
	local seconds status
	web_rules "{name: rest, action: Deny}"
	node_start node1
	web_add web
	for seconds in 4 15 40; do
		status=0
		opens_in "$seconds" || status=$?
		[ "$status" = 2 ] || break
	done
	[ "$status" = 0 ]
}

@test "while SluiceConfig's audit is on nothing is denied, and it is told what would be" {
	web_rules "{name: no, action: Deny}"
	node_start node1
	web_add web
	same "enforced" timeout "$(ask web udp "$EXT_V4" timeout=150)"
	audit_switch true
	becomes "$OWN" web "$EXT_V4"
	lab_wait 50 told_would_deny
	audit_switch false
	becomes timeout web "$EXT_V4"
}

told_would_deny() {
	grep '^{"time"' "$LAB/log/sluiced-node1" |
		jq -se 'map(select(.verdict == "Allow" and .audit.verdict == "Deny" and .audit.rule == "no")) | length > 0'
}

audit_switch() {
	local file
	file=$(grep -l 'kind: SluiceConfig' "$LAB"/policies/*.yaml)
	sed "s/audit: [a-z]*, //; s/spec: {clusterCIDRs/spec: {audit: $1, clusterCIDRs/" "$file" >"$LAB/.config" &&
		mv "$LAB/.config" "$file"
}
