/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "gateway/members_priv.h"

void members_get(const struct members *m, size_t i, struct member_view *ret)
{
	const struct member *p = &m->peers[i];

	*ret = (struct member_view){
		.name = p->name,
		.tier = p->tier,
		.heard = p->heard,
		.state = p->heard ? p->state : 0,
		.drained = p->heard && p->state == HEARTBEAT_DRAINED,
		.agrees = p->config == m->self.config,
		.heard_at = p->heard_at,
		.since = p->since,
		.clock_off_ms = p->clock_off_ms,
		.n_macs = p->n_macs,
		.key = p->key,
	};
	memcpy(ret->macs, p->macs, sizeof(ret->macs));
}

uint8_t members_self_tier(const struct members *m)
{
	return m->n ? members_tier(m->state) : RANK_LIVE;
}

uint8_t members_self_state(const struct members *m)
{
	return m->n ? m->state : HEARTBEAT_LIVE;
}

uint64_t members_serial(const struct members *m)
{
	return m->serial;
}

bool members_settled(const struct members *m)
{
	return m->settled;
}

static bool anybody_heard(const struct members *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->peers[i].heard)
			return true;
	return false;
}

bool members_alone(const struct members *m)
{
	return m->n && !anybody_heard(m);
}
