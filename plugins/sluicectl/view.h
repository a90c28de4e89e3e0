/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the daemon would decide, worked out beside it from the same inputs by the same
 * code: policy folder (or the last good policies), interfaces, records. Works without
 * daemon; what cannot be read without root is left out and said.
 */
#include "config/daemon_conf.h"
#include "policy/compile.h"
#include "policy/image.h"
#include "reconcile/node.h"
#include "reconcile/policies.h"
#include "state/record.h"

struct view {
	int64_t at;
	struct policies policies;
	struct node_state *node;
	struct compiled *compiled;
	struct image image;
	uint8_t *image_data;
	struct record **records;
	size_t n_records;
	struct err records_err; /* code 0 = they could be read */
	/* Of a cluster: who says that he carries which address. NULL: it follows from the objects.
	 */
	struct json *carriers; /* {address: {node, since, …}} */
};

/* The node that carries it; NULL: nobody says so. */
const char *view_owner(const struct view *v, const struct egress_addr *a);
/* Since when, "2026-01-31T09:00:00Z"; NULL: not known. */
const char *view_since(const struct view *v, const struct egress_addr *a);
/* Makes the image of what is compiled. */
int view_image(struct view *v, const struct daemon_conf *conf, struct err *e);

/* As it would be at that moment, seconds since 1970. */
int view_open(const struct daemon_conf *conf, int64_t at, struct view *ret, struct err *e);
void view_done(struct view *v); /* a zeroed one is fine */
/* The policies in force are not those of the folder: says so on stderr. */
void view_warn(const struct view *v, const struct daemon_conf *conf);
/* "EgressPolicy shop/payments"; into one of 4 static buffers. */
const char *policy_title(const struct doc_policy *p);
/* Of a rule or a default block: "Allow", "" without; a gateway, "node", NULL without. */
const char *rule_action_text(const struct flat_rule *r);
const char *rule_via_text(const struct flat_rule *r);
