/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const char options_help[] =
	"Usage: sluiced [OPTION]…\n"
	"       sluiced install|uninstall [OPTION]…    (each has --help)\n"
	"Keeps this node's kernel in line with the Sluice policies.\n"
	"\n"
	"  --config FILE        settings (YAML; default: " CONF_FILE ", if it is there);\n"
	"                       the options below override it\n"
	"  --node-name NAME     this node's name (default: the host name)\n"
	"  --policy-dir DIR     folder of policies (default: " CONF_POLICY_DIR ")\n"
	"  --kubeconfig FILE    take objects from the API it names, not from files\n"
	"  --in-cluster         take objects from the API of the cluster it runs in\n"
	"  --namespace NAME     namespace of the Lease (default: the pod's, the kubeconfig's)\n"
	"  --state-dir DIR      records, snapshot, ids (default: " CONF_STATE_DIR ")\n"
	"  --run-dir DIR        socket and locks (default: " CONF_RUN_DIR ")\n"
	"  --bpffs DIR          pinned programs and maps (default: " CONF_BPFFS ")\n"
	"  --cluster-cidr CIDR  pods and Services of the cluster; may be repeated\n"
	"  --cni-conf-dir DIR   keep Sluice's conflist there, first and current (default: no)\n"
	"  --cni-bin-dir DIR    where runtimes look for plugins (default: " CONF_CNI_BIN_DIR ")\n"
	"  --once               bring the kernel in line, then end\n"
	"  --cleanup            remove everything of Sluice from the kernel, then end\n"
	"  --event-log FILE     where rules with log write JSON lines (default: -, standard\n"
	"                       output)\n"
	"  --metrics-address ADDRESS:PORT\n"
	"                       serve /metrics, /healthz and /readyz there, for example\n"
	"                       127.0.0.1:5347; :5347 means all addresses (default: no)\n"
	"  --log-level LEVEL    error, warn, info or debug (default: info)\n"
	"  --log-format FORMAT  logfmt or json (default: logfmt)\n"
	"  --help, --version\n"
	"\n"
	"Exit status: 0 done, 1 failed, 2 wrong use.\n";

