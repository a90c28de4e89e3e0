/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/members_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define ANNOUNCED_MAX_MS 10000 /* an interval that a peer says is believed up to this */
#define ECHO_TIMES	 2     /* an echo may be so many times older than a peer may be silent */
#define SETTLE_MS	 1000  /* after LIVE is said: peers let go, see state_step */

struct members *members_new(uint64_t incarnation, const struct members_self *self, int64_t now)
{
	struct members *m = mem_alloc0(sizeof(*m));

	m->incarnation = incarnation;
	m->self = *self;
	m->born = now;
	m->settled = true;
	m->blind_since = -1;
	m->state = HEARTBEAT_LIVE;
	return m;
}

static void member_done(struct member *p)
{
	free(p->name);
}

void members_free(struct members *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		member_done(&m->peers[i]);
	free(m->peers);
	free(m->name);
	free(m);
}

static struct member *member_find(const struct members *m, const char *name)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->peers[i].name, name) == 0)
			return &m->peers[i];
	return NULL;
}

/* How long a peer may be silent: late is not lost, so an eighth more than it promised. */
static int64_t patience(const struct member *p)
{
	uint32_t ms = p->conf.interval_ms;

	if (p->announced_ms > ms)
		ms = p->announced_ms;
	return (int64_t)ms * p->conf.missed + ms / 8;
}

static int64_t patience_max(const struct members *m)
{
	int64_t max = 0;

	for (size_t i = 0; i < m->n; i++)
		if (patience(&m->peers[i]) > max)
			max = patience(&m->peers[i]);
	return max;
}

/* ---- the list ---- */

static int member_cmp(const void *a, const void *b)
{
	return strcmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

static struct member member_take(struct members *m, const struct member_conf *conf, int64_t now)
{
	struct member *old = member_find(m, conf->name);
	struct member p = {
		.heard_at = -1, .since = now, .send_at = now, .apart_at = -1, .tier = RANK_AWAY};

	if (old) {
		p = *old;
		old->name = mem_strdup(""); /* is freed with what is left over */
	} else {
		p.name = mem_strdup(conf->name);
		p.id = heartbeat_name(conf->name);
	}
	p.conf = *conf;
	p.conf.name = p.name;
	if (p.send_at > now + conf->interval_ms)
		p.send_at = now + conf->interval_ms;
	return p;
}

static void peers_replace(struct members *m, struct member *peers, size_t n)
{
	for (size_t i = 0; i < m->n; i++)
		member_done(&m->peers[i]);
	free(m->peers);
	if (n)
		qsort(peers, n, sizeof(*peers), member_cmp);
	m->peers = peers;
	m->n = n;
	m->serial++;
}

/* The first peers: who was there before, and what does it hold? */
static void listen_first(struct members *m, int64_t now)
{
	m->settled = false;
	m->settled_at = now + patience_max(m) + m->conf.interval_ms;
	m->join_at = m->settled_at;
	m->state = m->self.holds ? HEARTBEAT_LIVE : HEARTBEAT_JOINING;
}

int members_configure(struct members *m, const char *self, const struct member_conf *list, size_t n,
		      int64_t now)
{
	struct member *peers = NULL;
	size_t n_peers = 0;
	bool first = m->n == 0;

	free(m->name);
	m->name = mem_strdup(self);
	m->id = heartbeat_name(self);
	for (size_t i = 0; i < n && n <= MEMBERS_MAX; i++) {
		if (strcmp(list[i].name, self) == 0) {
			m->conf = list[i];
			m->conf.name = m->name;
			continue;
		}
		MEM_GROW(peers, n_peers);
		peers[n_peers++] = member_take(m, &list[i], now);
	}
	peers_replace(m, peers, n_peers);
	if (first && n_peers)
		listen_first(m, now);
	if (!n_peers) {
		m->state = HEARTBEAT_LIVE;
		m->settled = true;
		m->away = false;
	}
	members_tick(m, now);
	return n > MEMBERS_MAX ? -E2BIG : 0;
}

void members_set_self(struct members *m, const struct members_self *self, int64_t now)
{
	m->self = *self;
	if (!self->blind)
		m->blind_since = -1;
	else if (m->blind_since < 0)
		m->blind_since = now;
}

void members_set_taken(struct members *m, const char *name, bool taken)
{
	struct member *p = member_find(m, name);

	if (p)
		p->taken = taken;
}

/* ---- what follows from it ---- */

uint8_t members_tier(uint8_t state)
{
	return state == HEARTBEAT_LIVE	  ? RANK_LIVE
	       : state != HEARTBEAT_BLIND ? RANK_JOINING
					  : RANK_AWAY;
}

static void peer_judge(struct members *m, struct member *p, int64_t now)
{
	uint8_t tier;

	p->heard = p->heard_at >= 0 && now - p->heard_at <= patience(p);
	tier = p->heard ? members_tier(p->state) : RANK_AWAY;
	if (tier == p->tier)
		return;
	p->tier = tier;
	p->since = now;
	m->serial++;
}

static void state_set(struct members *m, uint8_t state)
{
	if (m->state == state)
		return;
	m->state = state;
	m->serial++;
}

/* One that is heard says that it does not hear us. */
static bool someone_misses_us(const struct members *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->peers[i].heard && !(m->peers[i].flags & HEARTBEAT_HEARD))
			return true;
	return false;
}

