/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ctl.h"

const char ctl_options_help[] =
	"Options of all verbs:\n"
	"  -o, --output FORMAT  table (default), wide or json\n"
	"  --kubeconfig FILE    ask that cluster, as kubectl would, not this node\n"
	"  --context NAME       the same, with that context of the kubeconfig\n"
	"  --config FILE        sluiced's settings (default: " CONF_FILE ");\n"
	"                       the options below override it\n"
	"  --node-name NAME     judge as that node (default: the host name)\n"
	"  --policy-dir DIR     folder of policies (default: " CONF_POLICY_DIR ")\n"
	"  --state-dir DIR      records and last good policies (default: " CONF_STATE_DIR ")\n"
	"  --run-dir DIR        the daemon's socket (default: " CONF_RUN_DIR ")\n"
	"  --bpffs DIR          pinned maps (default: " CONF_BPFFS ")\n"
	"  --cluster-cidr CIDR  pods and Services of the cluster; may be repeated\n"
	"  -h, --help; --version\n"
	"\n"
	"Exit status: 0 done, 1 failed or not as it should be, 2 wrong use, 3 not ready.\n";

enum option_id {
	OPT_CONFIG = 256,
	OPT_NODE_NAME,
	OPT_POLICY_DIR,
	OPT_STATE_DIR,
	OPT_RUN_DIR,
	OPT_BPFFS,
	OPT_CLUSTER_CIDR,
	OPT_LABELS,
	OPT_PROTO,
	OPT_PORT,
	OPT_AT,
	OPT_FQDN,
	OPT_HITS,
	OPT_ALL,
	OPT_FORCE,
	OPT_STRICT,
	OPT_POD,
	OPT_KUBECONFIG,
	OPT_CONTEXT,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{"output", required_argument, NULL, 'o'},
	{"config", required_argument, NULL, OPT_CONFIG},
	{"node-name", required_argument, NULL, OPT_NODE_NAME},
	{"policy-dir", required_argument, NULL, OPT_POLICY_DIR},
	{"state-dir", required_argument, NULL, OPT_STATE_DIR},
	{"run-dir", required_argument, NULL, OPT_RUN_DIR},
	{"bpffs", required_argument, NULL, OPT_BPFFS},
	{"cluster-cidr", required_argument, NULL, OPT_CLUSTER_CIDR},
	{"labels", required_argument, NULL, OPT_LABELS},
	{"proto", required_argument, NULL, OPT_PROTO},
	{"port", required_argument, NULL, OPT_PORT},
	{"at", required_argument, NULL, OPT_AT},
	{"fqdn", required_argument, NULL, OPT_FQDN},
	{"hits", no_argument, NULL, OPT_HITS},
	{"all", no_argument, NULL, OPT_ALL},
	{"force", no_argument, NULL, OPT_FORCE},
	{"strict", no_argument, NULL, OPT_STRICT},
	{"pod", required_argument, NULL, OPT_POD},
	{"kubeconfig", required_argument, NULL, OPT_KUBECONFIG},
	{"context", required_argument, NULL, OPT_CONTEXT},
	{"namespace", required_argument, NULL, 'n'},
	{"all-namespaces", no_argument, NULL, 'A'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPT_VERSION},
	{0},
};

/* Options that only some verbs have. */
static const struct {
	int id;
	const char *name, *verbs[3];
} own_options[] = {
	{OPT_LABELS, "labels", {"explain", "diff"}},
	{OPT_PROTO, "proto", {"explain"}},
	{OPT_PORT, "port", {"explain"}},
	{OPT_AT, "at", {"explain"}},
	{OPT_FQDN, "fqdn", {"explain"}},
	{OPT_HITS, "hits", {"rules"}},
	{OPT_ALL, "all", {"counters"}},
	{OPT_FORCE, "force", {"init"}},
	{OPT_STRICT, "strict", {"lint"}},
	{OPT_POD, "pod", {"diff"}},
	{'n', "namespace", {"policies", "bindings", "explain"}},
	{'A', "all-namespaces", {"policies", "bindings"}},
};

/* An option as it stood on the command line: all are read before any is believed. */
struct given {
	int id;
	const char *value;
};

struct given_list {
	struct given *items;
	size_t n;
};

static void given_done(struct given_list *g)
{
	free(g->items);
}

static int unknown(const char *given, struct err *e)
{
	const char *names[sizeof(long_options) / sizeof(*long_options)], *meant = NULL;
	size_t n = 0;

	while (long_options[n].name) {
		names[n] = long_options[n].name;
		n++;
	}
	if (strncmp(given, "--", 2) == 0)
		meant = closest(given + 2, names, n);
	return err_set(e, -EINVAL, "unknown option '%s'%s%s%s", given,
		       meant ? ": did you mean '--" : "", meant ?: "", meant ? "'?" : "");
}

static int given_read(struct given_list *g, int argc, char **argv, struct err *e)
{
	int id;

	optind = 0;
	opterr = 0;
	while ((id = getopt_long(argc, argv, ":o:n:Ah", long_options, NULL)) != -1) {
		if (id == '?')
			return unknown(argv[optind - 1], e);
		if (id == ':')
			return err_set(e, -EINVAL, "option '%s' needs a value", argv[optind - 1]);
		MEM_GROW(g->items, g->n);
		g->items[g->n++] = (struct given){id, optarg};
	}
	return 0;
}

