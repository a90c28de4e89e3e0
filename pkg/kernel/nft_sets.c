/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes while the table stands is in sets. Here: their declarations, what
 * they hold by the model, and the messages that lead from one content to another.
 *
 * An interval in the kernel is two elements, its first address and, flagged as an
 * end, the address behind its last; an interval up to the last address of the
 * family has no end. Such pairs are one struct nft_elem here (nft_elems_pair), are
 * merged when they touch, and are changed as a whole: the kernel looks for overlaps
 * with each element that it is given.
 */
#include "kernel/nft_priv.h"

#include <stdio.h>
#include <string.h>

#include <libnftnl/udata.h>

#include "base/log.h"

#define TYPE_IPV4	   7 /* nft(8)'s numbers of data types: only its listings need them */
#define TYPE_IPV6	   8
#define TYPE_INET_PROTOCOL 12
#define TYPE_INET_SERVICE  13
#define TYPE_MARK	   19
#define TYPE_CLASSID	   23
#define BYTEORDER_HOST	   1
#define TYPE_PAIR(a, b)	   ((a) << 6 | (b))
#define TYPE_COUNTED(a)	   (TYPE_PAIR(TYPE_PAIR(TYPE_MARK, TYPE_MARK), a))
#define TYPE_PORT(a) \
	TYPE_PAIR(TYPE_PAIR(TYPE_PAIR(TYPE_MARK, TYPE_INET_PROTOCOL), TYPE_INET_SERVICE), a)

struct set_def {
	const char *name;
	uint32_t flags;
	uint32_t key_type, key_len;
	uint32_t data_type, data_len;
	uint32_t size; /* at most; 0: any. Known, the kernel takes a hash that is quicker */
};

/* There are fewer of both at any time (abi.h); in a transaction what goes still counts. */
#define MAX_ADDRESSES (2 * SLU_ID_MAX)
#define MAX_NODES     (2 * SLU_MAX_NODES)
/* Packets fill these; full, nothing is counted any more, and MAX_PORTS is the first to be. */
#define MAX_PODS  (1u << 20)
#define MAX_PORTS (1u << 20)

