/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* pod → policies → addresses → who carries them, of a node or of a cluster. */
#include "ctl.h"
#include "view.h"

struct bindings {
	const struct ctl *ctl;
	const struct view *view;
	struct table *table;
	struct json *list;
	size_t n, n_bound; /* pods, and those under a policy */
	const struct json *shares;
};

/*
 * place: the head of the second column. shares: what pods hold of addresses with limits, as the
 * daemon says; NULL: there is no column for it.
 */
void bindings_open(struct bindings *out, const struct ctl *ctl, const struct view *v,
		   const char *place, const struct json *shares);
/* node NULL: an attachment of this one, and a pod without policies is listed, too. */
void bindings_add(struct bindings *out, const struct record *rec, const char *node);
void bindings_print(struct bindings *out);
void bindings_done(struct bindings *out);
