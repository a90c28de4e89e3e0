/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gateways in a world of its own time: packets are lost, late, in another order, replayed by a
 * stranger; nodes crash and come back, daemons are killed, clocks are set, the segment falls
 * apart, one-way too, with and without carrier; Node objects are not ready, addresses come and go
 *by edits, who has one is written in status, and some learn all that later than others. Who is not
 *ready takes none that it has not had. Then, as members.h promises: never two owners for longer
 *than the bound once connectivity is whole, never none while somebody sees the segment, and in the
 *end all at home. The same seed gives the same world.
 *
 *	SIM_SEEDS=100000 (make sim)   SIM_FIRST=4711 SIM_SEEDS=1 SIM_TELL=1: one of them, told
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gateway/members.h"
#include "policy/rank.h"

#define NODES	  5
#define ADDRS	  6
#define STEP	  5 /* ms */
#define CHAOS_MS  6000
#define INTERVAL  100
#define MISSED	  3
#define HOLD_DOWN 700
#define DELAY	  40 /* of a packet, at most */
#define PASS	  20 /* from a change of mind to the kernel, at most */
#define PROBE	  50
#define RETRY	  100
#define BOUND_TWO ((MISSED + 3) * INTERVAL + 3 * DELAY + PASS + STEP)
#define HELD_BACK                                                                       \
	(2 * MISSED * INTERVAL) /* what the stranger can add: it also has what was lost \
				 */
#define BOUND_NONE \
	(BOUND_TWO + HELD_BACK + 2 * INTERVAL + PROBE + 2 * RETRY + 2 * PASS + MISSED * INTERVAL)
#define WRITE 200 /* between two of a status by one node */
#define LAG   300 /* between two nodes that learn of the same object */
#define OLD   512 /* packets that the stranger remembers */

#ifdef __SANITIZE_ADDRESS__
#define SEEDS 300
#else
#define SEEDS 2000
#endif

static const char *const names[NODES] = {"gw-a", "gw-b", "gw-c", "gw-d", "gw-e"};
static bool tell;

struct node {
	struct members *m; /* NULL: no daemon */
	bool up, carrier;  /* the kernel answers for what it holds */
	bool held[ADDRS];
	int64_t probe_end[ADDRS], retry_at[ADDRS];
	bool probe_hit[ADDRS];
	uint32_t home[ADDRS], owner[ADDRS]; /* as this node sees it */
	uint64_t serial;
	int64_t pass_at, clock; /* wall clock beside the true one */
	int64_t skew;		/* of the clock that only runs forward: 1 in so many */
	int64_t writes_at[ADDRS];
};

/* What the API says of an address, and when a node learns it, 0: it knows. */
struct edit {
	bool there;
	uint32_t said; /* who has it by its status, NODES: nobody */
	int64_t learns_at;
};

struct flying {
	int64_t at;
	uint32_t to;
	struct heartbeat h;
};

struct world {
	uint64_t rnd;
	int64_t now, changed; /* the last event */
	size_t n;
	struct node nodes[NODES];
	int group[NODES]; /* of the segment; the router is in group 0 */
	bool deaf[NODES][NODES];
	bool ready[NODES], seen_ready[NODES][NODES]; /* the object; as each node knows it */
	int64_t learns_at[NODES][NODES];	     /* 0: it knows */
	struct edit addrs[ADDRS], seen[NODES][ADDRS];
	uint32_t loss; /* percent */
	struct flying *air;
	size_t n_air;
	struct flying old[OLD];
	size_t n_old;
	int64_t longest_two, longest_none;
};

static uint32_t below(struct world *w, uint32_t n)
{
	w->rnd ^= w->rnd << 13;
	w->rnd ^= w->rnd >> 7;
	w->rnd ^= w->rnd << 17;
	return (uint32_t)(w->rnd >> 20) % n;
}

static int64_t local(const struct world *w, const struct node *n)
{
	return w->now + w->now / n->skew + 1000;
}

/* Frames of the segment, from one kernel to the other. */
static bool reaches(const struct world *w, size_t from, size_t to)
{
	const struct node *a = &w->nodes[from], *b = &w->nodes[to];

	return a->up && b->up && a->carrier && b->carrier && w->group[from] == w->group[to] &&
	       !w->deaf[to][from];
}

static bool sees_router(const struct world *w, size_t i)
{
	return w->nodes[i].up && w->nodes[i].carrier && w->group[i] == 0;
}

