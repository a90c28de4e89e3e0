/* SPDX-License-Identifier: Apache-2.0 */
#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "ctl.h"
#include "policy/explain.h"
#include "state/journal.h"
#include "text.h"

DEFINE_CLEANUP(struct rtnl *, rtnl_close);
DEFINE_CLEANUP(struct journal *, journal_close);

static void record_unread(const char *name, const struct err *e, void *data)
{
	ctl_warn("a pod is left out: %s", e->msg);
}

/* journal_open makes folders that are missing: only what exists is read here. */
static int records_read(const struct daemon_conf *conf, struct view *v)
{
	__cleanup_free char *folder = mem_printf("%s/attachments", conf->state_dir);
	__cleanup(journal_closep) struct journal *j = NULL;
	int r;

	if (access(folder, R_OK | X_OK) < 0)
		return err_sys(&v->records_err, -errno, "%s", folder);
	r = journal_open(conf->state_dir, conf->run_dir, &j, &v->records_err);
	if (r == 0)
		r = journal_list(j, &v->records, &v->n_records, record_unread, NULL,
				 &v->records_err);
	v->records_err.code = r;
	return r;
}

static int compile_with(struct view *v, const struct daemon_conf *conf, const struct cidr *cidrs,
			size_t n, struct err *e)
{
	struct node_view node = {
		.name = conf->node_name,
		.ifaces = v->node->ifaces,
		.n_ifaces = v->node->n_ifaces,
		.cluster_cidrs = cidrs,
		.n_cluster_cidrs = n,
		.now = v->at,
	};

	return policy_compile(v->policies.set, &node, &v->compiled, e);
}

/* As the daemon does: what was said, else what shows on this node, else sluice0's own address. */
static int view_compile(struct view *v, const struct daemon_conf *conf, struct err *e)
{
	__cleanup_free struct cidr *derived = NULL;
	struct cidr own;
	size_t n = 0;

	if (compile_with(v, conf, conf->cluster_cidrs, conf->n_cluster_cidrs, NULL) == 0)
		return 0;
	node_derive_cidrs(v->node, v->records, v->n_records, &derived, &n);
	if (n)
		return compile_with(v, conf, derived, n, e);
	cidr_parse("169.254.83.1/32", &own);
	return compile_with(v, conf, &own, 1, e);
}

static int node_read(struct view *v, struct err *e)
{
	__cleanup(rtnl_closep) struct rtnl *rtnl = NULL;
	int r = rtnl_open(-1, &rtnl, e);

	if (r == 0)
		r = node_observe(rtnl, &v->node, e);
	return r;
}

int view_image(struct view *v, const struct daemon_conf *conf, struct err *e)
{
	struct image_info info = {
		.source_exempt = (const char *const *)conf->source_exempt,
		.n_source_exempt = conf->n_source_exempt,
	};
	size_t len = 0;
	int r;

	free(TAKE(v->image_data));
	if (!v->policies.objects)
		info.fingerprint = v->policies.fingerprint ? v->policies.fingerprint : 1;
	r = image_build(v->compiled, &info, NULL, 0, &v->image_data, &len);
	return r == 0 ? image_open(&v->image, v->image_data, len, e) : r;
}

static int view_fill(struct view *v, const struct daemon_conf *conf, struct err *e)
{
	__cleanup_close int state_fd = open(conf->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	records_read(conf, v);
	r = policies_read(&v->policies, conf->policy_dir, state_fd, e);
	if (r == 0)
		r = node_read(v, e);
	if (r == 0)
		r = view_compile(v, conf, e);
	return r == 0 ? view_image(v, conf, e) : r;
}

int view_open(const struct daemon_conf *conf, int64_t at, struct view *ret, struct err *e)
{
	int r;

	*ret = (struct view){.at = at};
	r = view_fill(ret, conf, e);
	if (r < 0)
		view_done(ret);
	return r;
}

void view_done(struct view *v)
{
	compiled_free(v->compiled);
	node_free(v->node);
	policies_done(&v->policies);
	free(v->image_data);
	records_free(v->records, v->n_records);
	json_free(v->carriers);
	*v = (struct view){0};
}

const char *view_owner(const struct view *v, const struct egress_addr *a)
{
	return v->carriers ? text_of(json_get(v->carriers, addr_str(a->addr)), "node") : a->owner;
}

const char *view_since(const struct view *v, const struct egress_addr *a)
{
	return v->carriers ? text_of(json_get(v->carriers, addr_str(a->addr)), "since") : NULL;
}

void view_warn(const struct view *v, const struct daemon_conf *conf)
{
	if (!v->policies.objects && !v->policies.last_good && access(conf->policy_dir, F_OK) < 0)
		ctl_warn("there are no policies: %s: %s", conf->policy_dir, strerror(errno));
	if (v->policies.objects && strcmp(conf->policy_dir, CONF_POLICY_DIR) != 0)
		ctl_warn("what the API told last is shown, not %s: for the folder, name another "
			 "--state-dir",
			 conf->policy_dir);
	if (v->policies.last_good)
		ctl_warn("the last good policies are in force: %s", v->policies.err.msg);
}

const char *policy_title(const struct doc_policy *p)
{
	static char ring[4][2 * DOC_MAX_NAME + 32];
	static unsigned int next;
	char *buf = ring[next++ % 4];

	if (p->meta.kind == DOC_CLUSTER_EGRESS_POLICY)
		snprintf(buf, sizeof(ring[0]), "ClusterEgressPolicy %s", p->meta.name);
	else
		snprintf(buf, sizeof(ring[0]), "EgressPolicy %s/%s", p->meta.namespace,
			 p->meta.name);
	return buf;
}

const char *rule_action_text(const struct flat_rule *r)
{
	return rule_action_name(r->rule ? r->rule->action : r->policy->default_action);
}

const char *rule_via_text(const struct flat_rule *r)
{
	const struct doc_via *via = r->rule ? &r->rule->via : &r->policy->default_via;

	if (via->kind == VIA_NONE)
		return NULL;
	return via->kind == VIA_NODE ? "node" : via->gateway;
}
