/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one pod may hold of an egress address. The NAT chain leads the first packet of a
 * connection, and no other, into a chain for the number that the address allows; there the
 * kernel itself counts the pod's connections (connlimit, which forgets those that conntrack
 * forgets). Two rows of chains, one chain for each number in use:
 *
 *	conns-N		connections: held (mark . N . source), at most N
 *	ports-N		source ports: a port that has a connection costs nothing (ports), the first
 *			on a port is counted in used (mark . N . source), at most N
 *
 * The number is part of the key, so that another number counts anew instead of being held to
 * the old one: an element keeps the number that it was made with.
 *
 * connlimit knows what began while its element was there, and cannot be told of anything else:
 * since Linux 6.18 it does not take a connection that conntrack has confirmed. So whoever had
 * connections when the kernel began to count has a room (rooms, mark . slot . source): a chain
 * of its own in front, where connections that begin from then on are counted once more, up to
 * what was left:
 *
 *	cmore-M-S	connections: held (mark . S . source), at most M
 *	pmore-M-S	ports, in the same way: used
 *
 * Who gives the rooms out is in reconcile/limits.h. Over an edit conns-N-O and ports-N-O count by
 * both numbers until rooms are there.
 *
 * Who is over a number is in `full` for FULL_MS, and costs one lookup: connlimit notes each
 * attempt, and a pod that sends nothing but attempts would fill its list faster than the kernel
 * weeds it.
 */
#include "kernel/nft_expr.h"

#include <stdio.h>
#include <string.h>

#define FULL_MS 100 /* in whole ticks at any CONFIG_HZ, for the kernel tells it in these */

static const struct limit_kind {
	const char *prefix;
	enum nft_limit_kind kind;
	bool room;
	enum nft_set_index map, counted;
} kinds[] = {
	{"conns-", NFT_CONNECTIONS, false, NFT_SET_CONNS, NFT_SET_HELD4},
	{"ports-", NFT_PORTS, false, NFT_SET_PORT_LIMITS, NFT_SET_USED4},
	{"cmore-", NFT_CONNECTIONS, true, NFT_SET_ROOMS4, NFT_SET_HELD4},
	{"pmore-", NFT_PORTS, true, NFT_SET_ROOMS4, NFT_SET_USED4},
};

/* Beside the limits' own numbers in the same keys. */
#define SERIAL_KEY(serial) (0x80000000u | (serial))

/* NULL: it is no chain of ours. */
static const struct limit_kind *kind_of(const char *chain)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strncmp(chain, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
			return &kinds[i];
	return NULL;
}

bool nft_limits_is_chain(const char *name)
{
	return kind_of(name);
}

/* ---- keys ---- */

struct limit_ctx {
	const char *chain;
	struct nft_marks marks;
	uint32_t limit, key;
	bool v4;
	bool picture; /* as the kernel tells it: with a timeout of 0, which it takes from nobody */
};

static void load_mark(struct nftnl_rule *r, const struct limit_ctx *c)
{
	nft_expr_meta_load(r, NFT_META_MARK);
	nft_expr_bits(r, c->marks.mask, 0);
}

/* mark . key . source */
static void load_counted(struct nftnl_rule *r, const struct limit_ctx *c, uint32_t key)
{
	struct nftnl_expr *x;

	load_mark(r, c);
	x = nft_expr_add(r, "immediate");
	nftnl_expr_set_u32(x, NFTNL_EXPR_IMM_DREG, NFT_REG32_01);
	nftnl_expr_set(x, NFTNL_EXPR_IMM_DATA, &key, sizeof(key));
	nft_expr_load_addr(r, c->v4, true, NFT_REG32_02);
}

/* mark . protocol . port . source; what has no ports has one, by its first two bytes */
static void load_port(struct nftnl_rule *r, const struct limit_ctx *c)
{
	struct nftnl_expr *x;

	load_mark(r, c);
	x = nft_expr_add(r, "meta");
	nftnl_expr_set_u32(x, NFTNL_EXPR_META_KEY, NFT_META_L4PROTO);
	nftnl_expr_set_u32(x, NFTNL_EXPR_META_DREG, NFT_REG32_01);
	nft_expr_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 0, sizeof(uint16_t), NFT_REG32_02);
	nft_expr_load_addr(r, c->v4, true, NFT_REG32_03);
}

