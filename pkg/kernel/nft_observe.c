/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pictures: what the kernel holds under our table's name, and what the model
 * wants, in the same form. Rules are compared as the bytes of their expressions;
 * of chains and sets only what changes their meaning counts, so that attributes
 * that another kernel version adds to a dump do not look like a difference.
 *
 * A dump that was interrupted by a transaction, and a picture during which the
 * generation changed, are taken again.
 */
#include "kernel/nft_parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_TORN  16
#define RULE_MAX  (16 * 1024)
#define CHAIN_MAX 1024
#define SET_MAX	  1024

/* ---- entries ---- */

void nft_picture_done(struct nft_picture *p)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		free(p->entries[i].name);
		free(p->entries[i].bytes);
	}
	free(p->entries);
	for (i = 0; i < NFT_SET_N; i++)
		free(p->elems[i].v);
	memset(p, 0, sizeof(*p));
}

struct nft_entry *nft_picture_entry(struct nft_picture *p, const char *kind, const char *name)
{
	char *full = mem_printf("%s %s", kind, name);
	size_t i;

	for (i = p->n; i-- > 0;) { /* rules come chain by chain: the last one, mostly */
		if (strcmp(p->entries[i].name, full) == 0) {
			free(full);
			return &p->entries[i];
		}
	}
	MEM_GROW(p->entries, p->n);
	p->entries[p->n] = (struct nft_entry){.name = full};
	return &p->entries[p->n++];
}

void nft_entry_add(struct nft_entry *entry, const void *bytes, size_t len)
{
	entry->bytes = mem_resize(entry->bytes, entry->len + len, 1);
	if (len)
		memcpy(entry->bytes + entry->len, bytes, len);
	entry->len += len;
}

/* Our own messages are read like the kernel's. */
static struct nlmsghdr *message_put(void *buf, size_t len)
{
	struct nlmsghdr *nlh;

	memset(buf, 0, len);
	nlh = mnl_nlmsg_put_header(buf);
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct nfgenmsg));
	return nlh;
}

void nft_entry_add_rule(struct nft_entry *entry, struct nftnl_rule *r)
{
	_Alignas(struct nlmsghdr) char buf[RULE_MAX];
	struct nlmsghdr *nlh = message_put(buf, sizeof(buf));
	struct nft_rule_said said;

	nftnl_rule_nlmsg_build_payload(nlh, r);
	if (nft_rule_parse(nlh, &said) < 0 || nft_entry_add_exprs(entry, said.exprs) < 0)
		abort();
}

static void add_chain(struct nft_entry *entry, const struct nft_chain_said *c)
{
	char text[128];
	int len;

	if (!c->type)
		return;
	len = snprintf(text, sizeof(text), "%.32s hook %u prio %d policy %u", c->type, c->hook,
		       c->prio, c->policy);
	nft_entry_add(entry, text, (size_t)len);
}

void nft_entry_add_chain(struct nft_entry *entry, const struct nftnl_chain *c)
{
	_Alignas(struct nlmsghdr) char buf[CHAIN_MAX];
	struct nlmsghdr *nlh = message_put(buf, sizeof(buf));
	struct nft_chain_said said;

	nftnl_chain_nlmsg_build_payload(nlh, c);
	if (nft_chain_parse(nlh, &said) < 0)
		abort();
	add_chain(entry, &said);
}

static void add_set(struct nft_entry *entry, const struct nft_set_said *s)
{
	const uint32_t values[] = {s->flags, s->key_len, s->data_type, s->obj_type,
				   s->size,  s->timeout, s->expr};

	nft_entry_add(entry, values, sizeof(values));
}

void nft_entry_add_set(struct nft_entry *entry, struct nftnl_set *s)
{
	_Alignas(struct nlmsghdr) char buf[SET_MAX];
	struct nlmsghdr *nlh = message_put(buf, sizeof(buf));
	struct nft_set_said said;

	nftnl_set_nlmsg_build_payload(nlh, s);
	if (nft_set_parse(nlh, &said) < 0)
		abort();
	add_set(entry, &said);
}

static int entry_cmp(const void *a, const void *b)
{
	return strcmp(((const struct nft_entry *)a)->name, ((const struct nft_entry *)b)->name);
}

static void picture_sort(struct nft_picture *p)
{
	if (p->n)
		qsort(p->entries, p->n, sizeof(*p->entries), entry_cmp);
}

/* ---- the kernel's ---- */

struct load {
	struct nft_picture *p;
	enum nft_set_index set;
};

static bool is_ours(const char *table, const char *name)
{
	return table && name && strcmp(table, NFT_TABLE) == 0;
}