static bool someone_lives(const struct members *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->peers[i].heard && m->peers[i].state == HEARTBEAT_LIVE)
			return true;
	return false;
}

static void join(struct members *m, int64_t at)
{
	state_set(m, HEARTBEAT_JOINING);
	m->join_at = at;
}

/* Without carrier for as long as others wait for us: by now they have taken over. */
static bool blind_step(struct members *m, int64_t now)
{
	if (m->n && m->blind_since >= 0 && now - m->blind_since >= patience_max(m)) {
		state_set(m, HEARTBEAT_BLIND);
		return true;
	}
	if (m->state == HEARTBEAT_BLIND && m->blind_since < 0) {
		m->settled = false;
		m->settled_at = now + patience_max(m) + m->conf.interval_ms;
		join(m, m->settled_at);
	}
	return false;
}

/* At a start everybody has been apart. */
static void apart_note(struct members *m, int64_t now)
{
	for (size_t i = 0; i < m->n; i++) {
		struct member *p = &m->peers[i];

		if (p->heard && p->flags & HEARTBEAT_HEARD)
			p->met = true;
		else if (p->met)
			p->apart_at = now;
		if (!m->settled)
			p->apart_at = now;
	}
}

/*
 * Somebody holds what is at home here, and took it while we were away. Where none was, it is an
 * edit that brought the home here: who holds it knows, and hands it over.
 */
static bool taken_meanwhile(const struct members *m, int64_t now)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct member *p = &m->peers[i];

		if (p->heard && p->flags & HEARTBEAT_TAKEN && p->apart_at >= 0 &&
		    now - p->apart_at <= patience_max(m) + SETTLE_MS)
			return true;
	}
	return false;
}

static void state_step(struct members *m, int64_t now)
{
	bool taken;

	apart_note(m, now);
	taken = taken_meanwhile(m, now);
	if (!m->settled && now >= m->settled_at) {
		m->settled = true;
		m->serial++;
	}
	if (blind_step(m, now))
		return;
	if (m->self.drained && m->settled) {
		m->away = false;
		m->join_at = now;
		state_set(m, HEARTBEAT_DRAINED);
		return;
	}
	if (m->state == HEARTBEAT_DRAINED)
		join(m, now);
	if (taken && !m->away && now >= m->trust_from) {
		m->away = true;
		join(m, now + m->conf.hold_down_ms);
	}
	if (m->state != HEARTBEAT_JOINING)
		return;
	if ((m->away && someone_misses_us(m)) || (m->self.doubted && someone_lives(m)))
		m->join_at = now + m->conf.hold_down_ms;
	else if (now >= m->join_at) {
		/* TAKEN is said until all have heard this; if it does not end, it begins anew */
		m->away = false;
		m->trust_from = now + patience_max(m) + SETTLE_MS;
		state_set(m, HEARTBEAT_LIVE);
	}
}

void members_tick(struct members *m, int64_t now)
{
	for (size_t i = 0; i < m->n; i++)
		peer_judge(m, &m->peers[i], now);
	if (m->n)
		state_step(m, now);
}

