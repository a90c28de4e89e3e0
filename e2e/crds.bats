#!/usr/bin/env bats
# The definitions of our kinds on a real API server, beside what the daemon's parser says.
load lib/kube

setup_file() {
	kube_assets || return 0
	kube_up
	kube_crds
	echo '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}' | kube_apply
}
setup() { kube_or_skip; }
teardown_file() { lab_destroy; }

# The smallest object of each kind, as PLURAL KIND SPEC.
smallest() {
	cat <<-END
		egressgateways EgressGateway {"addresses": [{"range": "203.0.113.10"}, {"range": "203.0.113.11"}]}
		clusteregresspolicies ClusterEgressPolicy {"subject": {"podSelector": {}}}
		namespaces/shop/egresspolicies EgressPolicy {"subject": {"podSelector": {}}}
		clusteregressdestinations ClusterEgressDestination {"cidrs": ["198.51.100.0/24"]}
		namespaces/shop/egressdestinations EgressDestination {"fqdns": ["*.example.com"]}
		sluiceconfigs SluiceConfig {"audit": false}
	END
}

# object KIND SPEC [NAME]: as JSON; the spec may be any YAML in one line
object() {
	local namespace=''
	[[ $1 == Cluster* || $1 == *Gateway || $1 == *Config ]] || namespace=', namespace: shop'
	local name=${3:-x}
	[ "$1" != SluiceConfig ] || name=${3:-default}
	echo "{apiVersion: sluice.dev/v1alpha1, kind: $1, metadata: {name: $name$namespace}, spec: $2}"
}

plural_of() {
	case $1 in
	EgressGateway) echo egressgateways ;;
	ClusterEgressPolicy) echo clusteregresspolicies ;;
	EgressPolicy) echo namespaces/shop/egresspolicies ;;
	ClusterEgressDestination) echo clusteregressdestinations ;;
	EgressDestination) echo namespaces/shop/egressdestinations ;;
	SluiceConfig) echo sluiceconfigs ;;
	esac
}

# tried KIND SPEC [NAME]: what the server says of the object, which is not stored
tried() {
	object "$@" | kube_call admin POST "$SLUICE_API/$(plural_of "$1")?dryRun=All" application/yaml
}

# parsed KIND SPEC [NAME]: what our parser says
parsed() {
	object "$@" >"$LAB/object.yaml"
	"$BIN/sluicectl" check-config "$LAB/object.yaml"
}

# taken KIND SPEC [NAME]: by both
taken() {
	run tried "$@"
	[ "$status" -eq 0 ] || lab_fail "the server refuses $*: $output"
	run parsed "$@"
	[ "$status" -eq 0 ] || lab_fail "the parser refuses $*: $output"
}

# refused WORDS KIND SPEC [NAME]: by both, the server naming WORDS; "cel: WORDS" where only CEL can
refused() {
	local words=$1
	shift
	run parsed "$@"
	[ "$status" -ne 0 ] || lab_fail "the parser takes $*: $output"
	run tried "$@"
	if [[ $words == cel:* ]] && ! kube_has_cel; then
		[ "$status" -eq 0 ] || lab_fail "a server without CEL refuses $*: $output"
		return 0
	fi
	words=${words#cel: }
	[ "$status" -ne 0 ] || lab_fail "the server takes $*"
	# 1.20 does not say which item of a list
	[[ $(grep -v '^curl: ' <<<"$output" | jq -r '.message | gsub("\\[[0-9]+\\]"; "")') == *"$words"* ]] || lab_fail "$* is refused otherwise: $output"
}
in_rule() { refused "$1" EgressPolicy "{subject: {podSelector: {}}, rules: [$2]}"; }

@test "the definitions are what conf/crds/generate writes, and structural" {
	"$TOP/conf/crds/generate" --check
	run -0 kube_get /apis/apiextensions.k8s.io/v1/customresourcedefinitions
	jq -e '[.items[].status.conditions[] | select(.status == "True") | .type] |
		length == 12 and all(. == "Established" or . == "NamesAccepted")' <<<"$output"
	jq -e '.items | all(.status.storedVersions == ["v1alpha1"] and .spec.conversion.strategy == "None" and
		.spec.preserveUnknownFields != true)' <<<"$output"
}

