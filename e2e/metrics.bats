#!/usr/bin/env bats
# Numbers for Prometheus, as its own parser reads them, and what hostile clients of the port can do.
# shellcheck disable=SC2034,SC2119,SC2120 # the lab's settings, optional arguments
load lib/lab
load lib/gateways

METRICS=$TOP/e2e/tools/metrics.py
URL=http://127.0.0.1:5347

teardown() { lab_teardown; }

# metric 'NAME{LABEL=VALUE,…}': of the text in METRICS_OF, else as it is now
told() { if [ -n "${METRICS_OF:-}" ]; then cat "$METRICS_OF"; else on "${NODE:-node1}" "$METRICS" get "$URL/metrics"; fi; }
metric() { told | awk -v name="$1" '$1 == name { print $2 }'; }
metric_is() { [ "$(metric "$1")" = "$2" ]; }
metric_some() { [ "$(metric "$1")" -ge "$2" ]; }
page_is() { [ "$(page "$2")" = "$1" ]; }
unconnected() { [ -z "$(on node1 ss -Htn state established '( sport = :5347 )')" ]; }
page() { on node1 curl -s -m 60 -o /dev/null -w '%{http_code}' "$URL$1"; }

metrics_up() {
	lab_up node1
	LAB_CONFIG=$LAB/sluiced.yaml
	printf 'metricsAddress: "%s"\n' "$1" >"$LAB_CONFIG"
	office_up node1
}

@test "Prometheus reads what a daemon counted: a denied packet, and why it is not ready" {
	# an address that is not there yet keeps the daemon from nothing
	metrics_up 192.0.2.77:5347
	URL=http://192.0.2.77:5347
	grep -q 'no metrics for now' "$LAB/log/sluiced-node1"
	ip -n "$P-node1" addr add 192.0.2.77/32 dev lo
	web_add web
	denied web
	same address "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	lab_wait 600 page_is 200 /healthz
	# gathered once a second
	lab_wait 300 metric_some 'sluice_dropped_packets_total{reason=denied,number=1}' 3
	lab_wait 300 metric_is 'sluice_pods{state=governed}' 1
	lab_wait 300 metric_is 'sluice_ready{}' 1
	told >"$LAB/metrics"
	METRICS_OF=$LAB/metrics
	same dropped "$(dropped node1 denied)" "$(metric 'sluice_dropped_packets_total{reason=denied,number=1}')"
	metric_some 'sluice_policy_packets_total{kind=EgressPolicy,namespace=default,policy=web,action=Allow}' 1
	metric_some 'sluice_policy_packets_total{kind=EgressPolicy,namespace=default,policy=web,action=Deny}' 3
	metric_some 'sluice_policy_connections_total{kind=EgressPolicy,namespace=default,policy=web,action=Allow}' 1
	metric_is 'sluice_policies{}' 1
	metric_is 'sluice_policies_left_out{}' 0
	metric_is 'sluice_egress_addresses{state=Local}' 2
	metric_is "sluice_snat_ports_limit{address=$EGRESS_V4}" 64512
	metric_is 'sluice_condition{type=KernelInSync}' 1
	metric_is 'sluice_objects_refused{}' 0
	metric_some 'sluice_passes_total{result=ok}' 1
	metric_some 'sluice_announcements_total{}' 2
	same nowhere 404 "$(page /)"
	# in the order of the table, and all of it but what this node has nothing to say of
	on node1 "$METRICS" families "$URL/metrics" >"$LAB/told"
	awk -F '[ `|]+' '$3 == "counter" || $3 == "gauge" { print $2 }' "$TOP/pkg/metrics/README.md" >"$LAB/table"
	[ "$(wc -l <"$LAB/told")" -ge 35 ]
	grep -xFf "$LAB/told" "$LAB/table" | diff -u - "$LAB/told"

	echo 'kind: Nonsense' | policy 30-bad.yaml
	lab_wait 300 page_is 503 /readyz
	[[ $(on node1 curl -s "$URL/readyz") == "PoliciesAccepted: "*30-bad.yaml* ]]
	same alive 200 "$(page /healthz)"
}

@test "dashboard and alerts ask for numbers that there are" {
	jq -e '.panels | length > 10' "$TOP/conf/dashboards/sluice.json"
	/usr/bin/python3 -c 'import sys, yaml; yaml.safe_load(open(sys.argv[1]))' "$TOP/conf/dashboards/alerts.yaml"
	grep -ohE '\b(sluice|process)_[a-z_]+' "$TOP"/conf/dashboards/* | sort -u >"$BATS_TEST_TMPDIR/asked"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/asked")" -gt 20 ]
	awk -F '[ `|]+' '$3 == "counter" || $3 == "gauge" { print $2 }' "$TOP/pkg/metrics/README.md" >"$BATS_TEST_TMPDIR/table"
	run -1 grep -vxFf "$BATS_TEST_TMPDIR/table" "$BATS_TEST_TMPDIR/asked"
}

@test "clients that are slow, large and many keep the daemon from nothing" {
	local before after
	metrics_up :5347
	web_add web
	mkfifo "$LAB/attack.in"
	daemon attack on node1 sh -c "exec '$METRICS' attack 127.0.0.1 5347 <'$LAB/attack.in'"
	exec 9>"$LAB/attack.in"
	lab_wait 600 grep -q connections "$LAB/log/attack"
	# pods come and policies change meanwhile; who waits is answered
	web_add late
	same late "$EGRESS_V4" "$(ask late udp "$EXT_V4")"
	in_force node1
	same page 200 "$(page /metrics)"
	exec 9>&-
	# nothing of it is left, and nothing turns
	lab_wait 600 unconnected
	before=$(metric 'process_cpu_seconds_total{}')
	sleep 1.5
	after=$(metric 'process_cpu_seconds_total{}')
	awk -v a="$before" -v b="$after" 'BEGIN { exit !(b - a < 1) }'
	[ "$(metric 'process_resident_memory_bytes{}')" -lt $((64 << 20)) ]
}

@test "both gateways tell of a planned move, and of the heartbeats between them (long)" {
	local node
	skip_long
	gateways_lab gw1 gw2
	echo 'metricsAddress: ":5347"' >>"$LAB_CONFIG"
	office_up gw1
	gateway_on gw2
	lab_wait 300 has_address gw2 "$EGRESS_V4"
	NODE=gw1
	lab_wait 300 metric_is 'sluice_addresses_left_total{result=taken}' 2
	lab_wait 300 metric_is 'sluice_egress_addresses{state=Remote}' 2
	NODE=gw2
	lab_wait 300 metric_is 'sluice_addresses_arrived_total{result=told}' 2
	metric_is 'sluice_addresses_arrived_total{result=alone}' 0
	metric_is 'sluice_moves_total{}' 2
	metric_is 'sluice_failovers_total{}' 0
	metric_is 'sluice_channels_refused_total{}' 0
	same "status' left" 2 "$(ctl gw1 status -o json | jq .gateways.planned.left)"
	# both are candidates now, so they tell each other that they live
	office 'interval: 100ms'
	for node in gw1 gw2; do
		NODE=$node
		lab_wait 600 metric_is 'sluice_gateway_members{state=Live}' 1
		lab_wait 600 metric_some 'sluice_heartbeats_sent_total{}' 10
		lab_wait 600 metric_some 'sluice_heartbeats_received_total{result=accepted}' 10
		metric_is 'sluice_heartbeats_received_total{result=wrongKey}' 0
	done
}
