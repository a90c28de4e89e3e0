/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses ask nodes in the order of their scores, and a full node sends away who ranks it
 * lowest (Gale and Shapley 1962): whatever the order of asking, one outcome. Whom everybody
 * sent away gets a place along a path of moves, if there is one (Berge 1957).
 */
#include "policy/rank.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/mem.h"

struct rank {
	const struct rank_in *in;
	size_t n_classes, share;
	uint64_t *addr_hash, *node_hash;
	bool *open;	    /* [class * n_nodes + node] in this round of places */
	uint32_t *owner;    /* by address */
	uint32_t *held;	    /* by node */
	uint32_t *by_class; /* held, [node * n_classes + class]: only while room is made */
	uint32_t *by_name;  /* nodes in the order of their names: the same on every node */
	bool *fixed;	    /* by address: it is where it belongs */
};

/* The finalizer of MurmurHash3 (Appleby): every bit of the input counts in every bit. */
static uint64_t mix(uint64_t h)
{
	h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
	h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
	return h ^ (h >> 33);
}

static uint64_t hash_addr(struct addr a)
{
	return hash_bytes(a.b, sizeof(a.b), 0);
}

static uint64_t hash_node(const char *name)
{
	return hash_str(name, 1);
}

static size_t class_of(const struct rank *r, size_t addr)
{
	return r->in->classes ? r->in->classes[addr] : 0;
}

#define PREFERRED (1ull << 63)

static uint64_t score(const struct rank *r, size_t addr, size_t node)
{
	uint64_t h = mix(r->addr_hash[addr] ^ r->node_hash[node]);

	if (!r->in->prefers)
		return h;
	return h >> 1 | (r->in->prefers[class_of(r, addr) * r->in->n_nodes + node] ? PREFERRED : 0);
}

size_t rank_share(size_t n_addrs, size_t n_nodes)
{
	return n_nodes ? (5 * n_addrs + 4 * n_nodes - 1) / (4 * n_nodes) : 0;
}

/* Equal scores (never seen, but defined): the smaller name. */
static bool node_before(const struct rank *r, size_t addr, uint32_t a, uint32_t b)
{
	uint64_t x = score(r, addr, a), y = score(r, addr, b);

	return x != y ? x > y : strcmp(r->in->names[a], r->in->names[b]) < 0;
}

static bool addr_before(const struct rank *r, size_t node, uint32_t a, uint32_t b)
{
	uint64_t x = score(r, a, node), y = score(r, b, node);

	return x != y ? x > y : addr_cmp(r->in->addrs[a], r->in->addrs[b]) < 0;
}

/* ---- asking ---- */

/* The best of the nodes that it may go to and that it ranks below `after`. */
static uint32_t next_node(const struct rank *r, size_t addr, uint32_t after)
{
	const bool *open = &r->open[class_of(r, addr) * r->in->n_nodes];
	uint64_t best_score = 0, limit = after == RANK_NONE ? 0 : score(r, addr, after);
	uint32_t best = RANK_NONE;

	for (uint32_t n = 0; n < r->in->n_nodes; n++) {
		uint64_t s = score(r, addr, n);

		if ((best != RANK_NONE && s < best_score) || !open[n] ||
		    (after != RANK_NONE &&
		     (n == after || s > limit || !node_before(r, addr, after, n))))
			continue;
		if (best == RANK_NONE || node_before(r, addr, n, best)) {
			best = n;
			best_score = s;
		}
	}
	return best;
}

struct seat {
	uint64_t score;
	uint32_t addr, node;
};

static int seat_cmp(const void *va, const void *vb, void *arg)
{
	const struct seat *a = va, *b = vb;
	const struct rank *r = arg;

	if (a->node != b->node)
		return a->node < b->node ? -1 : 1;
	if (a->score != b->score)
		return a->score > b->score ? -1 : 1;
	return addr_cmp(r->in->addrs[a->addr], r->in->addrs[b->addr]);
}

