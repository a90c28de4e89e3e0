/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/log.h"
#include "reconcile/moving.h"
#include "reconcile/priv.h"

static enum remains_place place_of(uint32_t state)
{
	return state == SLU_ADDR_LOCAL	  ? REMAINS_HERE
	       : state == SLU_ADDR_REMOTE ? REMAINS_AWAY
					  : REMAINS_OPEN;
}

void remains_note(struct reconcile *r)
{
	const struct desired *d = r->desired;
	const struct egress_addr *addrs;
	int64_t now = clock_ms();
	size_t n;

	addrs = compiled_addrs(r->compiled, &n);
	remains_begin(&r->remains);
	for (size_t i = 0; i < n; i++)
		if (d->addr_ids[i])
			remains_put(&r->remains, addrs[i].addr,
				    place_of(d->model->egress[d->addr_ids[i]].state), now);
	remains_end(&r->remains);
}

int64_t remains_run(struct reconcile *r, int64_t now)
{
	__cleanup_free struct addr *addrs = NULL;
	struct err e = {0};
	size_t n = remains_take(&r->remains, now, &addrs), gone = 0;

	if (n && r->desired && moving_forget(r->desired->model, addrs, n, &gone, &e) < 0)
		log_warn("connections not forgotten", "addresses=%zu error=%s", n,
			 log_quote(e.msg));
	else if (gone)
		log_info("connections forgotten", "addresses=%zu connections=%zu", n, gone);
	return remains_due(&r->remains);
}
