#!/usr/bin/env bats
# The operator's tool: what it says is what the packets do.
load lib/lab

setup() { lab_up; }
teardown() { lab_teardown; }

@test "explain says what the packets do: rule, losers, identity" {
	office_up
	policy_of 25-lower.yaml zz-lower <<-END
		  priority: 900
		  subject: {podSelector: {matchLabels: {app: web}}}
		  rules: [{name: loser, action: Allow, to: [{cidr: $DENIED_V4/32}], via: {node: {}}}]
	END
	web_add web
	in_force node1
	run ctl node1 explain default/web "$DENIED_V4:$PORT/UDP"
	echo "$output"
	[[ ${output,,} == *den* && $output == *default/web* && $output == *zz-lower* ]]
	[[ $output == *"the program in force says the same"* ]]
	same packets timeout "$(ask web udp "$DENIED_V4" timeout=300)"
	run ctl node1 explain default/web "$EXT_V4:$PORT/TCP"
	echo "$output"
	[[ ${output,,} == *allow* && $output == *$EGRESS_V4* && $output == *office* ]]
	[[ $output == *"the program in force says the same"* ]]
	for to in "$EXT_V6" "$DENIED_V6" "${NODE_V4[gw1]}" 10.244.2.7 169.254.169.254 224.0.0.1; do
		for what in "--proto UDP --port 53" "--proto ICMP --port 8" "--proto SCTP --port 9" "--proto 47"; do
			read -ra words <<<"$what"
			run -0 ctl node1 explain default/web "$to" "${words[@]}" -o json
			echo "$to $what: $output"
			jq -e '[.[].kernel.agrees] | length > 0 and all' <<<"$output"
		done
	done
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

@test "rules are listed in order with what they decided on" {
	office_up
	web_add web
	ask web tcp "$EXT_V4"
	same denied timeout "$(ask web udp "$DENIED_V4" timeout=200)"
	run -0 ctl node1 rules
	echo "$output"
	[[ $output == *STEP*ACTION* && $output == *default/web*no*Deny*default/web*out*Allow*office* ]]
	run -0 ctl node1 rules --hits -o json
	echo "$output"
	jq -e '.[] | select(.rule | endswith("no")) | .connections == 1 and .packets == 1' <<<"$output"
	jq -e '.[] | select(.rule | endswith("out")) | .connections == 1 and .packets > 3' <<<"$output"
	# an edit and a restart lose none
	before=$(jq '.[] | select(.rule | endswith("out")) | .packets' <<<"$output")
	node_stop node1
	node_start node1
	run -0 ctl node1 rules --hits -o json
	jq -e --argjson n "$before" '.[] | select(.rule | endswith("out")) | .packets >= $n' <<<"$output"
	run -0 ctl node1 rules --hits
	echo "$output"
}

@test "explain tells of other times, names and what is missing" {
	web_spec <<-END
		  rules:
		  - {name: api, action: Allow, to: [{fqdn: "*.example.com"}]}
		  - {name: night, action: Allow, to: [{cidr: $EXT_V4/32}],
		     schedule: {timeZone: UTC, startAt: "2030-01-01T00:00:00Z"}}
		  default: {action: Deny}
	END
	node_start node1
	web_add web
	verdict_is Deny "$EXT_V4"
	verdict_is Allow "$EXT_V4" --at 2030-01-01T00:00:00Z
	verdict_is Deny "$EXT_V4" --at 2029-12-31T23:59:59Z
	verdict_is Allow "$EXT_V4" --fqdn api.example.com
	verdict_is Deny "$EXT_V4" --fqdn example.com
	run -2 ctl node1 explain default/web "$EXT_V4" --at yesterday
	[[ $output == *yesterday* && $output == *2026-12-24T18:00:00Z* ]]
	run -2 ctl node1 explain default/web "$EXT_V4:80" --port 81
}

verdict_is() {
	local wanted=$1 answer
	shift
	answer=$(ctl node1 explain default/web "$@" --proto TCP --port 443 -o json)
	echo "$answer"
	jq -e --arg v "$wanted" '.[0].verdict == $v' <<<"$answer"
}

@test "counters counts a denied packet by its reason" {
	office_up
	web_add web
	ask web udp "$DENIED_V4" timeout=200 || true
	lab_wait 100 dropped_some node1 denied 1
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

@test "diff says before an edit what packets do after it" {
	local before
	office_up
	web_add web
	same "before" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	cp -r "$LAB/policies" "$LAB/draft"
	sed "s|$DENIED_V4/32|$EXT_V4/32|" "$LAB/policies/20-web.yaml" >"$LAB/draft/20-web.yaml"
	run -0 "$BIN/sluicectl" diff "$LAB/policies" "$LAB/policies"
	run -1 "$BIN/sluicectl" diff "$LAB/policies" "$LAB/draft" --pod default/web --labels app=web -o json
	echo "$output"
	before=$output
	jq -e --arg dst "$EXT_V4/32" --arg office "Allow as $EGRESS_V4 of office" \
		'.groups[].changes[] | select(.prefixes == [$dst]) | .before == $office and .after == "Deny"' <<<"$before"
	jq -e --arg dst "$DENIED_V4/32" --arg office "Allow as $EGRESS_V4 of office" \
		'.groups[].changes[] | select(.prefixes == [$dst]) | .before == "Deny" and .after == $office' <<<"$before"
	jq -e '[.groups[].changes[]] | length == 2' <<<"$before"
	policy 20-web.yaml <"$LAB/draft/20-web.yaml"
	in_force node1
	same "denied now" timeout "$(ask web udp "$EXT_V4" timeout=300)"
	same "after" "$EGRESS_V4" "$(ask web udp "$DENIED_V4")"
}

@test "diff against nothing is all that a pod may do, as its page says" {
	mkdir "$LAB/nothing" "$LAB/samples"
	cp "$TOP"/conf/samples/{cluster,egress-gateway,egress-policy}.yaml "$LAB/samples"
	cp "$LAB/samples/cluster.yaml" "$LAB/nothing"
	sed -n '/deny.yaml <<END/,/^END/ { /END/d; p }' "$TOP/plugins/sluicectl/README.md" >"$LAB/nothing/deny.yaml"
	run -1 "$BIN/sluicectl" diff "$LAB/nothing" "$LAB/samples" --pod shop/payments-1 --labels app=payments -o json
	jq -e '[.groups[].changes[] | [.prefixes, .ports, .before, .after]] ==
		[[["198.51.100.0/25"], "TCP/443", "Deny", "Allow as 203.0.113.10 of office"]]' <<<"$output"
}

@test "lint names what is hidden and what would leave as the node" {
	gateway_on gw1
	web_policy
	run -0 "$BIN/sluicectl" lint "$LAB/policies" --strict
	policy_of 30-more.yaml more <<-END
		  priority: 900
		  subject: {podSelector: {matchLabels: {app: web}}}
		  rules:
		  - {name: again, action: Deny, to: [{cidr: $DENIED_V4/32}]}
	END
	run -0 "$BIN/sluicectl" lint "$LAB/policies"
	echo "$output"
	[[ $output == *30-more.yaml:8:*hidden-rule* && $output == *default/web* ]]
	run -1 "$BIN/sluicectl" lint "$LAB/policies" --strict
	policy_of 30-more.yaml more <<-END
		  subject: {podSelector: {matchLabels: {app: other}}}
		  rules:
		  - {action: Allow, to: [{fqdn: api.example.com}], via: {gateway: office}}
	END
	run -1 "$BIN/sluicectl" lint "$LAB/policies" -o json
	jq -e '.errors == 1 and .findings[0].check == "open-name" and .findings[0].line == 7' <<<"$output"
}

@test "status and check-config name what policies refer to and is missing" {
	office_up
	policy_of 30-more.yaml more <<-END
		  subject: {services: [shop]}
		  rules:
		  - {action: Allow, to: [{destination: {name: bank}}], via: {gateway: nowhere}}
	END
	run -0 "$BIN/sluicectl" check-config "$LAB/policies"
	echo "$output"
	[[ $output == *"Service default/shop is missing"* && $output == *"EgressDestination default/bank is missing"* ]]
	run -0 ctl node1 status -o json
	jq -e '[.missing[].missing] | length == 3 and any(startswith("EgressGateway nowhere"))' <<<"$output"
	run -0 ctl node1 status
	[[ $output == *"EgressPolicy default/more"*"Service default/shop is missing"* ]]
}

with_key() {
	head -c 24 /dev/urandom | base64 >"$LAB/key"
	printf 'gatewayKeyFile: %s\n' "$LAB/key" >"$LAB/sluiced.yaml"
	export LAB_CONFIG=$LAB/sluiced.yaml
}

@test "a support bundle has what the node knows, of the kernel too, and no key" {
	local file
	with_key
	office_up
	web_add web
	printf '# %s\n' "$(cat "$LAB/key")" >>"$LAB/policies/20-web.yaml"
	run -0 ctl node1 support-bundle "$LAB/bundle.tar.gz"
	echo "$output"
	mkdir "$LAB/bundle" && tar -C "$LAB/bundle" --strip-components=1 -xzf "$LAB/bundle.tar.gz"
	run -1 grep -rF "$(cat "$LAB/key")" "$LAB/bundle"
	for file in "$LAB"/bundle/*.json; do jq . "$file" >/dev/null; done
	jq -e '.ready' "$LAB/bundle/status.json"
	jq -e '.[] | select(.rule | endswith("out")) | has("packets")' "$LAB/bundle/rules.json"
	jq -e '[.programs[] | select(.program != "slu_exit") | .attached and .reached] | length == 3 and all' "$LAB/bundle/kernel.json"
	jq -e '[.programs[] | select(.program == "slu_exit").state] | inside(["in-force", "unsupported"]) and length == 1' "$LAB/bundle/kernel.json"
	jq -e '[.rules[].priority] | sort == [999, 999, 1000, 1000]' "$LAB/bundle/kernel.json"
	jq -e '.tables[0].table == 5347 and (.tables[0].routes | length) > 3 and .tables[0].routesOfOthers == 0' "$LAB/bundle/kernel.json"
	jq -e '.generation > 0 and .bytes > 0' "$LAB/bundle/snapshot.json"
	same "not read" "" "$(jq -r '.[] | select(.missing).name' "$LAB/bundle/contents.json" |
		grep -vE '^(plugin.log|journal.log|net.d.*|nft.txt|.*-route.txt)$')"
}

@test "a drained node says so, and its gateways tell who lives" {
	with_key
	office_up
	run -0 ctl gw1 gateways
	echo "$output"
	[[ $output == *"node        gw1"* && $output != *drained* && $output =~ office\ +"$EGRESS_V4"\ +gw1\ +Local\ +[0-9]+[sm] ]]
	run ctl gw1 drain # nobody else may have it: it stays
	[ "$status" -eq 1 ]
	lab_wait 100 drained gw1
	run -0 ctl gw1 gateways
	[[ $output == *"node        gw1, drained"* ]]
	run ctl gw1 status
	[[ $output == *"drained     yes"* ]]
	run -0 ctl gw1 undrain
	lab_wait 100 eval '! drained gw1'
	run -0 ctl gw1 gateways
	[[ $output != *drained* ]]
}

drained() { ctl "$1" gateways -o json | jq -e '.drained'; }