static const struct set_def sets[NFT_SET_N] = {
	[NFT_SET_INSIDE4] = {"inside4", NFT_SET_INTERVAL, TYPE_IPV4, 4, 0, 0},
	[NFT_SET_INSIDE6] = {"inside6", NFT_SET_INTERVAL, TYPE_IPV6, 16, 0, 0},
	[NFT_SET_ENDS4] = {"ends4", 0, TYPE_IPV4, 4, 0, 0},
	[NFT_SET_ENDS6] = {"ends6", 0, TYPE_IPV6, 16, 0, 0},
	[NFT_SET_GUARDED4] = {"guarded4", 0, TYPE_IPV4, 4, 0, 0, MAX_ADDRESSES},
	[NFT_SET_GUARDED6] = {"guarded6", 0, TYPE_IPV6, 16, 0, 0, MAX_ADDRESSES},
	[NFT_SET_GOVERNED4] = {"governed4", 0, TYPE_IPV4, 4, 0, 0},
	[NFT_SET_GOVERNED6] = {"governed6", 0, TYPE_IPV6, 16, 0, 0},
	[NFT_SET_OWNED4] = {"owned4", NFT_SET_CONCAT, TYPE_PAIR(TYPE_MARK, TYPE_IPV4), 8, 0, 0,
			    MAX_ADDRESSES},
	[NFT_SET_OWNED6] = {"owned6", NFT_SET_CONCAT, TYPE_PAIR(TYPE_MARK, TYPE_IPV6), 20, 0, 0,
			    MAX_ADDRESSES},
	[NFT_SET_SERVICES4] = {"services4", NFT_SET_CONCAT, NFT_SERVICE_TYPE(TYPE_IPV4), 20, 0, 0},
	[NFT_SET_SERVICES6] = {"services6", NFT_SET_CONCAT, NFT_SERVICE_TYPE(TYPE_IPV6), 44, 0, 0},
	[NFT_SET_SNAT4] = {"snat4", NFT_SET_MAP, TYPE_MARK, 4, TYPE_IPV4, 4, MAX_ADDRESSES},
	[NFT_SET_SNAT6] = {"snat6", NFT_SET_MAP, TYPE_MARK, 4, TYPE_IPV6, 16, MAX_ADDRESSES},
	[NFT_SET_FULL4] = {"full4", NFT_SET_EVAL | NFT_SET_TIMEOUT, TYPE_COUNTED(TYPE_IPV4), 12, 0,
			   0, MAX_PODS},
	[NFT_SET_FULL6] = {"full6", NFT_SET_EVAL | NFT_SET_TIMEOUT, TYPE_COUNTED(TYPE_IPV6), 24, 0,
			   0, MAX_PODS},
	[NFT_SET_HELD4] = {"held4", NFT_SET_EVAL, TYPE_COUNTED(TYPE_IPV4), 12, 0, 0, MAX_PODS},
	[NFT_SET_HELD6] = {"held6", NFT_SET_EVAL, TYPE_COUNTED(TYPE_IPV6), 24, 0, 0, MAX_PODS},
	[NFT_SET_USED4] = {"used4", NFT_SET_EVAL, TYPE_COUNTED(TYPE_IPV4), 12, 0, 0, MAX_PODS},
	[NFT_SET_USED6] = {"used6", NFT_SET_EVAL, TYPE_COUNTED(TYPE_IPV6), 24, 0, 0, MAX_PODS},
	[NFT_SET_PORTS4] = {"ports4", NFT_SET_EVAL, TYPE_PORT(TYPE_IPV4), 16, 0, 0, MAX_PORTS},
	[NFT_SET_PORTS6] = {"ports6", NFT_SET_EVAL, TYPE_PORT(TYPE_IPV6), 28, 0, 0, MAX_PORTS},
	[NFT_SET_ROOMS4] = {"rooms4", NFT_SET_MAP, TYPE_COUNTED(TYPE_IPV4), 12, NFT_DATA_VERDICT,
			    0},
	[NFT_SET_ROOMS6] = {"rooms6", NFT_SET_MAP, TYPE_COUNTED(TYPE_IPV6), 24, NFT_DATA_VERDICT,
			    0},
	[NFT_SET_CONNS] = {"conns", NFT_SET_MAP, TYPE_MARK, 4, NFT_DATA_VERDICT, 0, MAX_ADDRESSES},
	[NFT_SET_PORT_LIMITS] = {"port_limits", NFT_SET_MAP, TYPE_MARK, 4, NFT_DATA_VERDICT, 0,
				 MAX_ADDRESSES},
	[NFT_SET_NODES_IN] = {"nodes_in", NFT_SET_MAP, TYPE_CLASSID, 4, NFT_DATA_VERDICT, 0,
			      MAX_NODES},
	[NFT_SET_NODES_OUT] = {"nodes_out", NFT_SET_MAP, TYPE_MARK, 4, NFT_DATA_VERDICT, 0,
			       MAX_NODES},
	[NFT_SET_REASONS] = {"reasons", NFT_SET_OBJECT, TYPE_MARK, 4, 0, 0},
	[NFT_SET_NODES] = {"nodes", NFT_SET_CONCAT, TYPE_PAIR(TYPE_CLASSID, TYPE_MARK), 8, 0, 0,
			   MAX_NODES},
};

const char *nft_set_name(enum nft_set_index i)
{
	return sets[i].name;
}

bool nft_set_is_interval(enum nft_set_index i)
{
	return sets[i].flags & NFT_SET_INTERVAL;
}

bool nft_set_is_dynamic(enum nft_set_index i)
{
	return sets[i].flags & NFT_SET_EVAL;
}

/* ---- lists of elements ---- */

struct nft_elem *nft_elems_grow(struct nft_elems *l)
{
	MEM_GROW(l->v, l->n);
	memset(&l->v[l->n], 0, sizeof(*l->v));
	return &l->v[l->n++];
}

static int elem_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct nft_elem));
}

void nft_elems_sort(struct nft_elems *l)
{
	size_t i, n = 0;

	if (l->n == 0)
		return;
	qsort(l->v, l->n, sizeof(*l->v), elem_cmp);
	for (i = 1; i < l->n; i++)
		if (elem_cmp(&l->v[n], &l->v[i]) != 0)
			l->v[++n] = l->v[i];
	l->n = n + 1;
}

/* Ends before beginnings at the same address: intervals may touch. */
static int marker_cmp(const void *a, const void *b)
{
	const struct nft_elem *x = a, *y = b;
	int d = memcmp(x->key, y->key, sizeof(x->key));

	if (d == 0)
		d = (y->kind == NFT_ELEM_LONE_END) - (x->kind == NFT_ELEM_LONE_END);
	return d;
}

/* Beginnings (PLAIN until here) and ends (LONE_END) become INTERVALs; a beginning without an end is
 * OPEN, an end without a beginning stays alone. */
