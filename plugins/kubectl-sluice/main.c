/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kubectl-sluice: what sluicectl tells of a node, of a whole cluster. As `kubectl sluice`, or
 * whenever sluicectl is given a kubeconfig. Where there is no kubeconfig and the daemon of this
 * machine answers, it tells what sluicectl would.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/version.h"
#include "cluster.h"

VERSION_MARKED;

static const struct verb *const verbs[] = {
	&verb_status,	      &verb_gateways, &verb_policies, &verb_bindings, &verb_explain,
	&verb_support_bundle, &verb_counters, &verb_names,    &verb_rules,    &verb_check_config,
	&verb_lint,	      &verb_diff,     &verb_drain,    &verb_undrain,  &verb_init,
};

static const struct {
	const struct verb *verb;
	int (*run)(struct ctl *ctl);
} of_clusters[] = {
	{&verb_status, cluster_status},	    {&verb_gateways, cluster_gateways},
	{&verb_policies, cluster_policies}, {&verb_bindings, cluster_bindings},
	{&verb_explain, cluster_explain},   {&verb_support_bundle, cluster_support_bundle},
};

static int (*cluster_run_of(const struct verb *v))(struct ctl *)
{
	for (size_t i = 0; i < sizeof(of_clusters) / sizeof(*of_clusters); i++)
		if (of_clusters[i].verb == v)
			return of_clusters[i].run;
	return NULL;
}

static bool is_configured(const struct ctl *ctl)
{
	__cleanup_free char *paths = api_kubeconfigs(ctl);

	return paths != NULL;
}

static bool daemon_is_here(const struct ctl *ctl)
{
	__cleanup_free char *path = mem_printf("%s/sluiced.sock", ctl->conf.run_dir);

	return access(path, F_OK) == 0;
}

static int run(struct ctl *ctl, const struct verb *v)
{
	int (*of_cluster)(struct ctl *) = cluster_run_of(v);
	bool named = ctl->kubeconfig || ctl->context;

	if (!of_cluster && named) {
		ctl_warn("'%s' is known on each node only: kubectl -n sluice-system exec POD -- "
			 "sluicectl %s",
			 v->name, v->name);
		return CTL_USAGE;
	}
	if (of_cluster && (named || is_configured(ctl) || !daemon_is_here(ctl)))
		return of_cluster(ctl);
	return v->run(ctl);
}

int main(int argc, char **argv)
{
	static const struct tool tool = {
		.name = "kubectl sluice",
		.what = "Shows what Sluice does in a cluster (the first six), and on this node.",
		.verbs = verbs,
		.n = sizeof(verbs) / sizeof(*verbs),
		.run = run,
	};

	return ctl_main(&tool, argc, argv);
}