@test "short names, the category, scopes and the status subresource are served" {
	run -0 kube_get "$SLUICE_API"
	same "what is served" "clusteregressdestinations slced false
clusteregresspolicies slcep false
egressdestinations sled true
egressgateways slgw false
egresspolicies slep true
sluiceconfigs  false" "$(jq -r '.resources[] | select(.categories == ["sluice"]) |
		"\(.name) \(.shortNames // [] | join(",")) \(.namespaced)"' <<<"$output" | sort)"
	same "subresources" 6 "$(jq '[.resources[] | select(.name | endswith("/status"))] | length' <<<"$output")"
}

@test "every sample is taken by the server, and read again as it is stored" {
	mkdir "$LAB/stored"
	for sample in "$TOP"/conf/samples/*.yaml; do
		kube_apply "$sample"
	done
	for plural in "${KUBE_KINDS[@]}"; do
		# items of a list of custom resources say their kind themselves
		kube_get "$SLUICE_API/$plural" | jq '.apiVersion = "v1" | .kind = "List"' >"$LAB/stored/$plural.json"
	done
	kube_delete "$SLUICE_API/sluiceconfigs/default" >/dev/null
	[ "$(jq -s '[.[].items[]] | length' "$LAB"/stored/*.json)" -ge 11 ]
	"$BIN/sluicectl" check-config "$LAB/stored"
}

@test "what the administrator should read in an object is stored as a default, and nothing else" {
	run -0 tried ClusterEgressPolicy '{subject: {podSelector: {}}, rules: [{action: Deny, via: {gateway: a}}]}'
	same policy '{"existingConnections":"Keep","mode":"Enforce","priority":500,"rules":[{"action":"Deny","via":{"gateway":"a"}}],"subject":{"podSelector":{}},"tier":"Admin"}' \
		"$(jq -cS .spec <<<"$output")"
	run -0 tried EgressGateway '{addresses: [{range: 203.0.113.10}], tunnel: {}}'
	same gateway '{"addresses":[{"range":"203.0.113.10"}],"announce":"ARP","spread":"Policy","tunnel":{}}' \
		"$(jq -cS .spec <<<"$output")"
	run -0 tried SluiceConfig '{dns: {resolvers: [10.96.0.10]}}'
	same config '{"dns":{"resolvers":["10.96.0.10"]}}' "$(jq -cS .spec <<<"$output")"
}

@test "status is written apart from spec, and spec apart from status" {
	local plural kind spec path
	while read -r plural kind spec; do
		path=$SLUICE_API/$plural/$([ "$kind" = SluiceConfig ] && echo default || echo truth)
		object "$kind" "$spec" "${path##*/}" | kube_apply
		kube_write_status "$path" '{"observedGeneration": 1, "conditions": [{"type": "Accepted", "status": "False",
			"reason": "Invalid", "message": "spec.rules[0]: no", "observedGeneration": 1,
			"lastTransitionTime": "2026-11-21T06:00:00Z"}]}' >/dev/null
		kube_call admin PATCH "$path" application/merge-patch+json \
			<<<'{"metadata": {"labels": {"a": "b"}}, "status": {"observedGeneration": 7}}' >/dev/null
		run -0 kube_get "$path"
		same "$kind" '[1,1,"Invalid","b"]' "$(jq -c '[.status.observedGeneration, .metadata.generation,
			.status.conditions[0].reason, .metadata.labels.a]' <<<"$output")"
		kube_write_status "$path" '{"conditions": []}' >/dev/null # cleared as well
		run ! kube_write_status "$path" '{"conditions": [{"type": "Accepted", "status": "Perhaps"}]}'
		[[ $output == *Unsupported\ value* && $output == *lastTransitionTime* ]]
		kube_delete "$path" >/dev/null
	done < <(smallest)
}

@test "each owner writes its own entries of a gateway's status, and takes away no others" {
	local path=$SLUICE_API/egressgateways/owned
	object EgressGateway '{addresses: [{range: 203.0.113.10-203.0.113.11}]}' owned | kube_apply
	# entry NODE ADDRESS…: what one owner applies
	entry() {
		local node=$1 address entries=''
		shift
		for address; do entries+="{address: $address, node: $node, announced: true},"; done
		kube_call admin PATCH "$path/status?fieldManager=$node&force=true" application/apply-patch+yaml <<-END >/dev/null
			{apiVersion: sluice.dev/v1alpha1, kind: EgressGateway, metadata: {name: owned}, status: {addresses: [$entries]}}
		END
	}
	carried() { kube_get "$path" | jq -r '[.status.addresses[]? | "\(.address) \(.node)"] | sort | join(", ")'; }
	entry gw1 203.0.113.10
	entry gw2 203.0.113.11
	same both "203.0.113.10 gw1, 203.0.113.11 gw2" "$(carried)"
	entry gw2 203.0.113.10 203.0.113.11 # takes over
	same "after a failover" "203.0.113.10 gw2, 203.0.113.11 gw2" "$(carried)"
	entry gw1
	same "the old owner lets go" "203.0.113.10 gw2, 203.0.113.11 gw2" "$(carried)"
	entry gw2
	same "all gone" "" "$(carried)"
}