void nft_elems_pair(struct nft_elems *l)
{
	size_t i, n = 0;

	if (l->n == 0)
		return;
	qsort(l->v, l->n, sizeof(*l->v), marker_cmp);
	for (i = 0; i < l->n; i++) {
		struct nft_elem *prev = n ? &l->v[n - 1] : NULL;

		if (l->v[i].kind == NFT_ELEM_PLAIN)
			l->v[i].kind = NFT_ELEM_OPEN;
		if (l->v[i].kind == NFT_ELEM_LONE_END && !l->v[i].odd && prev &&
		    prev->kind == NFT_ELEM_OPEN) {
			prev->kind = NFT_ELEM_INTERVAL;
			memcpy(prev->data, l->v[i].key, sizeof(prev->data));
			continue;
		}
		l->v[n++] = l->v[i];
	}
	l->n = n;
}

/* ---- by the model ---- */

static void add_addr(struct nft_picture *p, enum nft_set_index pair, struct addr a)
{
	enum nft_set_index set = addr_is_v4(a) ? pair : pair + 1;

	memcpy(nft_elems_grow(&p->elems[set])->key, addr_bytes(&a), addr_len(a));
}

static void add_inside(struct nft_picture *p, struct cidr c)
{
	bool v4 = cidr_is_v4(c);
	struct nft_elems *l = &p->elems[v4 ? NFT_SET_INSIDE4 : NFT_SET_INSIDE6];
	struct addr behind = addr_next(cidr_last(c));
	struct nft_elem *e = l->n ? &l->v[l->n - 1] : NULL;
	/* behind the last of its family is :: or no longer ::ffff:0:0/96 */
	bool open = v4 ? !addr_is_v4(behind) : addr_is_zero(behind);
	int d = -1;

	if (e)
		d = e->kind == NFT_ELEM_OPEN
			    ? 1
			    : memcmp(e->data, addr_bytes(&c.addr), addr_len(c.addr));
	if (d > 0)
		return; /* part of the one before */
	if (d < 0) {
		e = nft_elems_grow(l);
		memcpy(e->key, addr_bytes(&c.addr), addr_len(c.addr));
	}
	e->kind = open ? NFT_ELEM_OPEN : NFT_ELEM_INTERVAL;
	memset(e->data, 0, sizeof(e->data));
	if (!open)
		memcpy(e->data, addr_bytes(&behind), addr_len(behind));
}

static void add_address(struct nft_picture *p, const struct nft_address *a,
			const struct nft_marks *marks)
{
	bool v4 = addr_is_v4(a->addr);
	uint32_t mark = a->id << marks->shift;
	struct nft_elem *e;

	e = nft_elems_grow(&p->elems[v4 ? NFT_SET_OWNED4 : NFT_SET_OWNED6]);
	memcpy(e->key, &mark, sizeof(mark));
	memcpy(e->key + sizeof(mark), addr_bytes(&a->addr), addr_len(a->addr));
	e = nft_elems_grow(&p->elems[v4 ? NFT_SET_SNAT4 : NFT_SET_SNAT6]);
	memcpy(e->key, &mark, sizeof(mark));
	memcpy(e->data, addr_bytes(&a->addr), addr_len(a->addr));
	if (a->guard)
		add_addr(p, NFT_SET_GUARDED4, a->addr);
}

static void add_node(struct nft_picture *p, uint32_t node, const struct nft_marks *marks)
{
	const uint32_t keys[] = {node, node << marks->shift};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		struct nft_elem *e = nft_elems_grow(&p->elems[NFT_SET_NODES_IN + i]);

		memcpy(e->key, &keys[i], sizeof(keys[i]));
		e->verdict = NFT_GOTO;
		nft_node_name(e->name, sizeof(e->name), node);
	}
	memcpy(nft_elems_grow(&p->elems[NFT_SET_NODES])->key, keys, sizeof(keys));
}

static void add_reason(struct nft_picture *p, unsigned int reason, const struct nft_marks *marks)
{
	struct nft_elem *e = nft_elems_grow(&p->elems[NFT_SET_REASONS]);
	uint32_t mark = reason << marks->shift;

	memcpy(e->key, &mark, sizeof(mark));
	snprintf(e->name, sizeof(e->name), "r%u", reason);
}

/* For listings: without it nft(8) shows the keys of maps in network order. */
static void set_host_order(struct nftnl_set *s)
{
	struct nftnl_udata_buf *u = nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN);

	if (!u)
		oom();
	nftnl_udata_put_u32(u, NFTNL_UDATA_SET_KEYBYTEORDER, BYTEORDER_HOST);
	nftnl_set_set_data(s, NFTNL_SET_USERDATA, nftnl_udata_buf_data(u), nftnl_udata_buf_len(u));
	nftnl_udata_buf_free(u);
}

