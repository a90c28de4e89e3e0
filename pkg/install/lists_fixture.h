/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What main CNIs write, in their shapes: kindnet, flannel, Calico, Cilium, AWS, bridge, Multus. */

#define KINDNET                                                                               \
	"\n{\n\t\"cniVersion\": \"0.3.1\",\n\t\"name\": \"kindnet\",\n\t\"plugins\": [\n\t{"  \
	"\n\t\t\"type\": \"ptp\",\n\t\t\"ipMasq\": false,\n\t\t\"ipam\": {\n\t\t\t\"type\": " \
	"\"host-local\",\n\t\t\t\"dataDir\": \"/run/cni-ipam-state\",\n\t\t\t\"routes\": [{ " \
	"\"dst\": \"0.0.0.0/0\" }],\n\t\t\t\"ranges\": [[{ \"subnet\": \"10.244.1.0/24\" }]]" \
	"\n\t\t},\n\t\t\"mtu\": 1500\n\t},\n\t{\n\t\t\"type\": \"portmap\",\n\t\t"            \
	"\"capabilities\": {\"portMappings\": true}\n\t}\n\t]\n}\n"

#define FLANNEL                                                                             \
	"{\n  \"name\": \"cbr0\",\n  \"cniVersion\": \"0.3.1\",\n  \"plugins\": [\n    {\n" \
	"      \"type\": \"flannel\",\n      \"delegate\": {\"hairpinMode\": true, "        \
	"\"isDefaultGateway\": true}\n    },\n    {\n      \"type\": \"portmap\",\n"        \
	"      \"capabilities\": {\"portMappings\": true}\n    }\n  ]\n}\n"

#define CALICO                                                                                  \
	"{\n  \"name\": \"k8s-pod-network\",\n  \"cniVersion\": \"0.3.1\",\n  \"plugins\": ["   \
	"\n    {\n      \"type\": \"calico\",\n      \"log_level\": \"info\",\n      "          \
	"\"datastore_type\": \"kubernetes\",\n      \"nodename\": \"worker-1\",\n      "        \
	"\"mtu\": 0,\n      \"ipam\": {\"type\": \"calico-ipam\"},\n      \"policy\": "         \
	"{\"type\": \"k8s\"},\n      \"kubernetes\": {\"kubeconfig\": "                         \
	"\"/etc/cni/net.d/calico-kubeconfig\"}\n    },\n    {\"type\": \"portmap\", \"snat\": " \
	"true, \"capabilities\": {\"portMappings\": true}},\n    {\"type\": \"bandwidth\", "    \
	"\"capabilities\": {\"bandwidth\": true}}\n  ]\n}"

#define CILIUM                                                                             \
	"{\n  \"cniVersion\": \"0.3.1\",\n  \"name\": \"cilium\",\n  \"plugins\": [\n    " \
	"{\n       \"type\": \"cilium-cni\",\n       \"enable-debug\": false,\n       "    \
	"\"log-file\": \"/var/run/cilium/cilium-cni.log\"\n    }\n  ]\n}\n"

#define AWS                                                                                     \
	"{\"cniVersion\":\"0.4.0\",\"name\":\"aws-cni\",\"disableCheck\":true,\"plugins\":["    \
	"{\"name\":\"aws-cni\",\"type\":\"aws-cni\",\"vethPrefix\":\"eni\",\"mtu\":\"9001\","   \
	"\"podSGEnforcingMode\":\"strict\",\"pluginLogFile\":\"/var/log/aws-routed-eni/plugin." \
	"log\",\"pluginLogLevel\":\"DEBUG\",\"capabilities\":{\"io.kubernetes.cri.pod-"         \
	"annotations\":true}},{\"name\":\"egress-cni\",\"type\":\"egress-cni\",\"mtu\":"        \
	"\"9001\",\"enabled\":\"false\",\"nodeIP\":\"10.0.1.7\",\"ipam\":{\"type\":"            \
	"\"host-local\",\"ranges\":[[{\"subnet\":\"fd00::ac:00/118\"}]],\"routes\":[{\"dst\":"  \
	"\"::/0\"}],\"dataDir\":\"/run/cni/v4pd/egress-v6-ipam\"}},{\"type\":\"portmap\","      \
	"\"capabilities\":{\"portMappings\":true},\"snat\":true}]}"

/* One plugin, no list. */
#define BRIDGE_CONF                                                                          \
	"{\"cniVersion\": \"1.0.0\", \"name\": \"containers\", \"type\": \"bridge\", "       \
	"\"bridge\": \"cni0\", \"isGateway\": true, \"ipMasq\": true, \"ipam\": {\"type\": " \
	"\"host-local\", \"subnet\": \"10.88.0.0/16\"}, \"mtu\": 1.5e3}"

#define NEWEST                                                                             \
	"{\"cniVersions\": [\"0.4.0\", \"1.1.0\", \"1.2.0\"], \"cniVersion\": \"1.0.0\", " \
	"\"name\": \"new\", \"disableGC\": true, \"loadOnlyInlinedPlugins\": true, "       \
	"\"vendor.example/x\": [1, 2.50, null], \"plugins\": [{\"type\": \"ptp\"}]}"

#define MULTUS_THIN(delegate)                                                      \
	"{\"cniVersion\": \"0.3.1\", \"name\": \"multus-cni-network\", \"type\": " \
	"\"multus\", \"capabilities\": {\"portMappings\": true}, \"kubeconfig\": " \
	"\"/etc/cni/net.d/multus.d/multus.kubeconfig\", \"delegates\": [" delegate "]}"

#define MULTUS_THICK(file)                                                               \
	"{\"cniVersion\": \"0.3.1\", \"logLevel\": \"verbose\", \"name\": \"multus-cni-" \
	"network\", \"clusterNetwork\": \"" file "\", \"type\": \"multus-shim\"}"