enum option_id {
	OPT_CONFIG = 1,
	OPT_NODE_NAME,
	OPT_POLICY_DIR,
	OPT_KUBECONFIG,
	OPT_IN_CLUSTER,
	OPT_NAMESPACE,
	OPT_STATE_DIR,
	OPT_RUN_DIR,
	OPT_BPFFS,
	OPT_CLUSTER_CIDR,
	OPT_CNI_CONF_DIR,
	OPT_CNI_BIN_DIR,
	OPT_ONCE,
	OPT_CLEANUP,
	OPT_EVENT_LOG,
	OPT_METRICS_ADDRESS,
	OPT_LOG_LEVEL,
	OPT_LOG_FORMAT,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{"config", required_argument, NULL, OPT_CONFIG},
	{"node-name", required_argument, NULL, OPT_NODE_NAME},
	{"policy-dir", required_argument, NULL, OPT_POLICY_DIR},
	{"kubeconfig", required_argument, NULL, OPT_KUBECONFIG},
	{"in-cluster", no_argument, NULL, OPT_IN_CLUSTER},
	{"namespace", required_argument, NULL, OPT_NAMESPACE},
	{"state-dir", required_argument, NULL, OPT_STATE_DIR},
	{"run-dir", required_argument, NULL, OPT_RUN_DIR},
	{"bpffs", required_argument, NULL, OPT_BPFFS},
	{"cluster-cidr", required_argument, NULL, OPT_CLUSTER_CIDR},
	{"cni-conf-dir", required_argument, NULL, OPT_CNI_CONF_DIR},
	{"cni-bin-dir", required_argument, NULL, OPT_CNI_BIN_DIR},
	{"once", no_argument, NULL, OPT_ONCE},
	{"cleanup", no_argument, NULL, OPT_CLEANUP},
	{"event-log", required_argument, NULL, OPT_EVENT_LOG},
	{"metrics-address", required_argument, NULL, OPT_METRICS_ADDRESS},
	{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
	{"log-format", required_argument, NULL, OPT_LOG_FORMAT},
	{"help", no_argument, NULL, OPT_HELP},
	{"version", no_argument, NULL, OPT_VERSION},
	{0},
};

static int text_set(char **field, const char *name, const char *value, struct err *e)
{
	if (!*value)
		return err_set(e, -EINVAL, "--%s: empty", name);
	free(*field);
	*field = mem_strdup(value);
	return 0;
}

static int dir_set(char **field, const char *name, const char *value, struct err *e)
{
	if (*value != '/')
		return err_set(e, -EINVAL, "--%s '%s': expected an absolute path", name, value);
	return text_set(field, name, value, e);
}

/* The first one on the command line replaces those of the file. */
static int cidr_add(struct daemon_conf *c, const char *value, bool *first, struct err *e)
{
	struct cidr v;
	int r = cidr_parse(value, &v);

	if (r)
		return err_set(e, -EINVAL, "--cluster-cidr '%s': %s", value, cidr_parse_reason(r));
	if (*first) {
		free(c->cluster_cidrs);
		c->cluster_cidrs = NULL;
		c->n_cluster_cidrs = 0;
		*first = false;
	}
	c->cluster_cidrs = mem_resize(c->cluster_cidrs, c->n_cluster_cidrs + 1,
				      sizeof(*c->cluster_cidrs));
	c->cluster_cidrs[c->n_cluster_cidrs++] = v;
	return 0;
}

static int log_set(struct daemon_conf *c, int id, const char *value, struct err *e)
{
	if (id == OPT_LOG_LEVEL && log_level_parse(value, &c->log_level) < 0)
		return err_set(e, -EINVAL, "--log-level '%s': expected error, warn, info or debug",
			       value);
	if (id == OPT_LOG_FORMAT && log_format_parse(value, &c->log_format) < 0)
		return err_set(e, -EINVAL, "--log-format '%s': expected logfmt or json", value);
	return 0;
}

static int value_set(struct options *o, int id, const char *value, bool *first_cidr, struct err *e)
{
	struct daemon_conf *c = &o->conf;

	switch (id) {
	case OPT_NODE_NAME:
		return text_set(&c->node_name, "node-name", value, e);
	case OPT_POLICY_DIR:
		return dir_set(&c->policy_dir, "policy-dir", value, e);
	case OPT_KUBECONFIG:
		return dir_set(&c->kubeconfig, "kubeconfig", value, e);
	case OPT_IN_CLUSTER:
		c->kubernetes = true;
		return 0;
	case OPT_NAMESPACE:
		return text_set(&c->namespace, "namespace", value, e);
	case OPT_STATE_DIR:
		return dir_set(&c->state_dir, "state-dir", value, e);
	case OPT_RUN_DIR:
		return dir_set(&c->run_dir, "run-dir", value, e);
	case OPT_BPFFS:
		return dir_set(&c->bpffs, "bpffs", value, e);
	case OPT_CNI_CONF_DIR:
		return dir_set(&c->cni_conf_dir, "cni-conf-dir", value, e);
	case OPT_CNI_BIN_DIR:
		return dir_set(&c->cni_bin_dir, "cni-bin-dir", value, e);
	case OPT_EVENT_LOG:
		return strcmp(value, "-") == 0 ? text_set(&c->event_log, "event-log", value, e)
					       : dir_set(&c->event_log, "event-log", value, e);
	case OPT_METRICS_ADDRESS:
		if (daemon_conf_metrics(c, value, e) < 0)
			return err_wrap(e, "--metrics-address");
		return 0;
	case OPT_CLUSTER_CIDR:
		return cidr_add(c, value, first_cidr, e);
	case OPT_LOG_LEVEL:
	case OPT_LOG_FORMAT:
		return log_set(c, id, value, e);
	default:
		return 0;
	}
}

static enum mode mode_of(int id, enum mode now)
{
	switch (id) {
	case OPT_ONCE:
		return MODE_ONCE;
	case OPT_CLEANUP:
		return MODE_CLEANUP;
	case OPT_HELP:
		return MODE_HELP;
	case OPT_VERSION:
		return MODE_VERSION;
	default:
		return now;
	}
}

/* Two walks: the file must be read before what overrides it. */
static int walk(struct options *o, int argc, char **argv, bool config_only, struct err *e)
{
	bool first_cidr = true, config = false;
	int id, r = 0;

	optind = 0;
	opterr = 0;
	while (r == 0 && (id = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
		if (id == '?')
			return err_set(e, -EINVAL, "unknown option '%s'", argv[optind - 1]);
		if (id == ':')
			return err_set(e, -EINVAL, "option '%s' needs a value", argv[optind - 1]);
		if (config_only && id == OPT_CONFIG)
			r = daemon_conf_load(&o->conf, optarg, e);
		config |= id == OPT_CONFIG;
		if (config_only)
			continue;
		o->mode = mode_of(id, o->mode);
		r = value_set(o, id, optarg, &first_cidr, e);
	}
	if (r == 0 && config_only && !config)
		r = daemon_conf_load(&o->conf, NULL, e);
	if (r == 0 && optind < argc)
		return err_set(e, -EINVAL, "unexpected argument '%s'", argv[optind]);
	return r;
}

int options_parse(struct options *o, int argc, char **argv, struct err *e)
{
	int r;

	o->mode = MODE_RUN;
	daemon_conf_init(&o->conf);
	r = walk(o, argc, argv, true, e);
	return r < 0 ? r : walk(o, argc, argv, false, e);
}

void options_done(struct options *o)
{
	daemon_conf_done(&o->conf);
}