/* Full nodes send away whom they rank lowest; these are asked[0..n) of the next round. */
static size_t send_away(struct rank *r, uint32_t *asked)
{
	__cleanup_free struct seat *seats = NULL;
	size_t n_seats = 0, n = 0, taken = 0;

	for (uint32_t a = 0; a < r->in->n_addrs; a++) {
		uint32_t node = r->owner[a];

		if (node == RANK_NONE || r->fixed[a] || r->held[node] <= r->share)
			continue;
		MEM_GROW(seats, n_seats);
		seats[n_seats++] = (struct seat){score(r, a, node), a, node};
	}
	if (n_seats)
		qsort_r(seats, n_seats, sizeof(*seats), seat_cmp, r);
	for (size_t i = n_seats; i-- > 0;) {
		/* from the lowest of each node upwards */
		taken = i + 1 < n_seats && seats[i + 1].node == seats[i].node ? taken : 0;
		if (r->held[seats[i].node] - taken <= r->share)
			continue;
		taken++;
		asked[n++] = seats[i].addr;
	}
	return n;
}

/* All that are nowhere yet; who finds no place stays so. */
static void ask(struct rank *r)
{
	__cleanup_free uint32_t *asking = mem_alloc0(r->in->n_addrs * sizeof(*asking));
	size_t n = 0;

	for (uint32_t a = 0; a < r->in->n_addrs; a++)
		if (r->owner[a] == RANK_NONE)
			asking[n++] = a;
	while (n) {
		for (size_t i = 0; i < n; i++) {
			uint32_t before = r->owner[asking[i]];
			uint32_t node = next_node(r, asking[i], before);

			if (before != RANK_NONE)
				r->held[before]--;
			if (node != RANK_NONE)
				r->held[node]++;
			r->owner[asking[i]] = node;
		}
		n = send_away(r, asking);
	}
}

/* ---- making room ---- */

struct path {
	uint32_t *from, *queue; /* by node: who hands over to it, RANK_NONE = the newcomer */
	uint32_t *by;		/* by node: the class of what is handed over */
	bool *seen;
};

static void path_done(struct path *p)
{
	free(p->from);
	free(p->queue);
	free(p->by);
	free(p->seen);
}

/* Nodes that class may go to, as far as they are new on the way. */
static size_t path_extend(const struct rank *r, struct path *p, uint32_t from, uint32_t class,
			  size_t n)
{
	for (size_t i = 0; i < r->in->n_nodes; i++) {
		uint32_t node = r->by_name[i];

		if (p->seen[node] || !r->open[class * r->in->n_nodes + node])
			continue;
		p->seen[node] = true;
		p->from[node] = from;
		p->by[node] = class;
		p->queue[n++] = node;
	}
	return n;
}

/* The first node with room that can be reached by moves, RANK_NONE = there is none. */
static uint32_t path_find(const struct rank *r, struct path *p, uint32_t class)
{
	size_t n;

	memset(p->seen, 0, r->in->n_nodes);
	n = path_extend(r, p, RANK_NONE, class, 0);
	for (size_t i = 0; i < n; i++) {
		uint32_t node = p->queue[i];

		if (r->held[node] < r->share)
			return node;
		for (uint32_t k = 0; k < r->n_classes; k++)
			if (r->by_class[node * r->n_classes + k])
				n = path_extend(r, p, node, k, n);
	}
	return RANK_NONE;
}

static void put(struct rank *r, uint32_t addr, uint32_t node)
{
	uint32_t before = r->owner[addr];
	size_t class = class_of(r, addr);

	if (before != RANK_NONE) {
		r->held[before]--;
		r->by_class[before * r->n_classes + class]--;
	}
	r->owner[addr] = node;
	r->held[node]++;
	r->by_class[node * r->n_classes + class]++;
}

/* Of what `from` holds of a class, that which ranks `to` highest. */
static uint32_t pick(const struct rank *r, uint32_t from, uint32_t to, uint32_t class)
{
	uint32_t best = RANK_NONE;

	for (uint32_t a = 0; a < r->in->n_addrs; a++)
		if (r->owner[a] == from && class_of(r, a) == class &&
		    (best == RANK_NONE || addr_before(r, to, a, best)))
			best = a;
	return best;
}

static bool is_full(const struct rank *r, size_t node)
{
	return r->in->most && r->held[node] >= r->in->most;
}

