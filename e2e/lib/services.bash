# shellcheck shell=bash
# Services without a cluster: what kube-proxy would write, and objects of those that lead outside.

# services NODE RULE…: DNAT as kube-proxy does it, in prerouting and output; FAMILY=ip6
services() {
	local node=$1 rule
	shift
	{
		echo "table ${FAMILY:-ip} services {"
		echo "chain pre { type nat hook prerouting priority dstnat;"
		for rule; do echo "$rule"; done
		echo "}; chain out { type nat hook output priority -100;"
		for rule; do echo "$rule"; done
		echo "}; }"
	} | on "$node" nft -f -
}

# service_outside NAME CLUSTERIP ENDPOINT…: port 53, UDP and TCP, is $PORT there; PORTS: more of each port
service_outside() {
	local name=$1 ip=$2
	shift 2
	policy "60-$name.yaml" <<-END
		apiVersion: v1
		kind: Service
		metadata: {name: $name, namespace: default}
		spec: {clusterIP: "$ip", ports: [{name: q, port: 53, protocol: UDP${PORTS:+, $PORTS}}, {name: t, port: 53, protocol: TCP${PORTS:+, $PORTS}}]}
		---
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata: {name: $name-1, namespace: default, labels: {kubernetes.io/service-name: $name}}
		addressType: $([[ $ip = *:* ]] && echo IPv6 || echo IPv4)
		endpoints: [$(printf '{addresses: ["%s"]}, ' "$@")]
		ports: [{name: q, port: $PORT, protocol: UDP}, {name: t, port: $PORT, protocol: TCP}]
	END
}
