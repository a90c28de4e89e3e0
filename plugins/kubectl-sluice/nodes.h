/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a cluster's API tells of each node: of itself, of the daemon's pod on it, of its addresses.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json/json.h"

struct node_line {
	char *name;
	bool listed, ready, schedulable; /* the Node object: is there, says so */
	bool other_system;		 /* not Linux: the DaemonSet leaves it out */
	/* The pod of the DaemonSet; daemon false: there is none. */
	bool daemon, daemon_ready;
	char *pod, *namespace, *reason;
	char *image, *version; /* its tag or digest; what the init container said of the program */
	int64_t restarts;
	char **addresses; /* that it says to carry */
	size_t n_addresses;
};

struct node_lines {
	struct node_line *list;
	size_t n;
};

void node_lines_done(struct node_lines *l);
void node_lines_sort(struct node_lines *l); /* by name */

void nodes_add_node(struct node_lines *l, const struct json *node);
void nodes_add_pod(struct node_lines *l, const struct json *pod);
void nodes_add_gateway(struct node_lines *l, const struct json *gateway);
void nodes_forget_addresses(struct node_lines *l);

/* Its daemon is ready, or it needs none: it has another system, or is not ready and has none. */
bool node_line_good(const struct node_line *n);
struct json *node_line_json(const struct node_line *n, bool pods_known, bool leader);