/* Nowhere is room, and none can be made: where it is least crowded. */
static void crowd(struct rank *r, uint32_t addr)
{
	const bool *open = &r->open[class_of(r, addr) * r->in->n_nodes];
	uint32_t best = RANK_NONE;

	for (uint32_t n = 0; n < r->in->n_nodes; n++) {
		if (!open[n] || is_full(r, n))
			continue;
		if (best == RANK_NONE || r->held[n] < r->held[best] ||
		    (r->held[n] == r->held[best] && node_before(r, addr, n, best)))
			best = n;
	}
	if (best != RANK_NONE)
		put(r, addr, best);
}

static int by_addr(const void *a, const void *b, void *arg)
{
	const struct rank_in *in = arg;

	return addr_cmp(in->addrs[*(const uint32_t *)a], in->addrs[*(const uint32_t *)b]);
}

static void by_class_count(struct rank *r)
{
	r->by_class = mem_alloc0(r->in->n_nodes * r->n_classes * sizeof(*r->by_class));
	for (size_t a = 0; a < r->in->n_addrs; a++)
		if (r->owner[a] != RANK_NONE)
			r->by_class[r->owner[a] * r->n_classes + class_of(r, a)]++;
}

static void make_room(struct rank *r)
{
	size_t n_nodes = r->in->n_nodes, n = 0;
	__cleanup(path_done) struct path p = {
		.from = mem_alloc0(n_nodes * sizeof(*p.from)),
		.queue = mem_alloc0(n_nodes * sizeof(*p.queue)),
		.by = mem_alloc0(n_nodes * sizeof(*p.by)),
		.seen = mem_alloc0(n_nodes),
	};
	__cleanup_free uint32_t *left = mem_alloc0(r->in->n_addrs * sizeof(*left));
	__cleanup_free bool *full = mem_alloc0(r->n_classes); /* once no way, never a way */

	for (uint32_t a = 0; a < r->in->n_addrs; a++)
		if (r->owner[a] == RANK_NONE)
			left[n++] = a;
	if (!n)
		return;
	qsort_r(left, n, sizeof(*left), by_addr, (void *)(uintptr_t)r->in);
	by_class_count(r);
	for (size_t i = 0; i < n; i++) {
		uint32_t class = (uint32_t)class_of(r, left[i]);
		uint32_t node = full[class] ? RANK_NONE : path_find(r, &p, class);

		full[class] = node == RANK_NONE;
		if (full[class])
			continue;
		for (; p.from[node] != RANK_NONE; node = p.from[node])
			put(r, pick(r, p.from[node], node, p.by[node]), node);
		put(r, left[i], node);
	}
	for (size_t i = 0; i < n; i++)
		if (r->owner[left[i]] == RANK_NONE)
			crowd(r, left[i]);
	free(r->by_class);
	r->by_class = NULL;
}

/* ---- the two rounds: homes, then places for those whose home is away ---- */

static bool may_go(const struct rank *r, size_t class, size_t node)
{
	return !r->in->eligible || r->in->eligible[class * r->in->n_nodes + node];
}

/* Nodes that any address may go to now, and the addresses that may go anywhere. */
static size_t share_of(const struct rank *r)
{
	size_t n_nodes = r->in->n_nodes, addrs = 0, nodes = 0;
	__cleanup_free bool *used = mem_alloc0(r->n_classes);

	for (size_t a = 0; a < r->in->n_addrs; a++) {
		size_t class = class_of(r, a);

		used[class] = true;
		addrs += n_nodes && memchr(&r->open[class * n_nodes], true, n_nodes);
	}
	for (size_t n = 0; n < n_nodes; n++) {
		bool any = false;

		for (size_t k = 0; k < r->n_classes; k++)
			any = any || (used[k] && r->open[k * n_nodes + n]);
		nodes += any;
	}
	return rank_share(addrs, nodes);
}

static void place(struct rank *r)
{
	size_t share = share_of(r);

	memset(r->held, 0, r->in->n_nodes * sizeof(*r->held));
	for (size_t a = 0; a < r->in->n_addrs; a++) {
		r->fixed[a] = r->owner[a] != RANK_NONE;
		if (r->fixed[a])
			r->held[r->owner[a]]++;
	}
	if (share > r->share)
		r->share = share; /* what a home may hold it may go on to hold */
	if (r->in->most && r->share > r->in->most)
		r->share = r->in->most;
	ask(r);
	make_room(r);
}