static int cidr_add(struct ctl *ctl, const char *value, struct err *e)
{
	struct daemon_conf *c = &ctl->conf;
	struct cidr cidr;
	int r = cidr_parse(value, &cidr);

	if (r)
		return err_set(e, -EINVAL, "--cluster-cidr '%s': %s", value, cidr_parse_reason(r));
	c->cluster_cidrs = mem_resize(c->cluster_cidrs, c->n_cluster_cidrs + 1,
				      sizeof(*c->cluster_cidrs));
	c->cluster_cidrs[c->n_cluster_cidrs++] = cidr;
	return 0;
}

static char **text_field(struct ctl *ctl, int id)
{
	switch (id) {
	case OPT_NODE_NAME:
		return &ctl->conf.node_name;
	case OPT_POLICY_DIR:
		return &ctl->conf.policy_dir;
	case OPT_STATE_DIR:
		return &ctl->conf.state_dir;
	case OPT_RUN_DIR:
		return &ctl->conf.run_dir;
	case OPT_BPFFS:
		return &ctl->conf.bpffs;
	case OPT_LABELS:
		return &ctl->labels;
	case OPT_PROTO:
		return &ctl->proto;
	case OPT_PORT:
		return &ctl->port;
	case OPT_AT:
		return &ctl->at;
	case OPT_FQDN:
		return &ctl->fqdn;
	case OPT_POD:
		return &ctl->pod;
	case OPT_KUBECONFIG:
		return &ctl->kubeconfig;
	case OPT_CONTEXT:
		return &ctl->context;
	case 'n':
		return &ctl->namespace;
	default:
		return NULL;
	}
}

static bool *flag_field(struct ctl *ctl, int id)
{
	switch (id) {
	case OPT_ALL:
		return &ctl->all;
	case OPT_HITS:
		return &ctl->hits;
	case OPT_FORCE:
		return &ctl->force;
	case OPT_STRICT:
		return &ctl->strict;
	case 'h':
		return &ctl->help;
	case OPT_VERSION:
		return &ctl->version;
	default:
		return NULL;
	}
}

static int given_apply(struct ctl *ctl, const struct given *g, struct err *e)
{
	char **text = text_field(ctl, g->id);
	bool *flag = flag_field(ctl, g->id);

	if (text) {
		free(*text);
		*text = mem_strdup(g->value);
	} else if (flag) {
		*flag = true;
	} else if (g->id == 'A') {
		free(TAKE(ctl->namespace));
	} else if (g->id == OPT_CLUSTER_CIDR) {
		return cidr_add(ctl, g->value, e);
	} else if (g->id == 'o') {
		ctl->json = strcmp(g->value, "json") == 0;
		ctl->wide = strcmp(g->value, "wide") == 0;
		if (!ctl->json && !ctl->wide && strcmp(g->value, "table") != 0)
			return err_set(e, -EINVAL, "--output '%s': expected table, wide or json",
				       g->value);
	}
	return 0;
}

static int own_check(const struct ctl *ctl, int id, struct err *e)
{
	for (size_t i = 0; i < sizeof(own_options) / sizeof(*own_options); i++) {
		const char *const *verbs = own_options[i].verbs;
		bool has = own_options[i].id != id;

		for (size_t k = 0; k < 3 && verbs[k]; k++)
			has = has || (ctl->verb && strcmp(ctl->verb, verbs[k]) == 0);
		if (!has)
			return err_set(e, -EINVAL, "--%s: only %s%s%s%s%s has this option",
				       own_options[i].name, verbs[0], verbs[2] ? ", " : "",
				       verbs[2] ? verbs[1] : "", verbs[1] ? " or " : "",
				       verbs[2]	  ?: verbs[1]
					     ?: "");
	}
	return 0;
}

int ctl_parse(struct ctl *ctl, int argc, char **argv, struct err *e)
{
	__cleanup(given_done) struct given_list g = {0};
	bool cidrs = false;
	int r;

	daemon_conf_init(&ctl->conf);
	r = given_read(&g, argc, argv, e);
	if (r < 0)
		return r;
	ctl->verb = optind < argc ? argv[optind++] : NULL;
	ctl->args = argv + optind;
	ctl->n_args = argc - optind;
	for (size_t i = 0; r == 0 && i < g.n; i++) {
		r = own_check(ctl, g.items[i].id, e);
		if (r == 0 && g.items[i].id == OPT_CONFIG)
			r = daemon_conf_load(&ctl->conf, g.items[i].value, e);
		if (g.items[i].id == OPT_CONFIG)
			ctl->config = g.items[i].value;
		cidrs = cidrs || g.items[i].id == OPT_CLUSTER_CIDR;
	}
	if (r == 0 && !ctl->config)
		r = daemon_conf_load(&ctl->conf, NULL, e);
	if (cidrs)
		ctl->conf.n_cluster_cidrs = 0; /* the command line's replace the file's */
	for (size_t i = 0; r == 0 && i < g.n; i++)
		r = given_apply(ctl, &g.items[i], e);
	return r;
}

void ctl_done(struct ctl *ctl)
{
	daemon_conf_done(&ctl->conf);
	free(ctl->labels);
	free(ctl->proto);
	free(ctl->port);
	free(ctl->at);
	free(ctl->fqdn);
	free(ctl->pod);
	free(ctl->kubeconfig);
	free(ctl->context);
	free(ctl->namespace);
}
