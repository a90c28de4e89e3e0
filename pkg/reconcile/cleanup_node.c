/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking everything away: the plan towards an empty model. The configuration goes
 * first, and with it every mark: governed pods are dropped until they are let go.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/loader.h"
#include "bpf/maps.h"
#include "kernel/docker_user.h"
#include "kernel/tc.h"
#include "reconcile/priv.h"

static int doors_open(const struct daemon_conf *conf, struct dp_kernel *k, struct err *e)
{
	int rc;

	rc = rtnl_open(-1, &k->rtnl, e);
	if (rc == 0)
		rc = nft_open(&k->nft, e);
	if (rc < 0)
		return rc;
	rc = bpf_pins_open(conf->bpffs, &k->pins, e);
	return rc == -ENOENT ? 0 : rc;
}

static void doors_close(struct dp_kernel *k)
{
	bpf_pins_close(k->pins);
	nft_close(k->nft);
	rtnl_close(k->rtnl);
}

/* An interface whose pod was deleted has the program and no map entry (dp_close). */
static int programs_sweep(const struct node_state *node, struct err *e)
{
	const char *name = bpf_prog_name(BPF_PROG_FROM_POD);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < node->n_links; i++)
		rc = tc_detach(node->links[i].ifindex, TC_DIR_INGRESS, name, e);
	return rc;
}

static int kernel_empty(const struct dp_kernel *k, struct err *e)
{
	__cleanup(dp_model_freep) struct dp_model *nothing = dp_model_new();
	__cleanup(dp_model_freep) struct dp_model *observed = NULL;
	__cleanup(node_freep) struct node_state *node = NULL;
	__cleanup(dp_plan_freep) struct dp_plan *plan = NULL;
	struct dp_observe_in in = {.want = nothing};
	struct dp_outcome out;
	int rc;

	rc = node_observe(k->rtnl, &node, e);
	if (rc < 0)
		return rc;
	in.addrs = node->addrs;
	in.n_addrs = node->n_addrs;
	rc = dp_observe(k, &in, &observed, e);
	if (rc < 0)
		return rc;
	plan = dp_plan_new(nothing, observed, NULL);
	rc = dp_apply(k, plan, &out);
	if (rc < 0) {
		if (e)
			*e = out.err;
		return rc;
	}
	return programs_sweep(node, e);
}

int reconcile_cleanup(const struct daemon_conf *conf, struct err *e)
{
	__cleanup(doors_close) struct dp_kernel k = {0};
	unsigned int none;
	int docker = 0, rc = doors_open(conf, &k, e);

	if (rc == 0)
		rc = kernel_empty(&k, e);
	if (rc == 0)
		docker = docker_user_apply(k.nft, 0, &none, e);
	if (rc == 0)
		rc = bpf_unload(conf->bpffs, docker < 0 ? NULL : e);
	return rc < 0 ? rc : docker;
}