struct nftnl_set *nft_set_build(enum nft_set_index i)
{
	const struct set_def *def = &sets[i];
	struct nftnl_set *s = nftnl_set_alloc();

	if (!s)
		oom();
	nftnl_set_set_str(s, NFTNL_SET_TABLE, NFT_TABLE);
	nftnl_set_set_str(s, NFTNL_SET_NAME, def->name);
	nftnl_set_set_u32(s, NFTNL_SET_FLAGS, def->flags);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, def->key_type);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, def->key_len);
	nftnl_set_set_u32(s, NFTNL_SET_ID, (uint32_t)i + 1);
	if (def->size)
		nftnl_set_set_u32(s, NFTNL_SET_DESC_SIZE, def->size);
	if (def->flags & NFT_SET_MAP) {
		nftnl_set_set_u32(s, NFTNL_SET_DATA_TYPE, def->data_type);
		nftnl_set_set_u32(s, NFTNL_SET_DATA_LEN, def->data_len);
	}
	if (def->key_type == TYPE_MARK || def->key_type == TYPE_CLASSID)
		set_host_order(s);
	if (i == NFT_SET_SERVICES4 || i == NFT_SET_SERVICES6) {
		nft_service_fields(s, i);
	} else if (def->flags & NFT_SET_CONCAT) {
		const uint8_t fields[] = {4, (uint8_t)(def->key_len - 4)};

		nftnl_set_set_data(s, NFTNL_SET_DESC_CONCAT, fields, sizeof(fields));
	}
	if (def->flags & NFT_SET_OBJECT)
		nftnl_set_set_u32(s, NFTNL_SET_OBJ_TYPE, NFT_OBJECT_COUNTER);
	return s;
}

void nft_sets_picture(struct nft_picture *p, const struct nft_model *m)
{
	struct nft_marks marks = nft_marks_of(m->mark_mask);
	size_t i;

	for (i = 0; i < NFT_SET_N; i++) {
		__cleanup(nftnl_set_freep) struct nftnl_set *s = nft_set_build(i);

		nft_entry_add_set(nft_picture_entry(p, "set", sets[i].name), s);
	}
	for (i = 0; i < m->n_inside; i++)
		add_inside(p, m->inside[i]);
	for (i = 0; i < m->n_tunnel_ends; i++)
		add_addr(p, NFT_SET_ENDS4, m->tunnel_ends[i]);
	for (i = 0; i < m->n_governed; i++)
		add_addr(p, NFT_SET_GOVERNED4, m->governed[i]);
	for (i = 0; i < m->n_addresses; i++)
		add_address(p, &m->addresses[i], &marks);
	for (i = 0; i < m->n_services; i++)
		nft_service_key(&m->services[i],
				nft_elems_grow(&p->elems[nft_service_set(&m->services[i])])->key);
	for (i = 0; i < m->n_nodes; i++)
		add_node(p, m->nodes[i], &marks);
	for (i = 1; i < SLU_MARK_REASONS; i++)
		add_reason(p, (unsigned int)i, &marks);
	for (i = 0; i < NFT_SET_N; i++)
		nft_elems_sort(&p->elems[i]);
}

/* ---- as messages ---- */

void nft_sets_put(struct nft_batch *b)
{
	size_t i;

	for (i = 0; i < NFT_SET_N; i++) {
		__cleanup(nftnl_set_freep) struct nftnl_set *s = nft_set_build(i);

		nftnl_set_nlmsg_build_payload(nft_batch_open(b, NFT_MSG_NEWSET, NLM_F_CREATE), s);
		nft_batch_close(b);
	}
}

/* Elements of one set on their way into messages, PER_MESSAGE at a time: attributes end at 64 KiB.
 */
#define PER_MESSAGE 256
struct stream {
	struct nft_batch *batch;
	uint16_t type; /* NFT_MSG_NEWSETELEM or DELSETELEM */
	enum nft_set_index set;
	struct nftnl_set *open;
	unsigned int n;
};

static void stream_flush(struct stream *s)
{
	uint16_t flags = s->type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE | NLM_F_EXCL : 0;

	if (!s->open)
		return;
	nftnl_set_elems_nlmsg_build_payload(nft_batch_open(s->batch, s->type, flags), s->open);
	nft_batch_close(s->batch);
	nftnl_set_free(s->open);
	s->open = NULL;
	s->n = 0;
}

