#!/usr/bin/env bats
# The operator's tool: what it says is what the packets do.
load lib/lab

setup() { lab_up; }
teardown() { lab_teardown; }

@test "explain says what the packets do: rule, losers, identity" {
	office_up
	policy 25-lower.yaml <<-END
		apiVersion: sluice.dev/v1alpha1
		kind: EgressPolicy
		metadata: {name: zz-lower, namespace: default}
		spec:
		  priority: 900
		  subject: {podSelector: {matchLabels: {app: web}}}
		  rules: [{name: loser, action: Allow, to: [{cidr: $DENIED_V4/32}], via: {node: {}}}]
	END
	web_add web
	in_force node1
	run ctl node1 explain default/web "$DENIED_V4:$PORT/UDP"
	echo "$output"
	[[ ${output,,} == *den* && $output == *default/web* && $output == *zz-lower* ]]
	same packets timeout "$(ask web udp "$DENIED_V4" timeout=300)"
	run ctl node1 explain default/web "$EXT_V4:$PORT/TCP"
	echo "$output"
	[[ ${output,,} == *allow* && $output == *$EGRESS_V4* && $output == *office* ]]
	run ctl node1 explain default/web "$EXT_V4:$PORT/TCP" -o json
	jq . <<<"$output"
}

@test "status says by its exit status whether the node is ready" {
	office_up
	run -0 ctl node1 status
	policy 99-bad.yaml <<<'nonsense: ['
	lab_wait 50 exit_status 3 ctl node1 status
	run ctl node1 status
	[[ $output == *99-bad.yaml* ]]
	node_stop node1
	run -1 ctl node1 status
}

exit_status() {
	local want=$1 got=0
	shift
	"$@" || got=$?
	[ "$got" -eq "$want" ]
}

@test "bindings names pod, policy, address and gateway" {
	office_up
	web_add web
	run -0 ctl node1 bindings
	echo "$output"
	[[ $output == *default/web* && $output == *office* && $output == *$EGRESS_V4* ]]
	run -0 ctl node1 bindings -o json
	jq . <<<"$output"
}

@test "counters counts a denied packet by its reason" {
	office_up
	web_add web
	ask web udp "$DENIED_V4" timeout=200 || true
	[ "$(dropped node1 denied)" -gt 0 ]
	run -0 ctl node1 counters
	[[ $output == *denied* ]]
}

@test "check-config names file, line and path before anything runs" {
	mkdir "$LAB/draft"
	printf 'apiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {name: a, namespace: b}\nspec:\n  subject: {podSelector: {}}\n  rulez: []\n' \
		>"$LAB/draft/a.yaml"
	run -1 "$BIN/sluicectl" check-config "$LAB/draft"
	echo "$output"
	[[ $output == *a.yaml:6* && $output == *rulez* ]]
	run -0 "$BIN/sluicectl" check-config "$LAB/policies"
	run -2 "$BIN/sluicectl" no-such-verb
	run -0 "$BIN/sluicectl" --help
}

@test "init writes files that work" {
	mkdir "$LAB/new"
	run -0 "$BIN/sluicectl" init --help
	echo "$output"
}