/* ---- a node's daemon ---- */

static struct members_self self_of(const struct world *w, const struct node *n)
{
	struct members_self s = {.blind = !n->carrier, .time_ms = (uint64_t)(w->now + n->clock)};
	size_t self = (size_t)(n - w->nodes);

	bool others = false;

	for (size_t a = 0; a < ADDRS; a++)
		s.holds = s.holds || n->held[a];
	for (size_t k = 0; k < w->n; k++)
		others = others || (k != self && w->seen_ready[self][k]);
	s.doubted = !w->seen_ready[self][self] && others;
	return s;
}

static void daemon_start(struct world *w, struct node *n)
{
	struct members_self self = self_of(w, n);
	struct member_conf list[NODES];

	n->m = members_new(1000000 + (uint64_t)(w->now + n->clock), &self, local(w, n));
	for (size_t i = 0; i < w->n; i++)
		list[i] = (struct member_conf){names[i], INTERVAL, HOLD_DOWN, MISSED};
	members_set_self(n->m, &self, local(w, n));
	members_configure(n->m, names[n - w->nodes], list, w->n, local(w, n));
	n->serial = 0;
	n->pass_at = w->now;
	memset(n->probe_end, 0, sizeof(n->probe_end));
	memset(n->retry_at, 0, sizeof(n->retry_at));
}

static void daemon_stop(struct node *n)
{
	members_free(n->m);
	n->m = NULL;
}

struct ranked {
	const struct edit *seen;
	size_t index[ADDRS]; /* of those that are there */
};

static bool has(void *data, size_t addr, size_t node)
{
	const struct ranked *k = data;

	return k->seen[k->index[addr]].said == node;
}

static void node_rank(struct world *w, struct node *n, const uint8_t tiers[NODES])
{
	struct addr addrs[ADDRS];
	uint32_t home[ADDRS], owner[ADDRS];
	struct ranked k = {.seen = w->seen[n - w->nodes]};
	struct rank_in in = {.addrs = addrs,
			     .names = names,
			     .tiers = tiers,
			     .n_nodes = w->n,
			     .has = has,
			     .data = &k};

	for (size_t a = 0; a < ADDRS; a++) {
		n->home[a] = n->owner[a] = RANK_NONE;
		if (!k.seen[a].there)
			continue;
		k.index[in.n_addrs] = a;
		addrs[in.n_addrs++] = addr_from_v4((uint8_t[4]){203, 0, 113, (uint8_t)a});
	}
	rank_assign(&in, home, owner);
	for (size_t i = 0; i < in.n_addrs; i++) {
		n->home[k.index[i]] = home[i];
		n->owner[k.index[i]] = owner[i];
	}
}

static void node_think(struct world *w, struct node *n)
{
	uint8_t tiers[NODES];

	for (size_t i = 0; i < w->n; i++) {
		struct member_view v = {0};

		tiers[i] = members_self_tier(n->m);
		for (size_t k = 0; k + 1 < w->n; k++) {
			members_get(n->m, k, &v);
			if (strcmp(v.name, names[i]) == 0)
				tiers[i] = v.tier;
		}
		if (!w->seen_ready[n - w->nodes][i] && tiers[i] > RANK_KEEPING)
			tiers[i] = RANK_KEEPING;
	}
	node_rank(w, n, tiers);
}

/* Others are ready and LIVE, as far as it knows, and nothing was said of its having it. */
static bool takes_what_is_new_unready(const struct world *w, size_t i, size_t a)
{
	struct member_view v;

	if (w->seen_ready[i][i] || w->seen[i][a].said == i)
		return false;
	for (size_t k = 0; k + 1 < w->n; k++) {
		members_get(w->nodes[i].m, k, &v);
		for (size_t o = 0; o < w->n; o++)
			if (strcmp(v.name, names[o]) == 0 && v.tier == RANK_LIVE &&
			    w->seen_ready[i][o])
				return true;
	}
	return false;
}

static bool sees_segment(const struct world *w, size_t i)
{
	if (!members_alone(w->nodes[i].m) || sees_router(w, i))
		return true;
	for (size_t k = 0; k < w->n; k++)
		if (k != i && reaches(w, i, k) && reaches(w, k, i))
			return true;
	return false;
}

