/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * All policies in the order in which they are asked, as a node has them or as a cluster does.
 * Whoever knows of one makes a row of it; order and looks are the same for both.
 */
#include "ctl.h"
#include "json/json.h"
#include "policy/doc.h"

/* What the row of a policy begins with: step (enum policy_step), priority, namespace or "", name.
 */
struct policy_place {
	uint8_t step;
	int64_t priority;
	const char *namespace, *name;
	bool cluster; /* a ClusterEgressPolicy */
};

/*
 * {step, kind, namespace, name, priority, mode, subject, rules, default, accepted, reason,
 * message, ready, readyReason, created | file, line}. accepted null: nobody has judged it yet.
 */
struct json *policy_row(const struct policy_place *at);
/* accepted NULL: not known. */
void policy_row_judge(struct json *row, const char *key, const bool *yes, const char *reason,
		      const char *message);

void policy_rows_sort(struct json **rows, size_t n);
/* Prints and frees them. */
void policy_rows_print(const struct ctl *ctl, struct json **rows, size_t n);

/* "app=web,tier in (a,b),!old"; "all" when it has no requirement. Malloc'd. */
char *selector_text(const struct selector *s);
