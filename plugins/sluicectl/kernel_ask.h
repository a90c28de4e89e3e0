/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The same question to the program in force: it and what was worked out here must agree. */
#include "ctl.h"
#include "policy/explain.h"
#include "state/record.h"

struct kernel_answer {
	bool asked, agrees;
	char text[512]; /* why it was not asked, or what it says instead */
};

void kernel_ask(const struct daemon_conf *conf, const struct explain_query *q,
		const struct explain *x, const struct record *rec, struct kernel_answer *ret);
