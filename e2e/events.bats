#!/usr/bin/env bats
# What rules with `log` tell, what audit would do, and what rules were hit.
load lib/lab

setup() { lab_up; }
teardown() { lab_teardown; }

lines() { grep '^{"time"' "$LAB/log/sluiced-node1" | jq -c "$@"; }
count_lines() { [ "$(lines "select($2)" | wc -l)" -ge "$1" ]; }

@test "a rule with log tells each connection once, denied and allowed, v4 and v6" {
	web_rules "{name: no, action: Deny, log: true, to: [{cidr: $DENIED_V4/32}, {cidr: '$DENIED_V6/128'}]},
	  {name: yes, action: Allow, log: true}"
	node_start node1
	web_add web
	same denied timeout "$(ask web udp "$DENIED_V4" timeout=200)"
	same denied timeout "$(ask web udp "$DENIED_V6" timeout=200)"
	same allowed "${NODE_V4[node1]}" "$(ask web tcp "$EXT_V4")"
	lab_wait 50 tells Deny no UDP "$DENIED_V4"
	lab_wait 50 tells Deny no UDP "$DENIED_V6"
	lab_wait 50 tells Allow yes TCP "$EXT_V4"
	[ "$(lines 'select(.rule == "yes")' | wc -l)" -eq 1 ]
}

# tells VERDICT RULE PROTOCOL ADDR: of pod web and its policy
tells() {
	# shellcheck disable=SC2016 # jq's own
	lines -e --arg v "$1" --arg r "$2" --arg p "$3" --arg d "$4" --argjson port "$PORT" 'select(.namespace == "default" and
		.pod == "web" and .policy == "EgressPolicy default/web" and .verdict == $v and .rule == $r and
		.protocol == $p and .destination == $d and .destinationPort == $port)' | grep -q .
}

@test "a policy in mode Audit changes nothing and tells what it would do" {
	policy_of 20-audit.yaml trial <<-END
		  mode: Audit
		  subject: {podSelector: {matchLabels: {app: web}}}
		  rules: [{name: no, action: Deny}]
	END
	node_start node1
	web_add web
	lab_wait 50 would_deny
	same "as before" "${NODE_V4[node1]}" "$(ask web tcp "$EXT_V4")"
	ctl node1 counters | grep -q '^audit: would-deny [1-9]'
	[ "$(ctl node1 counters -o json | jq '[.[] | select(.audit == "would-deny") | .packets] | add')" -gt 0 ]
}

would_deny() {
	[ "$(ask web udp "$EXT_V4")" = "${NODE_V4[node1]}" ] || return
	count_lines 1 '.verdict == "Allow" and .audit.verdict == "Deny" and .audit.rule == "no" and .pod == "web"'
}

@test "a flood of denials is told in samples, counted, and stops nobody else" {
	web_rules "{name: no, action: Deny, log: true, to: [{cidr: $DENIED_V4/32}]}, {name: yes, action: Allow}"
	node_start node1
	web_add web
	web_add other
	before=$(cpu_ms node1)
	on web "$PROBE" flood "$DENIED_V4" "$PORT" 50000 3 fresh &
	for _ in 1 2 3 4 5; do same "others go on" "${NODE_V4[node1]}" "$(ask other udp "$EXT_V4")"; done
	wait $!
	used=$(($(cpu_ms node1) - before))
	run -0 ctl node1 rules --hits -o json
	read -r packets told lost <<<"$(jq -r '.[] | select(.rule | endswith("no")) |
		"\(.packets) \(.eventsTold) \(.eventsLost)"' <<<"$output")"
	echo "$packets denied, $told told, $lost counted only, $used ms of the daemon's time"
	[ "$packets" -gt 1000 ]
	[ "$told" -gt 0 ]
	[ "$lost" -gt "$told" ]
	# the rest had ports of a connection that was told already
	[ "$((told + lost))" -le "$packets" ] && [ "$((told + lost))" -gt $((packets * 9 / 10)) ]
	[ "$used" -lt 3000 ] # of one processor's
}

# denials POD SECONDS REPEAT: its packets to DENIED_V4, by test runs on all processors
denials() {
	local index
	index=$(ip -n "$P-node1" -j link show "$(pod_veth "$1")" | jq '.[0].ifindex')
	on node1 "$TOP/build/e2e/slmeter" denials "$(find "$LAB/node1/bpf" -name slu_from_pod)" "$index" \
		"$(pod_mac "$1")" "$(pod_ip "$1" 4)" "$DENIED_V4" "$2" 2 "$3"
}

