/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The older way: a cls_bpf filter on the device's clsact qdisc. Filters run by
 * priority, and the first that matches ends the search unless it says "go on":
 * whatever stands before ours, a redirect to a shaping device as well as a plain
 * classification, takes its packets past us. So ours has the smallest priority
 * value there is, and when somebody has that one too (the upstream bandwidth
 * plugin's u32 with mirred), we refuse rather than be bypassed.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/tc_act/tc_mirred.h>
#include <stdio.h>
#include <string.h>

#include "kernel/rtnl_priv.h"
#include "kernel/tc_priv.h"

#define KIND_LEN 16

struct filter {
	uint32_t handle, priority, chain;
	char kind[KIND_LEN];
	char name[TC_NAME_LEN]; /* cls_bpf */
	uint32_t prog_id;	/* cls_bpf */
	char action[KIND_LEN];	/* first action's kind */
	uint32_t redirect;	/* its target, mirred only */
	bool is_table;		/* u32: a hash table, not a filter */
};

/* Where filters put their actions; other kinds are only named. */
static const struct {
	const char *kind;
	int attr;
} action_attrs[] = {
	{"u32", TCA_U32_ACT},	    {"bpf", TCA_BPF_ACT},     {"matchall", TCA_MATCHALL_ACT},
	{"flower", TCA_FLOWER_ACT}, {"basic", TCA_BASIC_ACT}, {"fw", TCA_FW_ACT},
};

static uint32_t parent_of(enum tc_dir dir)
{
	/* an `ingress` qdisc of others takes this parent too */
	return TC_H_MAKE(TC_H_CLSACT, dir == TC_DIR_INGRESS ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
}

static void parse_action(struct nlattr *list, struct filter *f)
{
	struct nlattr *first[TCA_ACT_MAX_PRIO + 1], *tb[TCA_ACT_MAX + 1], *opt[TCA_MIRRED_MAX + 1];
	struct tc_mirred mirred;

	if (rtnl_attrs_nested(list, first, TCA_ACT_MAX_PRIO) < 0 || !first[1] ||
	    rtnl_attrs_nested(first[1], tb, TCA_ACT_MAX) < 0 || !tb[TCA_ACT_KIND])
		return;
	nla_strlcpy(f->action, tb[TCA_ACT_KIND], sizeof(f->action));
	if (strcmp(f->action, "mirred") != 0 || !tb[TCA_ACT_OPTIONS] ||
	    rtnl_attrs_nested(tb[TCA_ACT_OPTIONS], opt, TCA_MIRRED_MAX) < 0 ||
	    !opt[TCA_MIRRED_PARMS] || nla_len(opt[TCA_MIRRED_PARMS]) < (int)sizeof(mirred))
		return;
	memcpy(&mirred, nla_data(opt[TCA_MIRRED_PARMS]), sizeof(mirred));
	f->redirect = mirred.ifindex;
}

static void parse_options(struct nlattr *options, struct filter *f)
{
	struct nlattr *tb[TCA_FLOWER_MAX + 1]; /* the longest of them */

	if (rtnl_attrs_nested(options, tb, TCA_FLOWER_MAX) < 0)
		return;
	if (strcmp(f->kind, "u32") == 0)
		f->is_table = tb[TCA_U32_DIVISOR] && !tb[TCA_U32_SEL];
	if (strcmp(f->kind, "bpf") == 0) {
		if (tb[TCA_BPF_NAME])
			nla_strlcpy(f->name, tb[TCA_BPF_NAME], sizeof(f->name));
		f->prog_id = rtnl_attr_u32(tb[TCA_BPF_ID], 0);
	}
	for (size_t i = 0; i < sizeof(action_attrs) / sizeof(action_attrs[0]); i++)
		if (strcmp(f->kind, action_attrs[i].kind) == 0 && tb[action_attrs[i].attr])
			parse_action(tb[action_attrs[i].attr], f);
}

static int parse_filter(struct nlmsghdr *h, void *row, const void *arg)
{
	struct filter *f = row;
	struct nlattr *tb[TCA_MAX + 1];
	const struct tcmsg *tcm = nlmsg_data(h);

	if (h->nlmsg_type != RTM_NEWTFILTER || rtnl_attrs(h, sizeof(*tcm), tb, TCA_MAX) < 0)
		return -EBADMSG;
	f->handle = tcm->tcm_handle;
	f->priority = TC_H_MAJ(tcm->tcm_info) >> 16;
	f->chain = rtnl_attr_u32(tb[TCA_CHAIN], 0);
	if (f->handle == 0 ||
	    f->chain != 0) /* a classifier's head; chains run only when jumped to */
		return 0;
	if (tb[TCA_KIND])
		nla_strlcpy(f->kind, tb[TCA_KIND], sizeof(f->kind));
	if (tb[TCA_OPTIONS])
		parse_options(tb[TCA_OPTIONS], f);
	return !f->is_table;
}

/* In the order in which packets meet them. An absent qdisc or device has none. */
static int list_filters(struct rtnl *r, uint32_t ifindex, enum tc_dir dir, struct rtnl_rows *rows,
			struct err *e)
{
	struct tcmsg tcm = {.tcm_ifindex = (int)ifindex, .tcm_parent = parent_of(dir)};
	int rc = rtnl_dump(r, rtnl_msg(RTM_GETTFILTER, 0, &tcm, sizeof(tcm)), parse_filter, NULL,
			   rows, e);

	if (rc < 0)
		err_wrap(e, "interface %u: list filters", ifindex);
	return rc;
}

static bool is_ours(const struct filter *f, const char *name)
{
	return f->handle == TC_HANDLE && f->priority == TC_PRIORITY &&
	       strcmp(f->kind, "bpf") == 0 && strcmp(f->name, name) == 0;
}

static int add_qdisc(struct rtnl *r, uint32_t ifindex, uint16_t flags, struct err *e)
{
	struct tcmsg tcm = {
		.tcm_ifindex = (int)ifindex,
		.tcm_parent = TC_H_CLSACT,
		.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0),
	};
	struct nl_msg *m = rtnl_msg(RTM_NEWQDISC, NLM_F_CREATE | flags, &tcm, sizeof(tcm));
	int rc;

	rtnl_put_str(m, TCA_KIND, "clsact");
	rc = rtnl_change(r, m, e);
	if (rc < 0)
		err_wrap(e, "interface %u: add clsact", ifindex);
	return rc;
}

/*
 * An `ingress` qdisc of others serves ingress as well, but takes egress filters
 * too and runs them at ingress. Adding without EXCL is the question which of the
 * two it is: the kernel takes it for an empty change of a clsact, and refuses
 * another kind. (RTM_GETQDISC would broadcast its answer to every listener.)
 */
static int ensure_qdisc(struct rtnl *r, uint32_t ifindex, enum tc_dir dir, struct err *e)
{
	int rc = add_qdisc(r, ifindex, NLM_F_EXCL, e);

	if (rc != -EEXIST)
		return rc;
	if (dir == TC_DIR_INGRESS)
		return 0;
	rc = add_qdisc(r, ifindex, 0, e);
	if (rc == -EINVAL)
		return err_set(
			e, -TC_UNREACHED,
			"interface %u: somebody's ingress qdisc keeps clsact out, and has no "
			"egress side",
			ifindex);
	return rc;
}

static int refuse(struct rtnl *r, uint32_t ifindex, const struct filter *f, const char *name,
		  struct err *e)
{
	struct link_info target;
	char what[64] = " takes packets";

	if (f->redirect)
		snprintf(what, sizeof(what), " redirects packets to %s",
			 link_get(r, f->redirect, &target, NULL) == 0 ? target.name
								      : "another interface");
	else if (f->action[0])
		snprintf(what, sizeof(what), " handles packets by action %s", f->action);
	return err_set(e, -TC_UNREACHED,
		       "interface %u: filter %s%s%s (priority %u, handle %#x)%s before %s", ifindex,
		       f->kind, f->name[0] ? " " : "", f->name, f->priority, f->handle, what, name);
}

/*
 * Whether the program may go where it belongs: 1 = it is there, 0 = put (or
 * replace) it, -TC_UNREACHED. A new cls_bpf filter goes before its equals, so only other
 * kinds at our priority are in the way of a first attach; where ours is already,
 * anything before it is.
 */
static int judge(struct rtnl *r, const struct rtnl_rows *rows, uint32_t ifindex,
		 const struct tc_prog *prog, struct err *e)
{
	const struct filter *filters = rows->rows;
	size_t n = rows->n;

	for (size_t i = 0; i < n; i++) {
		const struct filter *f = &filters[i];

		if (!is_ours(f, prog->name))
			continue;
		if (i > 0)
			return refuse(r, ifindex, &filters[0], prog->name, e);
		return f->prog_id == prog->id;
	}
	for (size_t i = 0; i < n && filters[i].priority <= TC_PRIORITY; i++)
		if (strcmp(filters[i].kind, "bpf") != 0 || filters[i].handle == TC_HANDLE)
			return refuse(r, ifindex, &filters[i], prog->name, e);
	return 0;
}

static struct nl_msg *filter_msg(uint16_t type, uint16_t flags, uint32_t ifindex, enum tc_dir dir)
{
	struct tcmsg tcm = {
		.tcm_ifindex = (int)ifindex,
		.tcm_parent = parent_of(dir),
		.tcm_handle = TC_HANDLE,
		.tcm_info = TC_H_MAKE(TC_PRIORITY << 16, htons(ETH_P_ALL)),
	};
	struct nl_msg *m = rtnl_msg(type, flags, &tcm, sizeof(tcm));

	rtnl_put_str(m, TCA_KIND, "bpf");
	return m;
}

/* Creates the filter, or puts the program into the one that is there: no gap in between. */
static int put_filter(struct rtnl *r, uint32_t ifindex, enum tc_dir dir, const struct tc_prog *prog,
		      struct err *e)
{
	struct nl_msg *m = filter_msg(RTM_NEWTFILTER, NLM_F_CREATE, ifindex, dir);
	struct nlattr *options = rtnl_nest(m, TCA_OPTIONS);
	int rc;

	rtnl_put_u32(m, TCA_BPF_FD, (uint32_t)prog->fd);
	rtnl_put_str(m, TCA_BPF_NAME, prog->name);
	rtnl_put_u32(m, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
	nla_nest_end(m, options);
	rc = rtnl_change(r, m, e);
	if (rc < 0)
		err_wrap(e, "interface %u: attach %s", ifindex, prog->name);
	return rc;
}

DEFINE_CLEANUP(struct rtnl *, rtnl_close);

int clsact_attach(uint32_t ifindex, enum tc_dir dir, const struct tc_prog *prog, struct err *e)
{
	__cleanup(rtnl_closep) struct rtnl *r = NULL;
	__cleanup_rows struct rtnl_rows rows = {.row_size = sizeof(struct filter)};
	int rc = rtnl_open(-1, &r, e);

	if (rc == 0)
		rc = list_filters(r, ifindex, dir, &rows, e);
	if (rc == 0)
		rc = judge(r, &rows, ifindex, prog, e);
	if (rc > 0)
		return 0;
	if (rc == 0)
		rc = ensure_qdisc(r, ifindex, dir, e);
	if (rc == 0)
		rc = put_filter(r, ifindex, dir, prog, e);
	return rc;
}

int clsact_query(uint32_t ifindex, enum tc_dir dir, const struct tc_prog *prog,
		 struct tc_state *ret, struct err *e)
{
	__cleanup(rtnl_closep) struct rtnl *r = NULL;
	__cleanup_rows struct rtnl_rows rows = {.row_size = sizeof(struct filter)};
	const struct filter *filters;
	struct link_info link;
	int rc = rtnl_open(-1, &r, e);

	if (rc == 0)
		rc = list_filters(r, ifindex, dir, &rows, e);
	if (rc < 0)
		return rc;
	filters = rows.rows;
	for (size_t i = 0; i < rows.n; i++) {
		if (!is_ours(&filters[i], prog->name))
			continue;
		ret->attached = filters[i].prog_id == prog->id;
		ret->other_ours = !ret->attached;
		ret->reached = ret->attached && i == 0;
		ret->mode = TC_MODE_CLSACT;
		ret->prog_id = filters[i].prog_id;
		return 1;
	}
	return link_get(r, ifindex, &link, e); /* an absent device has an empty list too */
}

/* One look at our place, by handle; a filter of somebody else there stays. */
int clsact_detach(uint32_t ifindex, enum tc_dir dir, const char *prog_name, struct err *e)
{
	__cleanup(rtnl_closep) struct rtnl *r = NULL;
	struct filter f = {0};
	int rc = rtnl_open(-1, &r, e);

	if (rc < 0)
		return rc;
	rc = rtnl_ask(r, filter_msg(RTM_GETTFILTER, 0, ifindex, dir), parse_filter, &f, e);
	if (rc == -ENOENT || rc == -EINVAL || rc == -ENODEV) /* no filter, no qdisc, no device */
		return 0;
	if (rc == 0 && !is_ours(&f, prog_name))
		return 0;
	if (rc == 0)
		rc = rtnl_change(r, filter_msg(RTM_DELTFILTER, 0, ifindex, dir), e);
	if (rc == -ENOENT || rc == -ENODEV)
		return 0;
	if (rc < 0)
		err_wrap(e, "interface %u: detach %s", ifindex, prog_name);
	return rc;
}
