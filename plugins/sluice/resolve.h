/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What governs the pod: asked of the daemon, else of the snapshot, else of a compile run. */
#include "plugin.h"
#include "state/record.h"

/*
 * Fills rec->policy, key, spread and flags. 0, or CNI_TRY_AGAIN with the reason
 * when nobody can say and the pod may not pass without an answer. May store rec
 * (so that a compile run sees the pod) and may run `sluiced --once`.
 */
int resolve_add(struct plugin *p, struct record *rec, struct err *e);

/*
 * The same without changing anything: 1 when the answer is known and in the
 * kernel, 0 when nobody can say now.
 */
int resolve_look(struct plugin *p, struct record *rec);

/* Whether the pod may go without being governed when that cannot be: failureMode open or an exempt
 * namespace. */
bool resolve_may_pass(const struct plugin *p, const struct record *rec);
