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
#include "kernel/nft_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_TORN 16
#define RULE_MAX (16 * 1024)

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
	memcpy(entry->bytes + entry->len, bytes, len);
	entry->len += len;
}

void nft_entry_add_rule(struct nft_entry *entry, struct nftnl_rule *r)
{
	_Alignas(struct nlmsghdr) char buf[RULE_MAX] = {0}; /* padding is compared too */
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nftnl_rule_unset(r, NFTNL_RULE_HANDLE);
	nftnl_rule_unset(r, NFTNL_RULE_POSITION);
	nftnl_rule_unset(r, NFTNL_RULE_ID);
	nftnl_rule_unset(r, NFTNL_RULE_USERDATA); /* comments */
	nftnl_rule_nlmsg_build_payload(nlh, r);
	nft_entry_add(entry, mnl_nlmsg_get_payload(nlh), mnl_nlmsg_get_payload_len(nlh));
}

void nft_entry_add_chain(struct nft_entry *entry, const struct nftnl_chain *c)
{
	const char *type = nftnl_chain_get_str(c, NFTNL_CHAIN_TYPE);
	char text[128];
	int len;

	if (!type)
		return;
	len = snprintf(text, sizeof(text), "%.32s hook %u prio %d policy %u", type,
		       nftnl_chain_get_u32(c, NFTNL_CHAIN_HOOKNUM),
		       nftnl_chain_get_s32(c, NFTNL_CHAIN_PRIO),
		       nftnl_chain_get_u32(c, NFTNL_CHAIN_POLICY));
	nft_entry_add(entry, text, (size_t)len);
}

void nft_entry_add_set(struct nft_entry *entry, const struct nftnl_set *s)
{
	static const uint16_t values[] = {NFTNL_SET_FLAGS, NFTNL_SET_KEY_LEN, NFTNL_SET_DATA_TYPE,
					  NFTNL_SET_OBJ_TYPE, NFTNL_SET_DESC_SIZE};
	static const uint16_t never[] = {NFTNL_SET_TIMEOUT, NFTNL_SET_EXPR};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		uint32_t v = nftnl_set_is_set(s, values[i]) ? nftnl_set_get_u32(s, values[i]) : 0;

		nft_entry_add(entry, &v, sizeof(v));
	}
	for (i = 0; i < ARRAY_SIZE(never); i++) {
		uint8_t v = nftnl_set_is_set(s, never[i]);

		nft_entry_add(entry, &v, sizeof(v));
	}
}

static int entry_cmp(const void *a, const void *b)
{
	return strcmp(((const struct nft_entry *)a)->name, ((const struct nft_entry *)b)->name);
}

void nft_picture_sort(struct nft_picture *p)
{
	if (p->n)
		qsort(p->entries, p->n, sizeof(*p->entries), entry_cmp);
}

/* ---- the kernel's ---- */

struct load {
	struct nft_picture *p;
	enum nft_set_index set;
};

/* libnftnl has NULL for what the kernel did not say. */
static bool is_ours(const char *table, const char *name)
{
	return table && name && strcmp(table, NFT_TABLE) == 0;
}

static int on_table(const struct nlmsghdr *nlh, void *data)
{
	__cleanup(nftnl_table_freep) struct nftnl_table *t = nftnl_table_alloc();
	struct load *l = data;
	uint32_t flags;

	if (!t || nftnl_table_nlmsg_parse(nlh, t) < 0)
		return MNL_CB_ERROR;
	flags = nftnl_table_get_u32(t, NFTNL_TABLE_FLAGS);
	nft_entry_add(nft_picture_entry(l->p, "table", NFT_TABLE), &flags, sizeof(flags));
	l->p->exists = true;
	return MNL_CB_OK;
}