static bool somebody_answers(const struct world *w, size_t i, size_t a)
{
	for (size_t k = 0; k < w->n; k++) {
		const struct node *o = &w->nodes[k];

		if (k != i && reaches(w, i, k) && reaches(w, k, i) &&
		    (o->held[a] || (o->m && o->probe_end[a] > w->now)))
			return true;
	}
	return false;
}

static void node_claim(struct world *w, size_t i, size_t a)
{
	struct node *n = &w->nodes[i];

	if (n->owner[a] != i) {
		n->held[a] = false;
		n->probe_end[a] = 0;
		return;
	}
	if (n->held[a] || !n->carrier || !members_settled(n->m) || w->now < n->retry_at[a])
		return;
	if (!n->probe_end[a]) {
		n->probe_end[a] = w->now + PROBE;
		n->probe_hit[a] = false;
	}
	n->probe_hit[a] = n->probe_hit[a] || somebody_answers(w, i, a);
	if (w->now < n->probe_end[a])
		return;
	n->held[a] = !n->probe_hit[a] && sees_segment(w, i);
	if (n->held[a] && takes_what_is_new_unready(w, i, a))
		fail_msg("%s takes address %zu at %ld and is not ready", names[i], a, (long)w->now);
	n->probe_end[a] = 0;
	n->retry_at[a] = w->now + RETRY + below(w, RETRY);
}

static void node_pass(struct world *w, size_t i)
{
	struct node *n = &w->nodes[i];
	struct members_self self;

	if (members_serial(n->m) != n->serial) {
		n->serial = members_serial(n->m);
		n->pass_at = w->now + below(w, PASS + 1);
		node_think(w, n);
	}
	if (w->now < n->pass_at)
		return;
	for (size_t a = 0; a < ADDRS; a++)
		node_claim(w, i, a);
	for (size_t k = 0; k < w->n; k++) {
		bool taken = false;

		for (size_t a = 0; a < ADDRS; a++)
			taken = taken || (n->held[a] && n->home[a] == k && k != i);
		members_set_taken(n->m, names[k], taken);
	}
	self = self_of(w, n);
	members_set_self(n->m, &self, local(w, n));
}

/* An edit, or a status. */
static void edit_say(struct world *w, size_t a, uint32_t lag)
{
	for (size_t i = 0; i < w->n; i++)
		w->seen[i][a].learns_at = w->now + 1 + below(w, lag);
}

static void status_write(struct world *w, size_t i)
{
	struct node *n = &w->nodes[i];

	for (size_t a = 0; a < ADDRS; a++) {
		uint32_t said = w->seen[i][a].said, want = n->held[a] ? (uint32_t)i : NODES;

		if (w->now < n->writes_at[a] || (n->held[a] ? said == i : said != i))
			continue;
		n->writes_at[a] = w->now + WRITE;
		w->addrs[a].said = want;
		edit_say(w, a, LAG);
	}
}

static void learn_addrs(struct world *w, size_t i)
{
	for (size_t a = 0; a < ADDRS; a++) {
		if (!w->seen[i][a].learns_at || w->seen[i][a].learns_at > w->now)
			continue;
		w->seen[i][a] = w->addrs[a];
		w->nodes[i].serial = UINT64_MAX;
	}
}

static void learn(struct world *w, size_t i)
{
	learn_addrs(w, i);
	for (size_t k = 0; k < w->n; k++) {
		if (!w->learns_at[i][k] || w->learns_at[i][k] > w->now)
			continue;
		w->learns_at[i][k] = 0;
		w->seen_ready[i][k] = w->ready[k];
		w->nodes[i].serial = UINT64_MAX; /* to think again */
	}
}

static void send_all(struct world *w, size_t i)
{
	struct flying f;
	size_t peer;

	while (members_send(w->nodes[i].m, local(w, &w->nodes[i]), &peer, &f.h)) {
		f.to = (uint32_t)(peer >= i ? peer + 1 : peer); /* without itself, by name */
		w->old[w->n_old++ % OLD] = f;
		if (!reaches(w, i, f.to) || below(w, 100) < w->loss)
			continue;
		f.at = w->now + below(w, DELAY);
		MEM_GROW(w->air, w->n_air);
		w->air[w->n_air++] = f;
	}
}