@test "a million denials a second by test runs: the daemon has time, what is lost is counted, others go on" {
	web_rules "{name: no, action: Deny, log: true, to: [{cidr: $DENIED_V4/32}]}, {name: yes, action: Allow}"
	node_start node1
	web_add web
	web_add other
	same "others, before" "${NODE_V4[node1]}" "$(ask other udp "$EXT_V4")"
	before=$(cpu_ms node1) begun=$EPOCHREALTIME
	denials web 3 8 >"$LAB/denials" &
	flood=$!
	for _ in 1 2 3 4 5; do same "others go on" "${NODE_V4[node1]}" "$(ask other tcp "$EXT_V4")"; done
	wait $flood
	used=$(($(cpu_ms node1) - before)) wall=$(((${EPOCHREALTIME/./} - ${begun/./}) / 1000))
	read -r _ sent _ seconds <"$LAB/denials"
	lab_wait 100 log_has_all
	echo "# $sent denials in $seconds s, $TOLD told, $LOST lost; the daemon: $used of $wall ms" >&3
	same "denials that were counted" "$sent" "$DENIED"
	[ "$sent" -gt 100000 ]
	[ "$LOST" -gt "$TOLD" ]
	# each is told, or lost, or one of the 8 of a flow that was told
	[ "$((TOLD + LOST))" -le "$sent" ] && [ "$((TOLD * 8 + LOST))" -ge "$sent" ]
	[ "$used" -le "$wall" ]
	[ "$used" -le $((500 + TOLD * 5)) ]
	same "others, after" "${NODE_V4[node1]}" "$(ask other udp "$EXT_V4")"
}

# The log has what the rule's counter says was told.
log_has_all() {
	read -r DENIED TOLD LOST <<<"$(ctl node1 rules --hits -o json | jq -r '.[] |
		select(.rule | endswith("no")) | "\(.packets) \(.eventsTold) \(.eventsLost)"')"
	[ "${TOLD:-0}" -gt 0 ] && [ "$(lines 'select(.rule == "no" and .verdict == "Deny")' | wc -l)" -eq "$TOLD" ]
}

@test "a reader of the event log that goes away does not take the daemon along" {
	web_rules "{name: no, action: Deny, log: true, to: [{cidr: $DENIED_V4/32}]}"
	node_args node1
	daemon sluiced-node1 on node1 bash -c 'exec "$@" > >(true)' - "$BIN/sluiced" "${NODE_ARGS[@]}"
	lab_wait 100 node_answers node1
	web_add web
	same denied timeout "$(ask web udp "$DENIED_V4" timeout=200)"
	lab_wait 100 told_by_rule no
	sleep 0.5 # it is told as soon as it is in the ring: now it is written
	node_answers node1
	daemon_lives sluiced-node1
}

told_by_rule() {
	ctl node1 rules --hits -o json | jq -e --arg r "$1" 'any(.[]; (.rule | endswith($r)) and .eventsTold > 0)'
}

# what the daemon of a node has used of the processors
cpu_ms() { awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) * 1000 / hz }' "/proc/$(cat "$LAB/pids/sluiced-$1")/stat"; }

@test "a disk that was full tears one line of the event log, and not the next one" {
	local log=$LAB/small/events
	web_rules "{name: no, action: Deny, log: true, to: [{cidr: $DENIED_V4/32}]}"
	mkdir "$LAB/small"
	mount -t tmpfs -o size=8k "$P" "$LAB/small"
	head -c 4096 /dev/zero >"$LAB/small/filler"
	node_args node1
	daemon sluiced-node1 on node1 "$BIN/sluiced" "${NODE_ARGS[@]}" --event-log "$log"
	lab_wait 100 node_answers node1
	web_add web
	for _ in {1..100}; do
		[ "$(stat -c %s "$log")" -lt 4096 ] || break
		ask web udp "$DENIED_V4" timeout=50 >/dev/null || :
	done
	whole() { tail -n 1 "$log" | jq -e '.verdict == "Deny"'; }
	run ! whole
	rm "$LAB/small/filler"
	ask web udp "$DENIED_V4" timeout=200 >/dev/null || :
	lab_wait 50 whole
}
