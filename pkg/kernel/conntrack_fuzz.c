/* SPDX-License-Identifier: Apache-2.0 */
/* Any dump of connections: a list of flows of those sources, or an error. */
#include <assert.h>
#include <netinet/in.h>

#include "base/mem.h"
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

static void list(const struct addr *sources, size_t n)
{
	struct ct_flow *flows = NULL;
	size_t n_flows = 0, gone = 0;

	if (conntrack_list(sources, n, &flows, &n_flows, NULL) < 0)
		return;
	for (size_t i = 0; i < n_flows; i++) {
		assert(is_source(sources, n, flows[i].src));
		assert(flows[i].proto == IPPROTO_TCP || flows[i].proto == IPPROTO_UDP ||
		       flows[i].proto == IPPROTO_SCTP);
		assert(addr_is_v4(flows[i].src) == addr_is_v4(flows[i].dst));
	}
	conntrack_forget(flows, n_flows, &gone, NULL);
	assert(gone <= n_flows);
	free(flows);
}

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
	if (*data & 1)
		list(sources, n);
	else
		conntrack_forget_sources(sources, n, &n, NULL);
	return 0;
}