@test "kubectl get shows the columns that api.md fixes" {
	local plural kind spec
	while read -r plural kind spec; do
		object "$kind" "$spec" "$([ "$kind" = SluiceConfig ] || echo columns)" | kube_apply
	done < <(smallest)
	kube_write_status "$SLUICE_API/egressgateways/columns" '{"addresses": [{"address": "203.0.113.10", "node": "gw1"}],
		"summary": {"addresses": "203.0.113.10,203.0.113.11", "nodes": "gw1,gw2"}, "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "All is well.",
		"lastTransitionTime": "2026-11-21T06:00:00Z"}]}' >/dev/null
	table() { KUBE_ACCEPT='application/json;as=Table;g=meta.k8s.io;v=v1' kube_get "$SLUICE_API/$1"; }
	columns() { table "$1" | jq -r '[.columnDefinitions[] | select(.priority == 0) | .name] | join(" ")'; }
	same gateways "Name Addresses Nodes Ready Age" "$(columns egressgateways)"
	same "cluster policies" "Name Tier Priority Mode Accepted Age" "$(columns clusteregresspolicies)"
	same policies "Name Priority Mode Accepted Age" "$(columns egresspolicies)"
	same destinations "Name Accepted Age" "$(columns egressdestinations)"
	same "cluster destinations" "Name Accepted Age" "$(columns clusteregressdestinations)"
	same config "Name Audit Accepted Age" "$(columns sluiceconfigs)"
	kube_delete "$SLUICE_API/sluiceconfigs/default" >/dev/null
	same cells '["columns","203.0.113.10,203.0.113.11","gw1,gw2","True"]' "$(table egressgateways/columns | jq -c '.rows[0].cells[:4]')"
}

@test "a field that nobody knows is kept, so that the daemon can refuse it" {
	local spec='{subject: {podSelector: {}}, rules: [{action: Allow, prots: [{protocol: TCP, port: 5}]}]}'
	run -0 tried EgressPolicy "$spec"
	same rules '[{"action":"Allow","prots":[{"port":5,"protocol":"TCP"}]}]' "$(jq -cS .spec.rules <<<"$output")"
	run ! parsed EgressPolicy "$spec"
	[[ $output == *"spec.rules[0].prots: unknown field"* ]]
	run -0 tried EgressPolicy '{subject: {podSelector: {matchLables: {app: a}}}}'
	same subject '{"podSelector":{"matchLables":{"app":"a"}}}' "$(jq -cS .spec.subject <<<"$output")"
}

@test "a field of a later version is kept, and the daemon says that it is not there yet" {
	local field
	for field in 'limit: {bandwidth: 10M, scope: Pod}' 'notify: {sink: soc}' 'appProtocols: [TLS, {name: HTTP}]' \
		'redirect: {address: 192.0.2.1, port: 8080}'; do
		run -0 tried EgressPolicy "{subject: {podSelector: {}}, rules: [{action: Allow, $field}]}"
		jq -e --arg f "${field%%:*}" '.spec.rules[0] | has($f)' <<<"$output"
		run ! parsed EgressPolicy "{subject: {podSelector: {}}, rules: [{action: Allow, $field}]}"
		[[ $output == *"not supported by this version"* ]]
	done
}