static int on_chain(const struct nlmsghdr *nlh, void *data)
{
	__cleanup(nftnl_chain_freep) struct nftnl_chain *c = nftnl_chain_alloc();
	struct load *l = data;
	const char *name;

	if (!c || nftnl_chain_nlmsg_parse(nlh, c) < 0)
		return MNL_CB_ERROR;
	name = nftnl_chain_get_str(c, NFTNL_CHAIN_NAME);
	if (is_ours(nftnl_chain_get_str(c, NFTNL_CHAIN_TABLE), name))
		nft_entry_add_chain(nft_picture_entry(l->p, "chain", name), c);
	return MNL_CB_OK;
}

static int on_rule(const struct nlmsghdr *nlh, void *data)
{
	__cleanup(nftnl_rule_freep) struct nftnl_rule *r = nftnl_rule_alloc();
	struct load *l = data;
	struct nft_entry *entry;
	const char *chain;

	if (!r || nftnl_rule_nlmsg_parse(nlh, r) < 0)
		return MNL_CB_ERROR;
	chain = nftnl_rule_get_str(r, NFTNL_RULE_CHAIN);
	if (!is_ours(nftnl_rule_get_str(r, NFTNL_RULE_TABLE), chain))
		return MNL_CB_OK;
	entry = nft_picture_entry(l->p, "chain", chain);
	if (mnl_nlmsg_get_payload_len(nlh) < RULE_MAX - 1024)
		nft_entry_add_rule(entry, r);
	else
		nft_entry_add(entry, "?", 1); /* none of ours is that long */
	return MNL_CB_OK;
}

static int on_set(const struct nlmsghdr *nlh, void *data)
{
	__cleanup(nftnl_set_freep) struct nftnl_set *s = nftnl_set_alloc();
	struct load *l = data;
	const char *name;

	if (!s || nftnl_set_nlmsg_parse(nlh, s) < 0)
		return MNL_CB_ERROR;
	name = nftnl_set_get_str(s, NFTNL_SET_NAME);
	if (is_ours(nftnl_set_get_str(s, NFTNL_SET_TABLE), name))
		nft_entry_add_set(nft_picture_entry(l->p, "set", name), s);
	return MNL_CB_OK;
}

static int on_elems(const struct nlmsghdr *nlh, void *data)
{
	__cleanup(nftnl_set_freep) struct nftnl_set *s = nftnl_set_alloc();
	struct load *l = data;

	if (!s || nftnl_set_elems_nlmsg_parse(nlh, s) < 0)
		return MNL_CB_ERROR;
	nft_elems_parse(&l->p->elems[l->set], s);
	return MNL_CB_OK;
}

static int on_object(const struct nlmsghdr *nlh, void *data)
{
	__cleanup(nftnl_obj_freep) struct nftnl_obj *o = nftnl_obj_alloc();
	struct load *l = data;
	unsigned int reason = 0;
	const char *name;

	if (!o || nftnl_obj_nlmsg_parse(nlh, o) < 0)
		return MNL_CB_ERROR;
	name = nftnl_obj_get_str(o, NFTNL_OBJ_NAME);
	if (!is_ours(nftnl_obj_get_str(o, NFTNL_OBJ_TABLE), name))
		return MNL_CB_OK;
	if (nftnl_obj_get_u32(o, NFTNL_OBJ_TYPE) != NFT_OBJECT_COUNTER) {
		nft_picture_entry(l->p, "object", name);
		return MNL_CB_OK;
	}
	nft_picture_entry(l->p, "counter", name);
	if (sscanf(name, "r%u", &reason) == 1 && reason < SLU_REASON_MAX) {
		l->p->counted[reason] = true;
		l->p->counts[reason].packets = nftnl_obj_get_u64(o, NFTNL_OBJ_CTR_PKTS);
		l->p->counts[reason].bytes = nftnl_obj_get_u64(o, NFTNL_OBJ_CTR_BYTES);
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

static int generation(struct nft *n, uint32_t *ret)
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

		rc = generation(n, &before);
		if (rc == 0)
			rc = load_once(n, &p, family);
		if (rc == 0)
			rc = generation(n, &after);
		if (rc == 0 && before == after) {
			nft_picture_sort(&p);
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
	nft_picture_sort(&p);
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