static void deliver(struct world *w)
{
	size_t left = 0;

	if (below(w, 10) == 0 && w->n_old) { /* the stranger */
		struct flying f = w->old[below(w, w->n_old < OLD ? (uint32_t)w->n_old : OLD)];

		f.at = w->now;
		MEM_GROW(w->air, w->n_air);
		w->air[w->n_air++] = f;
	}
	for (size_t i = 0; i < w->n_air; i++) {
		struct node *n = &w->nodes[w->air[i].to];

		if (w->air[i].at > w->now)
			w->air[left++] = w->air[i];
		else if (n->up && n->m)
			members_receive(n->m, &w->air[i].h, local(w, n));
	}
	w->n_air = left;
}

/* ---- what happens to it ---- */

static void node_crash(struct node *n)
{
	daemon_stop(n);
	n->up = false;
	memset(n->held, 0, sizeof(n->held));
}

static void say_ready(struct world *w, size_t k, bool ready, uint32_t lag)
{
	w->ready[k] = ready;
	for (size_t i = 0; i < w->n; i++)
		w->learns_at[i][k] = w->now + 1 + below(w, lag);
	w->changed = w->now + lag;
}

static void edit(struct world *w, size_t a, uint32_t lag)
{
	w->addrs[a].there = !w->addrs[a].there;
	edit_say(w, a, lag);
	w->changed = w->now + lag;
}

static void event(struct world *w)
{
	struct node *n = &w->nodes[below(w, (uint32_t)w->n)];
	uint32_t what = below(w, 12);

	w->changed = w->now;
	if (tell)
		printf("# %5ld: event %u at %s\n", (long)w->now, what, names[n - w->nodes]);
	if (what == 0) {
		node_crash(n);
	} else if (what <= 2) {
		n->up = true;
		if (!n->m)
			daemon_start(w, n);
	} else if (what == 3 && n->m) {
		daemon_stop(n);
	} else if (what == 4) {
		for (size_t i = 0; i < w->n; i++)
			w->group[i] = (int)below(w, 2);
	} else if (what == 5) {
		n->carrier = !n->carrier;
	} else if (what == 6) {
		w->loss = below(w, 50);
	} else if (what == 7) {
		w->deaf[n - w->nodes][below(w, (uint32_t)w->n)] = true;
	} else if (what == 8) {
		n->clock += (int64_t)below(w, 7200000) - 3600000;
		memset(w->group, 0, sizeof(w->group));
		memset(w->deaf, 0, sizeof(w->deaf));
	} else if (what == 9) {
		say_ready(w, (size_t)(n - w->nodes), !w->ready[n - w->nodes], LAG);
	} else {
		edit(w, below(w, ADDRS), LAG);
	}
}

static void heal(struct world *w)
{
	w->changed = w->now;
	w->loss = 2;
	memset(w->group, 0, sizeof(w->group));
	memset(w->deaf, 0, sizeof(w->deaf));
	for (size_t a = 0; a < ADDRS; a++)
		if (!w->addrs[a].there)
			edit(w, a, 1);
	for (size_t i = 0; i < w->n; i++) {
		struct node *n = &w->nodes[i];

		n->up = n->carrier = true;
		say_ready(w, i, true, 1);
		if (!n->m)
			daemon_start(w, n);
	}
}

/* ---- what must hold ---- */

static bool is_whole(const struct world *w)
{
	for (size_t i = 0; i < w->n; i++) {
		if (!w->nodes[i].up || !w->nodes[i].carrier || !w->nodes[i].m || w->group[i])
			return false;
		for (size_t k = 0; k < w->n; k++)
			if (w->deaf[i][k])
				return false;
	}
	return w->loss <= 10;
}

/* Among those who see the router, and only if the segment is the same both ways. */
static bool somebody_could(const struct world *w)
{
	bool could = false;

	for (size_t i = 0; i < w->n; i++) {
		could = could || (sees_router(w, i) && w->nodes[i].m);
		for (size_t k = 0; k < w->n; k++)
			if (w->deaf[i][k])
				return false;
	}
	return could && w->loss <= 10;
}

static void world_tell(const struct world *w)
{
	for (size_t i = 0; i < w->n && tell; i++) {
		const struct node *n = &w->nodes[i];

		printf("# %s: up %d carrier %d daemon %d group %d", names[i], n->up, n->carrier,
		       !!n->m, w->group[i]);
		if (n->m)
			printf(" tier %d settled %d alone %d", members_self_tier(n->m),
			       members_settled(n->m), members_alone(n->m));
		for (size_t a = 0; a < ADDRS; a++)
			printf(" %s%d", n->held[a] ? "*" : "", (int)n->owner[a]);
		printf("\n");
	}
}

