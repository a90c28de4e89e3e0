/* SPDX-License-Identifier: Apache-2.0 */
/* Egress addresses as this node's daemon sees them, and the gateways that it hears. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "daemon_ask.h"
#include "gateway_list.h"
#include "text.h"

static struct json *rows_of(const struct json *status)
{
	const struct json *list = json_get(status, "addresses");
	struct json *rows = json_new_array();

	for (size_t i = 0; i < json_len(list); i++) {
		struct json *row = json_dup(json_at(list, i));

		json_set(row, "node", json_new_string(text_of(row, "owner")));
		json_del(row, "owner");
		json_append(rows, row);
	}
	return rows;
}

/* This node among those that it hears. */
static struct json *members_of(const struct json *status)
{
	const struct json *gateways = json_get(status, "gateways");
	const struct json *peers = json_get(gateways, "peers");
	struct json *members = json_new_array(), *self;

	if (!text_of(gateways, "state"))
		return members;
	self = json_new_object();
	json_set(self, "node", json_new_string(text_of(status, "node")));
	json_set(self, "self", json_new_bool(true));
	json_set(self, "state",
		 json_new_string(bool_of(gateways, "drained") ? "Drained"
							      : text_of(gateways, "state")));
	json_append(members, self);
	for (size_t i = 0; i < json_len(peers); i++)
		json_append(members, json_dup(json_at(peers, i)));
	return members;
}

static void members_print(const struct json *members)
{
	static const char *const head[] = {"MEMBER", "STATE", "SINCE", "HEARD", "AGREES"};
	__cleanup(table_freep) struct table *t = table_new(head, 5);

	for (size_t i = 0; i < json_len(members); i++) {
		const struct json *m = json_at(members, i);
		bool self = bool_of(m, "self");
		__cleanup_free char *heard = mem_printf("%" PRId64 "ms ago", int_of(m, "heardMs"));
		char since[AGO_MAX];
		const char *cells[] = {
			text_of(m, "node"),
			text_of(m, "state"),
			json_get(m, "sinceMs") ? ago_text(int_of(m, "sinceMs") / 1000, since)
					       : NULL,
			self						? "this node"
			: json_type(json_get(m, "heardMs")) == JSON_INT ? heard
									: "never",
			self		       ? NULL
			: bool_of(m, "agrees") ? "yes"
					       : "no",
		};

		table_row(t, cells);
	}
	if (json_len(members)) {
		putchar('\n');
		table_print(t);
	}
}

/* When this node last had addresses that another one had, too. */
static void duplicate_print(const struct json *last)
{
	__cleanup_free char *took = NULL;
	char ago[AGO_MAX];

	if (json_type(last) != JSON_OBJECT)
		return;
	if (json_type(json_get(last, "settledMs")) == JSON_INT)
		took = mem_printf("settled after %" PRId64 "ms", int_of(last, "settledMs"));
	printf("duplicate   %s, %" PRId64 " in all, on %s, too, %s ago, %s\n",
	       text_of(last, "address") ?: "?", int_of(last, "addresses"),
	       text_of(last, "node") ?: "?", since_text(text_of(last, "at"), ago) ?: "?",
	       took ?: "not settled yet");
}

static void print(const struct json *o, bool wide)
{
	__cleanup_free char *failover = failover_text(json_get(o, "lastFailover"));

	printf("node        %s%s\nheartbeats  %s\n", text_of(o, "node") ?: "?",
	       bool_of(o, "drained") ? ", drained: it takes no address until 'undrain'" : "",
	       text_of(o, "heartbeats") ?: "-");
	if (failover)
		printf("failover    %s\n", failover);
	duplicate_print(json_get(o, "lastDuplicate"));
	putchar('\n');
	gateway_rows_print(json_get(o, "addresses"), wide);
	if (!json_len(json_get(o, "addresses")))
		puts("no egress address is in use");
	members_print(json_get(o, "members"));
}

static int run(struct ctl *ctl)
{
	__cleanup_json struct json *status = NULL, *o = json_new_object();
	const struct json *gateways, *last, *twice;
	struct err e = {0};

	if (daemon_ask_op(ctl, "status", &status, &e) < 0)
		return ctl_fail(&e);
	gateways = json_get(status, "gateways");
	last = json_get(gateways, "lastFailover");
	twice = json_get(gateways, "lastDuplicate");
	json_set(o, "node", json_new_string(text_of(status, "node")));
	json_set(o, "drained", json_new_bool(bool_of(gateways, "drained")));
	json_set(o, "heartbeats", json_new_string(text_of(gateways, "heartbeats")));
	json_set(o, "lastFailover", last ? json_dup(last) : json_new_null());
	json_set(o, "lastDuplicate", twice ? json_dup(twice) : json_new_null());
	json_set(o, "addresses", rows_of(status));
	json_set(o, "members", members_of(status));
	if (ctl->json)
		ctl_print_json(o);
	else
		print(o, ctl->wide);
	return CTL_OK;
}

const struct verb verb_gateways = {
	.name = "gateways",
	.run = run,
	.help = "gateways [OPTION]…\n"
		"egress addresses, which node carries each, and since when\n"
		"\n"
		"For a node: the addresses that it uses or carries, as its daemon sees it now,\n"
		"and the other gateways with the time since each was last heard. For a cluster:\n"
		"all addresses, as their carriers report them in status. -o wide adds where each\n"
		"was taken over from, the device, connections and ports.\n"
		"\n",
};