@test "what is at its bounds is taken by both" {
	taken EgressPolicy "{subject: {services: [a]}, priority: 0, default: {via: {node: {}}}}"
	taken EgressPolicy "{subject: {podSelector: {}}, priority: 1000, rules: [$(
		for i in {1..256}; do printf '{name: r%s, action: Allow},' "$i"; done)]}"
	taken EgressPolicy "{subject: {podSelector: {}}, rules: [{action: Pass, to: [{cidr: '2001:db8:1111:2222:3333:4444:5555:6666/128'},
		{fqdn: a.}, {fqdn: '*.a.b'}, {destination: {name: a, kind: ClusterEgressDestination}}, {destinationSelector: {}},
		{nodes: {matchExpressions: [{key: a.b/c, operator: NotIn, values: [v, w]}, {key: d, operator: Exists}]}}],
		ports: [{protocol: TCP, port: 1, endPort: 65535}, {protocol: SCTP}, {protocol: ICMP, type: 255, code: 0}]}]}"
	taken EgressPolicy "{subject: {podSelector: {}}, rules: [{via: {gateway: g, addresses: [192.0.2.1, '::ffff'], unavailable: Node},
		schedule: {windows: [{from: '23:59', to: '24:00', days: [Sun]}], startAt: '1970-01-01T00:00:00Z',
		endAt: '2026-12-31T23:59:59-11:30'}}]}"
	taken ClusterEgressPolicy "{tier: Baseline, mode: Audit, existingConnections: Reset,
		subject: {podSelector: {}, namespaceSelector: {}, nodeSelector: {}}}"
	taken EgressGateway "{addressFrom: {interface: eth0.100@if}, transport: Auto, encryption: None, tunnel: {mtu: 1280, endpoint: EgressAddress}}"
	taken EgressGateway "{addresses: [{range: '2001:db8::1-2001:db8::ff'}, {range: 192.0.2.0/25, nodeSelector: {}}], allowedNamespaces: {}}"
	taken SluiceConfig "{clusterCIDRs: [10.0.0.0/8], dns: {resolvers: ['fd00::a'], minTTL: 0s, grace: 24h}, markMask: 0xffe00000, tunnelPort: 4790}"
	taken SluiceConfig "{markMask: '0x7ff'}"
	taken EgressDestination "{cidrs: [0.0.0.0/0, '::/0'], fqdns: [x--y_z.example], ports: [{protocol: UDP, port: 53}]}"
}

@test "a policy that is not valid is refused by both, the server naming the place" {
	refused 'spec.subject: Required' EgressPolicy '{}'
	refused 'spec.subject' EgressPolicy '{subject: {}}'
	refused 'spec.subject' EgressPolicy '{subject: {podSelector: {}, services: [a]}}'
	refused 'spec.subject.services' EgressPolicy '{subject: {services: []}}'
	refused 'Duplicate value' EgressPolicy '{subject: {services: [a, a]}}'
	refused 'spec.priority' EgressPolicy '{subject: {podSelector: {}}, priority: 1001}'
	refused 'spec.priority' EgressPolicy '{subject: {podSelector: {}}, priority: -1}'
	refused 'spec.mode: Unsupported value: "Try"' EgressPolicy '{subject: {podSelector: {}}, mode: Try}'
	refused 'spec.tier: Unsupported value' ClusterEgressPolicy '{subject: {podSelector: {}}, tier: Namespace}'
	refused 'spec.default' EgressPolicy '{subject: {podSelector: {}}, default: {}}'
	refused 'spec.rules' EgressPolicy '{subject: {podSelector: {}}, rules: []}'
	refused 'spec.rules' EgressPolicy "{subject: {podSelector: {}}, rules: [$(
		for i in {1..257}; do printf '{action: Allow},'; done)]}"
	refused 'cel: names of rules are unique' EgressPolicy \
		'{subject: {podSelector: {}}, rules: [{name: a, action: Deny}, {name: a, action: Allow}]}'
	refused 'spec.subject.podSelector.matchExpressions' EgressPolicy \
		'{subject: {podSelector: {matchExpressions: [{key: a, operator: In}]}}}'
	refused 'spec.subject.podSelector.matchExpressions' EgressPolicy \
		'{subject: {podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}}'
	refused 'spec.subject.podSelector.matchLabels' EgressPolicy '{subject: {podSelector: {matchLabels: {a: "b c"}}}}'
}

