/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "daemon_ask.h"
#include "policy/missing.h"
#include "text.h"
#include "view.h"

static void print_list(const struct json *list, const char *const *head, const char *const *keys,
		       size_t n)
{
	__cleanup(table_freep) struct table *t = table_new(head, n);
	const char *cells[8];

	for (size_t i = 0; i < json_len(list); i++) {
		for (size_t k = 0; k < n; k++)
			cells[k] = text_of(json_at(list, i), keys[k]);
		table_row(t, cells);
	}
	if (json_len(list)) {
		putchar('\n');
		table_print(t);
	}
}

static void print_api(const struct json *api)
{
	static const char *const head[] = {"COLLECTION", "OBJECTS", "TOLD", "ERROR"};
	__cleanup(table_freep) struct table *t = table_new(head, 4);
	const struct json *list = json_get(api, "collections");
	bool connected = false;

	if (!api)
		return;
	json_bool(json_get(api, "connected"), &connected, NULL);
	printf("API         %s, %" PRId64 " objects refused\n",
	       connected ? "connected" : "not connected", int_of(api, "refused"));
	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *c = json_at(list, i);
		__cleanup_free char *count = mem_printf("%" PRId64, int_of(c, "count"));
		bool synced = false;

		json_bool(json_get(c, "synced"), &synced, NULL);
		table_row(t, (const char *[]){text_of(c, "name"), count, synced ? "yes" : "no",
					      text_of(c, "error")});
	}
	putchar('\n');
	table_print(t);
}

static void print_status(const struct json *s)
{
	static const char *const cond_head[] = {"CONDITION", "STATUS", "REASON", "MESSAGE"};
	static const char *const cond_keys[] = {"type", "status", "reason", "message"};
	static const char *const addr_head[] = {"ADDRESS", "GATEWAY",	"OWNER",
						"STATE",   "INTERFACE", "PROBLEM"};
	static const char *const addr_keys[] = {"address", "gateway",	"owner",
						"state",   "interface", "problem"};
	static const char *const missing_head[] = {"POLICY", "MISSING"};
	static const char *const missing_keys[] = {"policy", "missing"};

	printf("node        %s\nversion     %s\nready       %s\n", text_of(s, "node"),
	       text_of(s, "version"), bool_of(s, "ready") ? "yes" : "no");
	if (bool_of(json_get(s, "gateways"), "drained"))
		puts("drained     yes: it takes no egress address until 'undrain'");
	printf("policies    %" PRId64 "\npods        %" PRId64 ", %" PRId64 " governed\n",
	       int_of(s, "policies"), int_of(s, "pods"), int_of(s, "governed"));
	if (text_of(s, "lastError"))
		printf("last error  %s\n", text_of(s, "lastError"));
	print_api(json_get(s, "api"));
	print_list(json_get(s, "conditions"), cond_head, cond_keys, 4);
	print_list(json_get(s, "addresses"), addr_head, addr_keys, 6);
	print_list(json_get(s, "missing"), missing_head, missing_keys, 2);
}

/* What policies name and is not there: the daemon runs without it, so it is asked of the folder. */
static struct json *missing_json(const struct ctl *ctl)
{
	__cleanup_close int state_fd = open(ctl->conf.state_dir,
					    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	__cleanup(policies_done) struct policies p = {0};
	__cleanup_free struct missing *list = NULL;
	struct json *all = json_new_array();
	size_t n = 0;

	if (policies_read(&p, ctl->conf.policy_dir, state_fd, NULL) == 0)
		policy_missing(p.set, &list, &n);
	for (size_t i = 0; i < n; i++) {
		__cleanup_free char *text = missing_text(&list[i]);
		struct json *o = json_new_object();

		json_set(o, "policy", json_new_string(policy_title(list[i].policy)));
		json_set(o, "missing", json_new_string(text));
		json_append(all, o);
	}
	return all;
}

static int run(struct ctl *ctl)
{
	__cleanup_json struct json *answer = NULL;
	struct err e = {0};

	if (daemon_ask_op(ctl, "status", &answer, &e) < 0)
		return ctl_fail(&e);
	json_set(answer, "missing", missing_json(ctl));
	if (ctl->json)
		ctl_print_json(answer);
	else
		print_status(answer);
	return bool_of(answer, "ready") ? CTL_OK : CTL_NOT_READY;
}

const struct verb verb_status = {
	.name = "status",
	.run = run,
	.help = "status [OPTION]…\n"
		"is all as it should be: conditions, egress addresses, owners\n"
		"\n"
		"Asks the daemon. Exit status 0: ready, 3: not ready, 1: the daemon does not\n"
		"answer. For a cluster: one line per node with its daemon and addresses, who\n"
		"writes status, and which gateways and policies are not in force, and why.\n"
		"\n",
};