static int on_table(const struct nlmsghdr *nlh, void *data)
{
	struct nft_table_said t;
	struct load *l = data;

	if (nft_table_parse(nlh, &t) < 0)
		return MNL_CB_ERROR;
	if (!is_ours(t.name, t.name))
		return MNL_CB_OK;
	nft_entry_add(nft_picture_entry(l->p, "table", NFT_TABLE), &t.flags, sizeof(t.flags));
	l->p->exists = true;
	return MNL_CB_OK;
}

static int on_chain(const struct nlmsghdr *nlh, void *data)
{
	struct nft_chain_said c;
	struct load *l = data;

	if (nft_chain_parse(nlh, &c) < 0)
		return MNL_CB_ERROR;
	if (is_ours(c.table, c.name))
		add_chain(nft_picture_entry(l->p, "chain", c.name), &c);
	return MNL_CB_OK;
}

static int on_rule(const struct nlmsghdr *nlh, void *data)
{
	struct nft_rule_said r;
	struct load *l = data;

	if (nft_rule_parse(nlh, &r) < 0)
		return MNL_CB_ERROR;
	if (!is_ours(r.table, r.chain))
		return MNL_CB_OK;
	return nft_entry_add_exprs(nft_picture_entry(l->p, "chain", r.chain), r.exprs) < 0
		       ? MNL_CB_ERROR
		       : MNL_CB_OK;
}

static int on_set(const struct nlmsghdr *nlh, void *data)
{
	struct nft_set_said s;
	struct load *l = data;

	if (nft_set_parse(nlh, &s) < 0)
		return MNL_CB_ERROR;
	if (is_ours(s.table, s.name))
		add_set(nft_picture_entry(l->p, "set", s.name), &s);
	return MNL_CB_OK;
}

static int on_elems(const struct nlmsghdr *nlh, void *data)
{
	struct load *l = data;

	return nft_elems_parse(&l->p->elems[l->set], nlh) < 0 ? MNL_CB_ERROR : MNL_CB_OK;
}

static int on_object(const struct nlmsghdr *nlh, void *data)
{
	struct nft_obj_said o;
	struct load *l = data;
	unsigned int reason = 0;

	if (nft_obj_parse(nlh, &o) < 0)
		return MNL_CB_ERROR;
	if (!is_ours(o.table, o.name))
		return MNL_CB_OK;
	if (o.type != NFT_OBJECT_COUNTER) {
		nft_picture_entry(l->p, "object", o.name);
		return MNL_CB_OK;
	}
	nft_picture_entry(l->p, "counter", o.name);
	if (sscanf(o.name, "r%u", &reason) == 1 && reason < SLU_REASON_MAX) {
		l->p->counted[reason] = true;
		l->p->counts[reason] = o.count;
	}
	return MNL_CB_OK;
}

/* Sets that are not there are noticed by their declaration. */
static int load_elems(struct nft *n, struct load *l, void *buf)
{
	for (l->set = 0; l->set < NFT_SET_N; l->set++) {
		struct nlmsghdr *nlh = nft_request_put(n, buf, NFT_MSG_GETSETELEM, NFPROTO_INET,
						       NLM_F_DUMP);
		int rc;

		if (nft_set_is_dynamic(l->set))
			continue;
		mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, NFT_TABLE);
		mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, nft_set_name(l->set));
		rc = nft_request(n, nlh, on_elems, l);
		if (rc < 0 && rc != -ENOENT)
			return rc;
		if (nft_set_is_interval(l->set))
			nft_elems_pair(&l->p->elems[l->set]);
		nft_elems_sort(&l->p->elems[l->set]);
	}
	return 0;
}

/* The first attribute of all of these is the table's name, which is a filter where the kernel has
 * one. */
static const struct {
	uint16_t type, flags;
	mnl_cb_t cb;
} dumps[] = {
	{NFT_MSG_GETTABLE, 0, on_table},	 {NFT_MSG_GETCHAIN, NLM_F_DUMP, on_chain},
	{NFT_MSG_GETRULE, NLM_F_DUMP, on_rule},	 {NFT_MSG_GETSET, NLM_F_DUMP, on_set},
	{NFT_MSG_GETOBJ, NLM_F_DUMP, on_object},
};

