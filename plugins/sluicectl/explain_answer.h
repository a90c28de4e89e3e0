/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One answer of explain, as text or as JSON. */
#include "kernel_ask.h"
#include "policy/explain.h"
#include "view.h"

/* One attachment and one destination: what both outputs are made from. */
struct answer {
	const struct view *view;
	const struct explain *x;
	const struct explain_query *q;
	const struct record *rec;
	const char *l4; /* "TCP/443" */
	const struct kernel_answer *kernel;
};

bool explain_governed(const struct explain *x);
void explain_print(const struct answer *a);
struct json *explain_json(const struct answer *a);