/* ---- packets ---- */

/* Sequence numbers tell the time: how old an echo is can be read off it. */
static uint64_t seq_at(const struct members *m, int64_t now)
{
	return (uint64_t)(now - m->born + 1) * 1000;
}

static bool is_fresh(const struct members *m, const struct member *p, uint64_t echo_seq,
		     int64_t now)
{
	int64_t limit = ECHO_TIMES * patience(p);

	return seq_at(m, now) <= echo_seq + (uint64_t)limit * 1000;
}

static struct member *member_by_id(const struct members *m, uint64_t id)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->peers[i].id == id)
			return &m->peers[i];
	return NULL;
}

static void peer_update(struct members *m, struct member *p, const struct heartbeat *h, int64_t now)
{
	p->heard_at = now;
	p->state = h->state;
	p->flags = h->flags;
	p->config = h->config;
	p->key = h->key;
	p->clock_off_ms = (int64_t)(h->time_ms - m->self.time_ms);
	p->announced_ms = h->interval_ms < ANNOUNCED_MAX_MS ? h->interval_ms : ANNOUNCED_MAX_MS;
	p->n_macs = h->n_macs;
	memcpy(p->macs, h->macs, sizeof(p->macs));
}

enum members_fate members_receive(struct members *m, const struct heartbeat *h, int64_t now)
{
	struct member *p = h->to == m->id ? member_by_id(m, h->from) : NULL;

	if (!p)
		return MEMBERS_STRANGER;
	if (h->incarnation < p->incarnation ||
	    (h->incarnation == p->incarnation && h->seq <= p->seq))
		return MEMBERS_REPLAYED;
	p->incarnation = h->incarnation;
	p->seq = h->seq;
	if (h->echo_incarnation > m->incarnation ||
	    (h->echo_incarnation == m->incarnation && h->echo_seq > m->seq)) {
		/* that was us, before the clock went back */
		m->incarnation = h->echo_incarnation + 1;
		return MEMBERS_UNPROVEN;
	}
	if (h->echo_incarnation != m->incarnation || !is_fresh(m, p, h->echo_seq, now))
		return MEMBERS_UNPROVEN;
	peer_update(m, p, h, now);
	members_tick(m, now);
	return MEMBERS_TAKEN_IN;
}

bool members_send(struct members *m, int64_t now, size_t *ret_peer, struct heartbeat *ret)
{
	for (size_t i = 0; i < m->n; i++) {
		struct member *p = &m->peers[i];
		uint64_t seq = seq_at(m, now);

		if (p->send_at > now)
			continue;
		/* in step with what was promised, however late this is */
		p->send_at += p->conf.interval_ms;
		if (p->send_at <= now)
			p->send_at = now + p->conf.interval_ms;
		m->seq = seq > m->seq ? seq : m->seq + 1;
		*ret = (struct heartbeat){
			.from = m->id,
			.to = p->id,
			.incarnation = m->incarnation,
			.seq = m->seq,
			.echo_incarnation = p->incarnation,
			.echo_seq = p->seq,
			.time_ms = m->self.time_ms,
			.config = m->self.config,
			.interval_ms = p->conf.interval_ms,
			.state = m->state,
			.flags = (p->heard ? HEARTBEAT_HEARD : 0) |
				 (p->taken ? HEARTBEAT_TAKEN : 0),
			.n_macs = m->self.n_macs,
			.key = p->key,
		};
		memcpy(ret->macs, m->self.macs, sizeof(ret->macs));
		*ret_peer = i;
		return true;
	}
	return false;
}

static void sooner(int64_t *due, int64_t at)
{
	if (at < *due)
		*due = at;
}

int64_t members_due(const struct members *m, int64_t now)
{
	int64_t due = INT64_MAX;

	for (size_t i = 0; i < m->n; i++) {
		const struct member *p = &m->peers[i];

		sooner(&due, p->send_at);
		if (p->heard)
			sooner(&due, p->heard_at + patience(p) + 1);
	}
	if (m->n && !m->settled)
		sooner(&due, m->settled_at);
	if (m->n && m->state == HEARTBEAT_JOINING && m->join_at > now)
		sooner(&due, m->join_at);
	return due;
}
