/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that this node has, and another is to have. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/moves_priv.h"
#include "gateway/moves_wire.h"

struct leaving *leaving_find(struct moves *m, struct addr a)
{
	for (size_t i = 0; i < m->n_leaving; i++)
		if (addr_eq(m->leaving[i].addr, a))
			return &m->leaving[i];
	return NULL;
}

static bool channel_used(const struct moves *m, const struct channel *c)
{
	for (size_t i = 0; i < m->n_leaving; i++)
		if (m->leaving[i].channel == c)
			return true;
	return false;
}

void leaving_remove(struct moves *m, struct leaving *l)
{
	struct channel *c = l->channel;

	*l = m->leaving[--m->n_leaving];
	if (c && !channel_used(m, c))
		channel_close(c);
}

static void leave_gone(struct moves *m, struct leaving *l)
{
	*(l->state == LEAVE_TAKEN ? &m->counts->left : &m->counts->left_alone) += 1;
	l->state = LEAVE_GONE;
	l->until = clock_ms() + MOVE_LINGER_MS;
}

static void tell_all(struct moves *m, struct channel *c)
{
	__cleanup_free struct addr *addrs = mem_alloc0(m->n_leaving * sizeof(*addrs));
	size_t n = 0;

	for (size_t i = 0; i < m->n_leaving; i++) {
		struct leaving *l = &m->leaving[i];

		if (l->channel != c || l->state != LEAVE_OPENING)
			continue;
		l->state = LEAVE_TOLD;
		addrs[n++] = l->addr;
	}
	if (n && move_tell(m->ops, m->data, c, &(struct move_words){FRAME_READY, addrs, n}) < 0)
		log_warn("connections not told", "to=%s", addr_str(channel_peer(c)));
}

/* Those of one pass go together. */
void leaving_tell(void *data)
{
	struct moves *m = data;

	for (size_t i = 0; i < m->n_leaving; i++) {
		struct leaving *l = &m->leaving[i];

		if (l->state == LEAVE_OPENING && l->channel && channel_opened(l->channel))
			tell_all(m, l->channel);
	}
}

/* The other one has them: what has begun meanwhile, and we let go. */
int leaving_taken(struct moves *m, struct channel *c, const struct addr *addrs, size_t n)
{
	int r = move_tell(m->ops, m->data, c, &(struct move_words){FRAME_DONE, addrs, n});

	for (size_t i = 0; i < n; i++) {
		struct leaving *l = leaving_find(m, addrs[i]);

		if (l && l->channel == c && l->state == LEAVE_TOLD)
			l->state = LEAVE_TAKEN;
	}
	moves_timer_arm(m);
	m->ops->changed(m->data);
	return r;
}

static struct channel *channel_towards(struct moves *m, struct addr to)
{
	struct channel *c = NULL;
	struct err e = {0};

	for (size_t i = 0; i < m->n_leaving; i++)
		if (m->leaving[i].channel && addr_eq(m->leaving[i].to, to))
			return m->leaving[i].channel;
	if (channel_open(m->channels, to, m->peer_port, &c, &e) < 0)
		log_warn("addresses go without their connections", "to=%s error=%s", addr_str(to),
			 log_quote(e.msg));
	return c;
}

static enum move_leaving leaving_as(const struct leaving *l)
{
	return l->state == LEAVE_GONE ? MOVE_GONE : l->state == LEAVE_TAKEN ? MOVE_LET : MOVE_KEEP;
}

void moves_let(struct moves *m, struct addr a)
{
	struct leaving *l = leaving_find(m, a);

	if (!l || l->state != LEAVE_TAKEN)
		return;
	leave_gone(m, l);
	moves_timer_arm(m);
	m->ops->changed(m->data);
}

enum move_leaving moves_leaving(struct moves *m, struct addr a, struct addr to)
{
	struct leaving *l = leaving_find(m, a);
	struct channel *c;

	if (l && addr_eq(l->to, to))
		return leaving_as(l);
	moves_drop(m, a);
	c = channel_towards(m, to);
	MEM_GROW(m->leaving, m->n_leaving);
	l = &m->leaving[m->n_leaving++];
	*l = (struct leaving){
		.addr = a, .to = to, .channel = c, .until = clock_ms() + MOVE_LEAVE_MS};
	loop_timer_arm(m->tell, 0);
	if (!c)
		leave_gone(m, l);
	moves_timer_arm(m);
	return leaving_as(l);
}

/* The channel has ended. True: they go without a word from there. */
bool leaving_closed(struct moves *m, const struct channel *c)
{
	bool lost = false;

	for (size_t i = 0; i < m->n_leaving; i++) {
		struct leaving *l = &m->leaving[i];

		if (l->channel != c)
			continue;
		l->channel = NULL;
		if (l->state != LEAVE_GONE) {
			leave_gone(m, l);
			lost = true;
		}
	}
	return lost;
}

bool leaving_expire(struct moves *m, int64_t now)
{
	bool changed = false;

	for (size_t i = m->n_leaving; i-- > 0;) {
		struct leaving *l = &m->leaving[i];

		if (l->until > now)
			continue;
		if (l->state == LEAVE_GONE) {
			leaving_remove(m, l);
			continue;
		}
		leave_gone(m, l);
		changed = true;
	}
	return changed;
}