static void check(struct world *w, uint64_t seed)
{
	int64_t calm = w->now - w->changed;

	for (size_t a = 0; a < ADDRS; a++) {
		int all = 0, seen = 0;

		for (size_t i = 0; i < w->n; i++) {
			all += w->nodes[i].up && w->nodes[i].held[a];
			seen += w->nodes[i].held[a] && sees_router(w, i);
		}
		if (is_whole(w) && all > 1 && calm > w->longest_two)
			w->longest_two = calm;
		if (!w->addrs[a].there)
			seen = 1; /* nobody is to have it */
		if (somebody_could(w) && !seen && calm > w->longest_none)
			w->longest_none = calm;
		if ((is_whole(w) && all > 1 && calm > BOUND_TWO) ||
		    (somebody_could(w) && !seen && calm > BOUND_NONE)) {
			world_tell(w);
			fail_msg("seed %lu: address %zu has %d owners %ld ms after the last event "
				 "(%ld)",
				 (unsigned long)seed, a, is_whole(w) ? all : seen, (long)calm,
				 (long)w->now);
		}
	}
}

static void world_init(struct world *w, uint64_t seed)
{
	memset(w, 0, sizeof(*w));
	w->rnd = seed * 0x9e3779b97f4a7c15u + 1;
	for (int i = 0; i < 8; i++)
		below(w, 2);
	w->n = 2 + below(w, NODES - 1);
	memset(w->ready, true, sizeof(w->ready));
	memset(w->seen_ready, true, sizeof(w->seen_ready));
	for (size_t a = 0; a < ADDRS; a++) {
		w->addrs[a] = (struct edit){.there = below(w, 4), .said = NODES};
		for (size_t i = 0; i < NODES; i++)
			w->seen[i][a] = w->addrs[a];
	}
	for (size_t i = 0; i < w->n; i++) {
		struct node *n = &w->nodes[i];

		n->up = n->carrier = true;
		n->clock = below(w, 100000);
		n->skew = below(w, 2) ? 1000 : -1000;
		daemon_start(w, n);
	}
}

static void step(struct world *w, uint64_t seed)
{
	w->now += STEP;
	deliver(w);
	for (size_t i = 0; i < w->n; i++) {
		struct node *n = &w->nodes[i];

		learn(w, i);
		if (!n->m)
			continue;
		members_tick(n->m, local(w, n));
		node_pass(w, i);
		status_write(w, i);
		send_all(w, i);
	}
	check(w, seed);
}

static void all_at_home(const struct world *w, uint64_t seed)
{
	for (size_t a = 0; a < ADDRS; a++)
		for (size_t i = 0; i < w->n; i++)
			if (w->nodes[i].held[a] != (w->nodes[i].home[a] == i)) {
				world_tell(w);
				fail_msg("seed %lu: address %zu is not at home at %s",
					 (unsigned long)seed, a, names[i]);
			}
}

static void world_run(uint64_t seed, int64_t *two, int64_t *none)
{
	static struct world w;
	int64_t next = 0;

	world_init(&w, seed);
	while (w.now < CHAOS_MS) {
		if (w.now >= next) {
			next = w.now + STEP + below(&w, below(&w, 4) ? 500 : 2000);
			event(&w);
		}
		step(&w, seed);
	}
	heal(&w);
	while (w.now < CHAOS_MS + HOLD_DOWN + BOUND_TWO + BOUND_NONE)
		step(&w, seed);
	all_at_home(&w, seed);
	*two = w.longest_two > *two ? w.longest_two : *two;
	*none = w.longest_none > *none ? w.longest_none : *none;
	for (size_t i = 0; i < w.n; i++)
		daemon_stop(&w.nodes[i]);
	free(w.air);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s ? strtoull(s, NULL, 10) : otherwise;
}

static void two_owners_only_within_the_bound_and_none_never(void **state)
{
	uint64_t first = number("SIM_FIRST", 1), seeds = number("SIM_SEEDS", SEEDS);
	int64_t two = 0, none = 0;

	tell = getenv("SIM_TELL");
	for (uint64_t i = 0; i < seeds; i++)
		world_run(first + i, &two, &none);
	printf("# %lu seeds: two owners for at most %ld ms (bound %d), none for at most %ld ms "
	       "(bound %d)\n",
	       (unsigned long)seeds, (long)two, BOUND_TWO, (long)none, BOUND_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_owners_only_within_the_bound_and_none_never),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