/* ---- rules ---- */

static struct nftnl_rule *rule_new(const struct limit_ctx *c)
{
	struct nftnl_rule *r = nftnl_rule_alloc();

	if (!r)
		oom();
	nftnl_rule_set_str(r, NFTNL_RULE_TABLE, NFT_TABLE);
	nftnl_rule_set_str(r, NFTNL_RULE_CHAIN, c->chain);
	nft_expr_match_family(r, c->v4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	return r;
}

static struct nftnl_expr *add_to(struct nftnl_rule *r, const struct limit_ctx *c,
				 enum nft_set_index pair, uint64_t timeout_ms)
{
	struct nftnl_expr *x = nft_expr_add(r, "dynset");

	nftnl_expr_set_u32(x, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
	nftnl_expr_set_u32(x, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_ADD);
	nftnl_expr_set_u32(x, NFTNL_EXPR_DYNSET_FLAGS, 0);
	if (timeout_ms || c->picture)
		nftnl_expr_set_u64(x, NFTNL_EXPR_DYNSET_TIMEOUT, timeout_ms);
	nftnl_expr_set_str(x, NFTNL_EXPR_DYNSET_SET_NAME, nft_set_name(c->v4 ? pair : pair + 1));
	return x;
}

/* With this one there are more than limit. */
static void count_over(struct nftnl_rule *r, const struct limit_ctx *c, enum nft_set_index pair,
		       uint32_t limit)
{
	struct nftnl_expr *count = nftnl_expr_alloc("connlimit");

	if (!count)
		oom();
	nftnl_expr_set_u32(count, NFTNL_EXPR_CONNLIMIT_COUNT, limit);
	nftnl_expr_set_u32(count, NFTNL_EXPR_CONNLIMIT_FLAGS, NFT_CONNLIMIT_F_INV);
	nftnl_expr_set(add_to(r, c, pair, 0), NFTNL_EXPR_DYNSET_EXPR, count, 0);
}

static void refuse(struct nftnl_rule *r)
{
	struct nftnl_expr *x = nft_expr_add(r, "objref");
	char name[8];

	snprintf(name, sizeof(name), "r%u", SLU_DROP_POD_LIMIT);
	nftnl_expr_set_u32(x, NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
	nftnl_expr_set_str(x, NFTNL_EXPR_OBJREF_IMM_NAME, name);
	nft_expr_verdict(r, NF_DROP, NULL);
}

static struct nftnl_rule *rule_full(const struct limit_ctx *c)
{
	struct nftnl_rule *r = rule_new(c);

	load_counted(r, c, c->key);
	nft_expr_lookup(r, c->v4 ? NFT_SET_FULL4 : NFT_SET_FULL6);
	refuse(r);
	return r;
}

static struct nftnl_rule *rule_old_port(const struct limit_ctx *c)
{
	struct nftnl_rule *r = rule_new(c);

	load_port(r, c);
	count_over(r, c, NFT_SET_PORTS4, 1);
	nft_expr_verdict(r, NFT_RETURN, NULL);
	return r;
}

static struct nftnl_rule *rule_room(const struct limit_ctx *c, uint32_t slot)
{
	struct nftnl_rule *r = rule_new(c);

	load_counted(r, c, slot);
	nftnl_expr_set_u32(nft_expr_lookup(r, c->v4 ? NFT_SET_ROOMS4 : NFT_SET_ROOMS6),
			   NFTNL_EXPR_LOOKUP_DREG, NFT_REG_VERDICT);
	return r;
}

static struct nftnl_rule *rule_over(const struct limit_ctx *c, enum nft_set_index counted)
{
	struct nftnl_rule *r = rule_new(c);

	load_counted(r, c, c->key);
	count_over(r, c, counted, c->limit);
	add_to(r, c, NFT_SET_FULL4, FULL_MS);
	refuse(r);
	return r;
}

/* ---- chains ---- */

static uint32_t slot_key(enum nft_limit_kind kind, uint32_t slot)
{
	return (uint32_t)kind * NFT_ROOM_SLOTS + slot;
}

/* What stands behind the prefix of a chain's name: one number or two; 0 = it is no such name. */
static size_t numbers_parse(const char *text, uint32_t ret[2])
{
	size_t n = 0;

	for (;; text++) {
		char *end;
		unsigned long v = strtoul(text, &end, 10);

		if (*text < '0' || *text > '9' || v > UINT32_MAX || n == 2)
			return 0;
		ret[n++] = (uint32_t)v;
		if (!*end)
			return n;
		if (*end != '-')
			return 0;
		text = end;
	}
}

struct rule_list {
	struct nftnl_rule **v;
	size_t n;
};

static void rules_add(struct rule_list *l, struct nftnl_rule *r)
{
	MEM_GROW(l->v, l->n);
	l->v[l->n++] = r;
}

static void rules_done(struct rule_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		nftnl_rule_free(l->v[i]);
	free(l->v);
}

/* Of one family: c's. */
static void rules_of(struct rule_list *l, struct limit_ctx *c, const struct limit_kind *kind)
{
	uint32_t numbers[2] = {0};
	size_t n = numbers_parse(c->chain + strlen(kind->prefix), numbers);
	size_t times = kind->room ? 1 : n;

	for (size_t i = 0; i < times; i++) {
		c->key = kind->room ? SERIAL_KEY(numbers[1]) : numbers[i];
		rules_add(l, rule_full(c));
	}
	if (!kind->room && kind->kind == NFT_PORTS)
		rules_add(l, rule_old_port(c));
	for (uint32_t slot = 0; !kind->room && slot < NFT_ROOM_SLOTS; slot++)
		rules_add(l, rule_room(c, slot_key(kind->kind, slot)));
	for (size_t i = 0; i < times; i++) {
		c->key = kind->room ? SERIAL_KEY(numbers[1]) : numbers[i];
		c->limit = numbers[i];
		rules_add(l, rule_over(c, kind->counted));
	}
}

/* Of chain, whose name says what it is. */
static void rules_build(const char *chain, uint32_t mask, bool picture, struct rule_list *ret)
{
	struct limit_ctx c = {.chain = chain, .marks = nft_marks_of(mask), .picture = picture};

	for (int v4 = 1; v4 >= 0; v4--) {
		c.v4 = v4;
		rules_of(ret, &c, kind_of(chain));
	}
}

/* ---- as a picture ---- */

static void picture_chain(struct nft_picture *p, uint32_t mask, const char *chain)
{
	__cleanup(rules_done) struct rule_list rules = {0};
	struct nft_entry *entry = nft_picture_entry(p, "chain", chain);

	if (entry->len) /* another address has the same number */
		return;
	rules_build(chain, mask, true, &rules);
	for (size_t i = 0; i < rules.n; i++)
		nft_entry_add_rule(entry, rules.v[i]);
}

static struct nft_elem *elem_new(struct nft_picture *p, enum nft_set_index set, uint32_t mark)
{
	struct nft_elem *e = nft_elems_grow(&p->elems[set]);

	memcpy(e->key, &mark, sizeof(mark));
	e->verdict = NFT_JUMP;
	return e;
}

static void picture_limit(struct nft_picture *p, const struct nft_model *m,
			  const struct nft_limit *l, const struct limit_kind *kind)
{
	uint32_t most = l->most[kind->kind], before = l->before[kind->kind];
	struct nft_elem *e;

	if (!most)
		return;
	e = elem_new(p, kind->map, l->id << nft_marks_of(m->mark_mask).shift);
	snprintf(e->name, sizeof(e->name), before ? "%s%u-%u" : "%s%u", kind->prefix, most, before);
	picture_chain(p, m->mark_mask, e->name);
}

static void picture_room(struct nft_picture *p, const struct nft_model *m,
			 const struct nft_room *room, const struct limit_kind *kind)
{
	uint32_t slot = slot_key(kind->kind, room->slot);
	struct nft_elem *e = elem_new(p, addr_is_v4(room->pod) ? NFT_SET_ROOMS4 : NFT_SET_ROOMS6,
				      room->id << nft_marks_of(m->mark_mask).shift);

	memcpy(e->key + sizeof(uint32_t), &slot, sizeof(slot));
	memcpy(e->key + 2 * sizeof(uint32_t), addr_bytes(&room->pod), addr_len(room->pod));
	snprintf(e->name, sizeof(e->name), "%s%u-%u", kind->prefix, room->more, room->serial);
	picture_chain(p, m->mark_mask, e->name);
}

void nft_limits_picture(struct nft_picture *p, const struct nft_model *m)
{
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (size_t i = 0; !kinds[k].room && i < m->n_limits; i++)
			picture_limit(p, m, &m->limits[i], &kinds[k]);
		for (size_t i = 0; kinds[k].room && i < m->n_rooms; i++)
			if (m->rooms[i].kind == kinds[k].kind)
				picture_room(p, m, &m->rooms[i], &kinds[k]);
	}
}

/* ---- as messages ---- */

void nft_limits_put_chain(struct nft_batch *b, const struct nft_model *m, const char *name)
{
	__cleanup(rules_done) struct rule_list rules = {0};

	rules_build(name, m->mark_mask, false, &rules);
	nft_rules_put_empty(b, name);
	for (size_t i = 0; i < rules.n; i++) {
		nftnl_rule_nlmsg_build_payload(
			nft_batch_open(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND),
			rules.v[i]);
		nft_batch_close(b);
	}
}

/* ---- as the kernel has them ---- */

static struct nft_limit *limit_at(struct nft_limits *l, uint32_t id)
{
	for (size_t i = 0; i < l->n_limits; i++)
		if (l->limits[i].id == id)
			return &l->limits[i];
	MEM_GROW(l->limits, l->n_limits);
	l->limits[l->n_limits] = (struct nft_limit){.id = id};
	return &l->limits[l->n_limits++];
}

static void limit_read(struct nft_limits *l, const struct nft_elem *e, uint32_t id)
{
	const struct limit_kind *kind = kind_of(e->name);
	uint32_t numbers[2] = {0};
	struct nft_limit *to;

	if (!kind || kind->room || !numbers_parse(e->name + strlen(kind->prefix), numbers))
		return;
	to = limit_at(l, id);
	to->most[kind->kind] = numbers[0];
	to->before[kind->kind] = numbers[1];
}

static void room_read(struct nft_limits *l, const struct nft_elem *e, uint32_t id, bool v4)
{
	const struct limit_kind *kind = kind_of(e->name);
	const uint8_t *pod = e->key + 2 * sizeof(uint32_t);
	uint32_t numbers[2], slot;

	memcpy(&slot, e->key + sizeof(uint32_t), sizeof(slot));
	if (!kind || !kind->room || slot / NFT_ROOM_SLOTS != (uint32_t)kind->kind ||
	    numbers_parse(e->name + strlen(kind->prefix), numbers) != 2)
		return;
	MEM_GROW(l->rooms, l->n_rooms);
	l->rooms[l->n_rooms++] = (struct nft_room){
		.pod = v4 ? addr_from_v4(pod) : addr_from_v6(pod),
		.id = id,
		.more = numbers[0],
		.serial = numbers[1],
		.kind = kind->kind,
		.slot = slot % NFT_ROOM_SLOTS,
	};
}

int nft_limits_load(struct nft *n, uint32_t mark_mask, struct nft_limits *ret, struct err *e)
{
	static const enum nft_set_index maps[] = {NFT_SET_CONNS, NFT_SET_PORT_LIMITS,
						  NFT_SET_ROOMS4, NFT_SET_ROOMS6};
	__cleanup_picture struct nft_picture have = {0};
	int rc = nft_picture_load(n, NFPROTO_INET, &have, e);

	*ret = (struct nft_limits){0};
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(maps); i++) {
		const struct nft_elems *list = &have.elems[maps[i]];

		for (size_t k = 0; k < list->n; k++) {
			uint32_t id;

			memcpy(&id, list->v[k].key, sizeof(id));
			id >>= nft_marks_of(mark_mask).shift;
			if (list->v[k].odd || list->v[k].verdict != NFT_JUMP)
				continue;
			if (maps[i] == NFT_SET_ROOMS4 || maps[i] == NFT_SET_ROOMS6)
				room_read(ret, &list->v[k], id, maps[i] == NFT_SET_ROOMS4);
			else
				limit_read(ret, &list->v[k], id);
		}
	}
	return rc;
}

void nft_limits_done(struct nft_limits *l)
{
	free(l->limits);
	free(l->rooms);
	*l = (struct nft_limits){0};
}
