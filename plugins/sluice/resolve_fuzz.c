/* SPDX-License-Identifier: Apache-2.0 */
/* Any answer of a daemon: a pod has a policy, or has none, or the answer is as if none had come. */
#include <assert.h>

#include "resolve.h"
#include "testkit/fuzz_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct plugin_conf conf = {.state_dir = "/nowhere", .run_dir = "/nowhere"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct plugin p = {.conf = &conf};
	struct record rec = {.namespace = "shop", .pod = "p", .network = "n", .ifname = "eth0"};

	wire_feed_one(data, size);
	if (resolve_look(&p, &rec) == 0)
		assert(!rec.policy && !rec.key && !rec.flags && !rec.spread);
	else
		assert(!wire_left());
	return 0;
}