static void open_all(struct rank *r)
{
	for (size_t k = 0; k < r->n_classes; k++)
		for (size_t n = 0; n < r->in->n_nodes; n++)
			r->open[k * r->in->n_nodes + n] = may_go(r, k, n);
}

static void open_best(struct rank *r)
{
	const uint8_t *tiers = r->in->tiers;

	for (size_t k = 0; k < r->n_classes; k++) {
		uint8_t best = RANK_AWAY;

		for (size_t n = 0; n < r->in->n_nodes; n++)
			if (may_go(r, k, n) && tiers[n] > best)
				best = tiers[n];
		for (size_t n = 0; n < r->in->n_nodes; n++)
			r->open[k * r->in->n_nodes + n] = may_go(r, k, n) && tiers[n] == best &&
							  best != RANK_AWAY;
	}
}

static bool stays_home(const struct rank *r, size_t addr)
{
	uint32_t node = r->owner[addr];

	return r->open[class_of(r, addr) * r->in->n_nodes + node] ||
	       (r->in->tiers[node] == RANK_KEEPING &&
		(!r->in->has || r->in->has(r->in->data, addr, node)));
}

static int by_name(const void *a, const void *b, void *arg)
{
	const struct rank_in *in = arg;

	return strcmp(in->names[*(const uint32_t *)a], in->names[*(const uint32_t *)b]);
}

static void rank_init(struct rank *r, const struct rank_in *in)
{
	size_t n = in->n_nodes;

	*r = (struct rank){.in = in, .n_classes = in->n_classes ? in->n_classes : 1};
	r->addr_hash = mem_alloc0(in->n_addrs * sizeof(*r->addr_hash));
	r->node_hash = mem_alloc0(n * sizeof(*r->node_hash));
	r->open = mem_alloc0(n * r->n_classes);
	r->owner = mem_alloc0(in->n_addrs * sizeof(*r->owner));
	r->fixed = mem_alloc0(in->n_addrs);
	r->held = mem_alloc0(n * sizeof(*r->held));
	r->by_name = mem_alloc0(n * sizeof(*r->by_name));
	for (size_t i = 0; i < in->n_addrs; i++) {
		r->addr_hash[i] = hash_addr(in->addrs[i]);
		r->owner[i] = RANK_NONE;
	}
	for (uint32_t i = 0; i < n; i++) {
		r->node_hash[i] = hash_node(in->names[i]);
		r->by_name[i] = i;
	}
	if (n)
		qsort_r(r->by_name, n, sizeof(*r->by_name), by_name, (void *)(uintptr_t)in);
}

static void rank_done(struct rank *r)
{
	free(r->addr_hash);
	free(r->node_hash);
	free(r->open);
	free(r->owner);
	free(r->fixed);
	free(r->held);
	free(r->by_name);
}

static bool all_live(const struct rank_in *in)
{
	for (size_t n = 0; in->tiers && n < in->n_nodes; n++)
		if (in->tiers[n] != RANK_LIVE)
			return false;
	return true;
}

void rank_assign(const struct rank_in *in, uint32_t *ret_home, uint32_t *ret_owner)
{
	__cleanup(rank_done) struct rank r;

	rank_init(&r, in);
	open_all(&r);
	place(&r);
	memcpy(ret_home, r.owner, in->n_addrs * sizeof(*ret_home));
	if (!all_live(in)) {
		open_best(&r);
		for (size_t a = 0; a < in->n_addrs; a++)
			if (r.owner[a] != RANK_NONE && !stays_home(&r, a))
				r.owner[a] = RANK_NONE;
		place(&r);
	}
	memcpy(ret_owner, r.owner, in->n_addrs * sizeof(*ret_owner));
}

long rank_owner(struct addr addr, const char *const *names, size_t n)
{
	uint64_t h = hash_addr(addr), best_score = 0;
	long best = -1;

	for (size_t i = 0; i < n; i++) {
		uint64_t s = mix(h ^ hash_node(names[i]));

		if (best < 0 || s > best_score ||
		    (s == best_score && strcmp(names[i], names[best]) < 0)) {
			best = (long)i;
			best_score = s;
		}
	}
	return best;
}
