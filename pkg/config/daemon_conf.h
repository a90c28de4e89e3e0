/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * sluiced's and sluicectl's settings: built-in defaults, then --config FILE (YAML,
 * keys in camelCase as named here), then flags. Unknown keys are refused.
 */
#include <stdbool.h>

#include "base/err.h"
#include "base/log.h"
#include "inet/cidr.h"

struct json;

struct daemon_conf {
	char *node_name;  /* nodeName; default: the host name */
	char *policy_dir; /* policyDir; not read when objects come from an API */
	char *kubeconfig; /* kubeconfig: a file; NULL, the default: none */
	bool kubernetes;  /* kubernetes: true: the API of the cluster that this is a pod of */
	char *namespace;  /* namespace: where the Lease is; NULL: the pod's own, else
			     the kubeconfig's */
	char *state_dir;  /* stateDir */
	char *run_dir;	  /* runDir */
	char *bpffs;	  /* bpffs */
	struct cidr *cluster_cidrs; /* clusterCIDRs; empty: from SluiceConfig, Node podCIDRs */
	size_t n_cluster_cidrs;
	char **source_exempt; /* sourceCheckExemptNamespaces: virtual machines, keepalived; default
				 none */
	size_t n_source_exempt;
	char *event_log; /* eventLog: where rules with `log` tell their connections; "-" = standard
			    output, the default */
	char *cni_conf_dir;	/* cniConfDir: the daemon keeps our list there current; NULL: no */
	char *cni_bin_dir;	/* cniBinDir: where runtimes look for plugins */
	struct json *cni_entry; /* cniEntry: our entry in the list; NULL: as sluiced install says */
	char *gateway_key_file; /* gatewayKeyFile: what gateways prove by who they are; NULL:
				   without heartbeats, unless: */
	bool node_taint;	/* nodeTaint: take sluice.dev/not-ready off the Node when ready */
	bool docker_user;	/* dockerUser: a rule of ours in the chain DOCKER-USER */
	bool gateway_insecure;	/* gatewayInsecure: heartbeats that anybody could forge */
	uint16_t gateway_port;	/* gatewayPort: UDP and TCP, the same on all gateways */
	/* metricsAddress: "127.0.0.1:5347", "[fd00::1]:5347"; ":5347": all addresses */
	struct addr metrics_addr;
	uint16_t metrics_port; /* 0, the default: none are served */
	enum log_level log_level;
	enum log_format log_format;
};

#define CONF_FILE	  "/etc/sluice/sluiced.yaml"
#define CONF_POLICY_DIR	  "/etc/sluice/policies.d"
#define CONF_STATE_DIR	  "/var/lib/sluice"
#define CONF_RUN_DIR	  "/run/sluice"
#define CONF_BPFFS	  "/sys/fs/bpf/sluice"
#define CONF_CNI_CONF_DIR "/etc/cni/net.d"
#define CONF_GATEWAY_PORT 5348
#define CONF_CNI_BIN_DIR  "/opt/cni/bin"

/* Objects come from an API, not from policyDir. */
static inline bool daemon_conf_from_api(const struct daemon_conf *c)
{
	return c->kubeconfig || c->kubernetes;
}

/* Gateways tell each other that they live. */
static inline bool daemon_conf_heartbeats(const struct daemon_conf *c)
{
	return c->gateway_key_file || c->gateway_insecure;
}

void daemon_conf_init(struct daemon_conf *c);
void daemon_conf_done(struct daemon_conf *c);
/*
 * path NULL: CONF_FILE, and it need not be there. Read by whoever starts sluiced: the
 * plugin's `sluiced --once` must be the same node as the unit's.
 */
int daemon_conf_load(struct daemon_conf *c, const char *path, struct err *e);

/* Reads the value of --metrics-address or metricsAddress into metrics_addr and _port. -EINVAL. */
int daemon_conf_metrics(struct daemon_conf *c, const char *value, struct err *e);

/*
 * Checks an entry of ours for the conflist that an administrator gave: an object whose "type" is
 * ours or absent, with keys and values that the plugin takes. *ret is the caller's. -EINVAL.
 */
int cni_entry_parse(const struct json *j, struct json **ret, struct err *e);
