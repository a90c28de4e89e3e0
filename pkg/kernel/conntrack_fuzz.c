/* SPDX-License-Identifier: Apache-2.0 */
/* Any answers about connections: a list of flows of those sources, or an error. */
#include <assert.h>
#include <netinet/in.h>

#include "kernel/conntrack.h"
#include "kernel/fuzz_attrs.h"
#include "testkit/fuzz_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_source(const struct addr *sources, size_t n, struct addr a)
{
	for (size_t i = 0; i < n; i++)
		if (addr_eq(sources[i], a))
			return true;
	return false;
}

static void check(const struct ct_flow *f)
{
	assert(f->proto == IPPROTO_TCP || f->proto == IPPROTO_UDP || f->proto == IPPROTO_SCTP);
	assert(addr_is_v4(f->src) == addr_is_v4(f->dst));
	assert(addr_is_v4(f->src) == addr_is_v4(f->seen));
}

static void list(const struct addr *addrs, size_t n, bool seen)
{
	struct ct_flow *flows = NULL;
	size_t n_flows = 0, gone = 0;
	int r = seen ? conntrack_list_seen(addrs, n, &flows, &n_flows, NULL)
		     : conntrack_list(addrs, n, &flows, &n_flows, NULL);

	if (r < 0)
		return;
	for (size_t i = 0; i < n_flows; i++) {
		assert(is_source(addrs, n, seen ? flows[i].seen : flows[i].src));
		check(&flows[i]);
	}
	conntrack_forget(flows, n_flows, &gone, NULL);
	assert(gone <= n_flows);
	free(flows);
}

/* Of each family and protocol, as moves.h brings them: one batch. */
static void make(const struct addr *sources, int n)
{
	struct ct_flow flows[3];
	size_t made = 0;

	for (int i = 0; i < n; i++)
		flows[i] = (struct ct_flow){.src = sources[i],
					    .dst = sources[i],
					    .seen = sources[i],
					    .sport = 4000,
					    .dport = 443,
					    .seen_port = 4001,
					    .proto = i ? IPPROTO_TCP : IPPROTO_UDP,
					    .zone = 16,
					    .answered = i != 1,
					    .timeout = 600,
					    .tcp_state = 3,
					    .tcp_wscale = {7, TCP_WSCALE_NONE}};
	conntrack_make(flows, (size_t)n, &made, NULL);
	assert(made <= (size_t)n);
}

/* Bit 0: list, or forget; bit 1: of three, or one; bit 2: by whom the other side sees; bit 3: make
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct addr sources[3];
	size_t n;

	if (!size)
		return 0;
	addr_parse("10.244.1.5", &sources[0]);
	addr_parse("10.244.1.6", &sources[1]);
	addr_parse("fd00:244::5", &sources[2]);
	n = *data & 2 ? 3 : 1;
	wire_feed(data + 1, size - 1, true);
	if (*data & 8)
		make(sources, *data & 2 ? 3 : 1);
	else if (*data & 1)
		list(sources, n, *data & 4);
	else
		conntrack_forget_sources(sources, n, &n, NULL);
	return 0;
}
