/* SPDX-License-Identifier: Apache-2.0 */
/* sluicectl: what the operator of a node asks and is told. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/version.h"
#include "ctl.h"

VERSION_MARKED;

#define CLUSTER_PROGRAM "kubectl-sluice"

static const struct verb *const verbs[] = {
	&verb_status,	&verb_gateways, &verb_policies, &verb_bindings,	      &verb_explain,
	&verb_counters, &verb_names,	&verb_rules,	&verb_check_config,   &verb_lint,
	&verb_diff,	&verb_drain,	&verb_undrain,	&verb_support_bundle, &verb_init,
};

/*
 * A cluster is asked by a program of its own, so that this one, which a probe starts every few
 * seconds, does not load libcurl and the thirty libraries behind it. It lies beside this one.
 */
static int cluster_run(struct ctl *ctl)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	__cleanup_free char *path = NULL;
	struct err e = {0};
	char *slash;

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	path = mem_printf("%.*s" CLUSTER_PROGRAM, slash ? (int)(slash - self) + 1 : 0, self);
	execv(path, ctl->argv);
	err_sys(&e, -errno, "%s, which asks clusters", path);
	return ctl_fail(&e);
}

static int run(struct ctl *ctl, const struct verb *v)
{
	return ctl->kubeconfig || ctl->context ? cluster_run(ctl) : v->run(ctl);
}

int main(int argc, char **argv)
{
	static const struct tool tool = {
		.name = "sluicectl",
		.what = "Shows what Sluice does on this node, and why.",
		.verbs = verbs,
		.n = sizeof(verbs) / sizeof(*verbs),
		.run = run,
	};

	return ctl_main(&tool, argc, argv);
}
