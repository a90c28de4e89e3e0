/* SPDX-License-Identifier: Apache-2.0 */
/* Any answer of a daemon: printed, or an error; the same one as text and as JSON. */
#include <assert.h>

#include "ctl.h"
#include "testkit/fuzz_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ctl ctl = {.conf = {.run_dir = "/nowhere"}};
	int as_text, as_json;

	wire_feed_one(data, size);
	as_text = verb_status.run(&ctl);
	ctl.json = true;
	wire_feed_one(data, size);
	as_json = verb_status.run(&ctl);
	assert(as_text == as_json);
	return 0;
}