static int load_once(struct nft *n, struct nft_picture *p, uint16_t family)
{
	_Alignas(struct nlmsghdr) char buf[1024];
	struct load l = {.p = p};
	size_t i;
	int rc;

	for (i = 0; i < ARRAY_SIZE(dumps); i++) {
		struct nlmsghdr *nlh = nft_request_put(n, buf, dumps[i].type, family,
						       dumps[i].flags);

		mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, NFT_TABLE);
		rc = nft_request(n, nlh, dumps[i].cb, &l);
		if (rc == -ENOENT && i == 0)
			return 0;
		if (rc < 0)
			return rc == -ENOENT ? -EINTR : rc; /* deleted meanwhile */
	}
	return family == NFPROTO_INET ? load_elems(n, &l, buf) : 0;
}

static int on_generation(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == NFTA_GEN_ID &&
		    mnl_attr_get_payload_len(a) >= sizeof(uint32_t))
			*(uint32_t *)data = ntohl(mnl_attr_get_u32(a));
	}
	return MNL_CB_OK;
}

int nft_generation(struct nft *n, uint32_t *ret)
{
	_Alignas(struct nlmsghdr) char buf[256];

	return nft_request(n, nft_request_put(n, buf, NFT_MSG_GETGEN, NFPROTO_UNSPEC, 0),
			   on_generation, ret);
}

int nft_picture_load(struct nft *n, uint16_t family, struct nft_picture *ret, struct err *e)
{
	struct nft_picture p = {0};
	int rc, tries;

	for (tries = 0; tries < MAX_TORN; tries++) {
		uint32_t before = 0, after = 0;

		rc = nft_generation(n, &before);
		if (rc == 0)
			rc = load_once(n, &p, family);
		if (rc == 0)
			rc = nft_generation(n, &after);
		if (rc == 0 && before == after) {
			picture_sort(&p);
			p.generation = after;
			*ret = p;
			return 0;
		}
		nft_picture_done(&p);
		if (rc < 0 && rc != -EINTR && rc != -ENOBUFS)
			return err_sys(e, rc, "read nftables");
	}
	return err_set(e, -EAGAIN, "read nftables: it changed %d times meanwhile", MAX_TORN);
}

/* ---- the model's ---- */

static int check_mask(const struct nft_model *m, struct err *e)
{
	unsigned int low = m->mark_mask ? (unsigned int)__builtin_ctz(m->mark_mask) : 0;
	uint64_t run = ((uint64_t)m->mark_mask >> low) + 1;

	if (m->mark_mask == 0 || (run & (run - 1)) != 0 || run != 2 * SLU_ID_MAX)
		return err_set(e, -EINVAL, "mark mask 0x%08x is not 11 bits in a row",
			       m->mark_mask);
	return 0;
}

int nft_picture_of(struct nft_picture *ret, uint8_t family, const struct nft_model *m,
		   struct err *e)
{
	struct nft_picture p = {.exists = true};
	uint32_t flags = 0;
	int rc = check_mask(m, e);

	if (rc < 0)
		return rc;
	nft_entry_add(nft_picture_entry(&p, "table", NFT_TABLE), &flags, sizeof(flags));
	if (family == NFPROTO_BRIDGE) {
		nft_bridge_picture(&p, m);
	} else {
		nft_rules_picture(&p, m);
		nft_sets_picture(&p, m);
	}
	picture_sort(&p);
	*ret = p;
	return 0;
}

/* ---- counters ---- */

static int counters_read(struct nft *n, uint16_t family, struct nft_picture *p)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct load l = {.p = p};
	struct nlmsghdr *nlh = nft_request_put(n, buf, NFT_MSG_GETOBJ, family, NLM_F_DUMP);

	mnl_attr_put_strz(nlh, NFTA_OBJ_TABLE, NFT_TABLE);
	return nft_request(n, nlh, on_object, &l);
}

int nft_counters(struct nft *n, struct nft_count *counts, struct err *e)
{
	int rc = -EINTR, tries;
	bool any = false;
	size_t i;

	memset(counts, 0, SLU_REASON_MAX * sizeof(*counts));
	for (tries = 0; tries < MAX_TORN && (rc == -EINTR || rc == -ENOBUFS); tries++) {
		__cleanup_picture struct nft_picture p = {0};

		rc = counters_read(n, NFPROTO_INET, &p);
		if (rc == 0)
			rc = counters_read(n, NFPROTO_BRIDGE, &p);
		for (i = 0; rc == 0 && i < SLU_REASON_MAX; i++)
			any |= p.counted[i];
		if (rc == 0)
			memcpy(counts, p.counts, sizeof(p.counts));
	}
	if (rc < 0 && rc != -ENOENT)
		return err_sys(e, rc, "read nftables counters");
	return any ? 0 : err_set(e, -ENOENT, "no table inet " NFT_TABLE);
}