static struct nftnl_set_elem *stream_elem(struct stream *s)
{
	struct nftnl_set_elem *x = nftnl_set_elem_alloc();

	if (!s->open)
		s->open = nft_set_build(s->set);
	if (!x)
		oom();
	nftnl_set_elem_add(s->open, x);
	s->n++;
	return x;
}

static void stream_marker(struct stream *s, const uint8_t *key, uint32_t flags)
{
	struct nftnl_set_elem *x = stream_elem(s);

	if (flags)
		nftnl_set_elem_set_u32(x, NFTNL_SET_ELEM_FLAGS, flags);
	if (key)
		nftnl_set_elem_set(x, NFTNL_SET_ELEM_KEY, key, sets[s->set].key_len);
}

static void stream_plain(struct stream *s, const struct nft_elem *e)
{
	const struct set_def *def = &sets[s->set];
	struct nftnl_set_elem *x = stream_elem(s);

	nftnl_set_elem_set(x, NFTNL_SET_ELEM_KEY, e->key, def->key_len);
	if (s->type == NFT_MSG_DELSETELEM)
		return;
	if (def->flags & NFT_SET_OBJECT) {
		nftnl_set_elem_set_str(x, NFTNL_SET_ELEM_OBJREF, e->name);
	} else if (def->data_type == NFT_DATA_VERDICT) {
		nftnl_set_elem_set_u32(x, NFTNL_SET_ELEM_VERDICT, (uint32_t)e->verdict);
		nftnl_set_elem_set_str(x, NFTNL_SET_ELEM_CHAIN, e->name);
	} else if (def->flags & NFT_SET_MAP) {
		nftnl_set_elem_set(x, NFTNL_SET_ELEM_DATA, e->data, def->data_len);
	}
}

static void stream_put(struct stream *s, const struct nft_elem *e)
{
	switch (e->kind) {
	case NFT_ELEM_INTERVAL:
		stream_marker(s, e->key, 0);
		stream_marker(s, e->data, NFT_SET_ELEM_INTERVAL_END);
		break;
	case NFT_ELEM_OPEN:
		stream_marker(s, e->key, 0);
		break;
	case NFT_ELEM_LONE_END:
		stream_marker(s, e->key, NFT_SET_ELEM_INTERVAL_END);
		break;
	case NFT_ELEM_CATCHALL:
		stream_marker(s, NULL, NFT_SET_ELEM_CATCHALL);
		break;
	default:
		stream_plain(s, e);
	}
	if (s->n >= PER_MESSAGE)
		stream_flush(s);
}

/* Puts what is in a and not in b; both sorted. */
static void put_missing(struct stream *s, const struct nft_elems *a, const struct nft_elems *b)
{
	size_t i, k = 0;

	for (i = 0; i < a->n; i++) {
		while (k < b->n && elem_cmp(&b->v[k], &a->v[i]) < 0)
			k++;
		if (k == b->n || elem_cmp(&b->v[k], &a->v[i]) != 0)
			stream_put(s, &a->v[i]);
	}
	stream_flush(s);
}

void nft_sets_put_dels(struct nft_batch *b, const struct nft_picture *have,
		       const struct nft_picture *want)
{
	size_t i;

	for (i = 0; i < NFT_SET_N; i++) {
		struct stream s = {.batch = b, .type = NFT_MSG_DELSETELEM, .set = i};

		put_missing(&s, &have->elems[i], &want->elems[i]);
	}
}

void nft_sets_put_adds(struct nft_batch *b, const struct nft_picture *have,
		       const struct nft_picture *want)
{
	size_t i;

	for (i = 0; i < NFT_SET_N; i++) {
		struct stream s = {.batch = b, .type = NFT_MSG_NEWSETELEM, .set = i};

		put_missing(&s, &want->elems[i], &have->elems[i]);
	}
}

bool nft_sets_equal(const struct nft_picture *a, const struct nft_picture *b)
{
	bool equal = true;
	size_t i;

	for (i = 0; i < NFT_SET_N; i++) {
		const struct nft_elems *x = &a->elems[i], *y = &b->elems[i];

		if (x->n == y->n && (x->n == 0 || memcmp(x->v, y->v, x->n * sizeof(*x->v)) == 0))
			continue;
		log_debug("nftables differ", "what=\"elements of %s\" have=%zu want=%zu",
			  sets[i].name, x->n, y->n);
		equal = false;
	}
	return equal;
}
