#!/usr/bin/env bats
# Objects of a real API server that are wrong, too much, or of a version that is not there yet: what
# the daemon makes of them, and that it leaves them as they are.
load lib/cluster

setup_file() { cluster_make node1 gw1; }
setup() { suite_test_begin node1 gw1; }
teardown() { suite_test_end; }
teardown_file() { lab_destroy; }

@test "an invalid update keeps the last good version, over a restart, and status says so" {
	local web=namespaces/shop/egresspolicies/web
	cluster_up
	pod_start web web
	same "as office" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	policy_apply web "rules: [{name: out, action: Allow, novelty: 1}]" # kept by the server, unknown to us
	condition_wait $web Accepted "False Invalid"
	lab_wait 100 said InvalidPolicy "EgressPolicy shop/web: spec.rules[0].novelty"
	kube_get "$SLUICE_API/$web" | jq -e '.status.conditions[0].message | test("spec.rules\\[0\\].novelty: unknown field.*last good")'
	same "as before" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	node_stop node1
	kube_node_start node1
	nodes_synced node1
	pod_start again web
	same "a pod started after it" "$EGRESS_V4" "$(ask again udp "$EXT_V4")"
	# never valid: denies whom it selects
	policy_apply bad "rules: [{name: out, action: Allow, novelty: 1}]"
	condition_wait namespaces/shop/egresspolicies/bad Accepted "False Invalid"
	pod_start bad bad
	same "bad is denied" timeout "$(ask bad udp "$EXT_V4" timeout=300)"
	policy_apply bad "rules: [{name: out, action: Allow}]"
	lab_wait 100 asks_as bad "${NODE_V4[node1]}"
	policy_apply web "$AS_OFFICE"
	condition_wait $web Accepted "True Accepted"
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies/bad" >/dev/null
	pods_end web again bad
}

# One policy with more combinations of prefixes and ports than a kernel takes: ten chains of nested
# prefixes, a rule with ports of its own for each.
huge_policy() {
	jq -n '{apiVersion: "sluice.dev/v1alpha1", kind: "EgressPolicy", metadata: {name: "huge", namespace: "shop"},
		spec: {subject: {podSelector: {matchLabels: {app: "web"}}}, rules: [range(240) as $k | {name: "r\($k)", action: "Allow",
			to: [{cidr: "\(20 + ($k / 24 | floor)).0.0.0/\(8 + $k % 24)"}],
			ports: [range(64) as $j | ($k * 64 + $j) * 4 | {protocol: "TCP", port: (. + 1), endPort: (. + 2)}]}]}}'
}

@test "a policy for which a kernel has no room is said in an Event, and what was in force stays (long)" {
	skip_long
	cluster_up
	pod_start web web
	same "as office" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	# not by apply: of such an object the server writes down who owns what for a long time
	huge_policy | kube_call admin POST "$SLUICE_API/namespaces/shop/egresspolicies" >/dev/null
	lab_wait 300 said NotInForce "node node1 keeps what was in force before: " || lab_fail "told: $(events NotInForce)"
	said NotInForce "EgressPolicy shop/huge r0: too many combinations of destinations and ports"
	same "as before" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	run ctl node1 status
	[ "$status" -eq 3 ] && [[ $output == *"too many combinations"* ]]
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies/huge" >/dev/null
	policy_apply web "$DENY"
	lab_wait 100 asks_as web timeout
	lab_wait 100 ctl node1 status
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies/web" >/dev/null
	pods_end web
}

# Objects of our kinds as a later version may write them: PATH KIND SPEC
of_later_version() {
	cat <<-END
		egressgateways/later EgressGateway {addresses: [{range: 172.31.7.99, weight: 7}], nodeSelector: {future: 1}}
		clusteregresspolicies/later ClusterEgressPolicy {subject: {podSelector: {matchLabels: {app: later}}}, rules: [{action: Allow, novelty: {a: [1]}}]}
		namespaces/shop/egresspolicies/later EgressPolicy {subject: {podSelector: {matchLabels: {app: later}}, future: x}, rules: [{action: Allow, to: [{cidr: 192.0.2.0/24, asn: 64500}]}]}
		clusteregressdestinations/later ClusterEgressDestination {cidrs: [198.51.100.0/24], feeds: [{url: a}]}
		namespaces/shop/egressdestinations/later EgressDestination {fqdns: [later.example], ports: [{protocol: TCP, alpn: h2}]}
		sluiceconfigs/default SluiceConfig {dns: {resolvers: [10.96.0.10], doh: true}}
	END
}
spec_of() { kube_get "$SLUICE_API/$1" | jq -cS '[.spec, .metadata.labels, .metadata.generation]'; }

@test "what a later version wrote into an object is there after this one has written its status" {
	local path kind spec name before
	cluster_up
	condition_wait sluiceconfigs/default Accepted "True Accepted"
	while read -r path kind spec; do
		name=${path##*/}
		[[ $path != namespaces/* ]] || name+=', namespace: shop'
		kube_apply <<<"{apiVersion: sluice.dev/v1alpha1, kind: $kind, metadata: {name: $name, labels: {of: later}}, spec: $spec}"
		before=$(spec_of "$path")
		condition_wait "$path" Accepted "False Invalid"
		kube_get "$SLUICE_API/$path" | jq -e '.metadata.generation as $g | .status.conditions | all(.observedGeneration == $g)'
		same "$path" "$before" "$(spec_of "$path")"
		grep -E '"(weight|novelty|asn|feeds|alpn|doh)":' <<<"$before"
	done < <(of_later_version)
	# the later version is there: it was only our word that was against it
	kube_delete "$SLUICE_API/sluiceconfigs/default" >/dev/null
	config_apply
	condition_wait sluiceconfigs/default Accepted "True Accepted"
	while read -r path kind spec; do
		[ "$kind" = SluiceConfig ] || kube_delete "$SLUICE_API/$path" >/dev/null
	done < <(of_later_version)
}