@test "a rule that is not valid is refused by both, the server naming the place" {
	in_rule 'spec.rules' '{name: empty}'
	in_rule 'spec.rules.name' '{name: "a b", action: Allow}'
	in_rule 'spec.rules.action: Unsupported value' '{action: allow}'
	in_rule 'spec.rules.to' '{action: Allow, to: []}'
	in_rule 'spec.rules.to' '{action: Allow, to: [{}]}'
	in_rule 'spec.rules.to' '{action: Allow, to: [{cidr: 192.0.2.0/24, fqdn: a.b}]}'
	in_rule 'spec.rules.to' '{action: Allow, to: [{fqdn: a.b, except: [192.0.2.0/25]}]}'
	in_rule 'cidr: Invalid value: "192.0.2.1"' '{action: Allow, to: [{cidr: 192.0.2.1}]}'
	in_rule 'cidr: Invalid value: "192.0.2.0/129"' '{action: Allow, to: [{cidr: 192.0.2.0/129}]}'
	in_rule 'fqdn: Invalid value: "a..b"' '{action: Allow, to: [{fqdn: a..b}]}'
	in_rule 'fqdn: Invalid value: "a.*.b"' '{action: Allow, to: [{fqdn: a.*.b}]}'
	in_rule 'destination.kind: Unsupported value' '{action: Allow, to: [{destination: {kind: Service, name: a}}]}'
	in_rule 'spec.rules.ports' '{action: Allow, ports: [{port: 80}]}'
	in_rule 'protocol: Unsupported value: "tcp"' '{action: Allow, ports: [{protocol: tcp}]}'
	in_rule 'port' '{action: Allow, ports: [{protocol: TCP, port: 0}]}'
	in_rule 'port' '{action: Allow, ports: [{protocol: TCP, port: 65536}]}'
	in_rule 'port' '{action: Allow, ports: [{protocol: TCP, port: "80"}]}'
	in_rule 'cel: not below it' '{action: Allow, ports: [{protocol: TCP, port: 80, endPort: 79}]}'
	in_rule 'cel: together with port' '{action: Allow, ports: [{protocol: TCP, endPort: 79}]}'
	in_rule 'cel: ICMPv6 have type and code' '{action: Allow, ports: [{protocol: ICMP, port: 8}]}'
	in_rule 'cel: SCTP have port' '{action: Allow, ports: [{protocol: SCTP, type: 8}]}'
	in_rule 'cel: together with type' '{action: Allow, ports: [{protocol: ICMP, code: 8}]}'
	in_rule 'spec.rules.via' '{via: {}}'
	in_rule 'spec.rules.via' '{via: {gateway: a, node: {}}}'
	in_rule 'cel: together with gateway' '{via: {node: {}, addresses: [192.0.2.1]}}'
	in_rule 'Duplicate value' '{via: {gateway: a, addresses: [192.0.2.1, 192.0.2.1]}}'
	in_rule 'unavailable: Unsupported value' '{via: {gateway: a, unavailable: Pass}}'
	in_rule 'spec.rules.schedule' '{action: Allow, schedule: {timeZone: UTC}}'
	in_rule 'days: Unsupported value' '{action: Allow, schedule: {windows: [{days: [Monday], from: "08:00", to: "09:00"}]}}'
	in_rule 'Duplicate value' '{action: Allow, schedule: {windows: [{days: [Mon, Mon], from: "08:00", to: "09:00"}]}}'
	in_rule 'from' '{action: Allow, schedule: {windows: [{from: "24:00", to: "09:00"}]}}'
	in_rule 'to' '{action: Allow, schedule: {windows: [{from: "08:00", to: "24:01"}]}}'
	in_rule 'cel: from and to differ' '{action: Allow, schedule: {windows: [{from: "08:00", to: "08:00"}]}}'
	in_rule 'startAt' '{action: Allow, schedule: {startAt: "tomorrow"}}'
	in_rule 'log' '{action: Allow, log: "yes"}'
}

@test "a gateway, destination or configuration that is not valid is refused by both" {
	refused 'spec' EgressGateway '{}'
	refused 'spec' EgressGateway '{addresses: [{range: 192.0.2.1}], addressFrom: {interface: eth0}}'
	refused 'spec.addresses' EgressGateway '{addresses: []}'
	refused 'range: Required' EgressGateway '{addresses: [{}]}'
	refused 'range: Invalid value' EgressGateway '{addresses: [{range: office}]}'
	refused 'interface' EgressGateway '{addressFrom: {interface: a/b}}'
	refused 'interface' EgressGateway '{addresses: [{range: 192.0.2.1}], interface: longer-than-15-b}'
	refused 'spec.announce: Unsupported value' EgressGateway '{addresses: [{range: 192.0.2.1}], announce: RIP}'
	refused 'mtu' EgressGateway '{addresses: [{range: 192.0.2.1}], tunnel: {mtu: 1279}}'
	refused 'spec' EgressDestination '{}'
	refused 'spec' EgressDestination '{ports: [{protocol: TCP}]}'
	refused 'spec.cidrs' ClusterEgressDestination '{cidrs: []}'
	refused 'cidrs' ClusterEgressDestination '{cidrs: [example.com]}'
	refused 'metadata.name' SluiceConfig '{}' other
	refused 'resolvers: Required' SluiceConfig '{dns: {}}'
	refused 'minTTL' SluiceConfig '{dns: {resolvers: [192.0.2.1], minTTL: 30}}'
	refused 'minTTL' SluiceConfig '{dns: {resolvers: [192.0.2.1], minTTL: 1s1m}}'
	refused 'tunnelPort' SluiceConfig '{tunnelPort: 4789}'
	refused 'markMask' SluiceConfig '{markMask: 0}'
	refused 'markMask' SluiceConfig '{markMask: ffe00000}'
}
