/* SPDX-License-Identifier: Apache-2.0 */
/* drain, undrain: whether this node may have egress addresses. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon_ask.h"

#define LOOK_MS	    100
#define PATIENCE_MS 15000 /* of a move, with room for a segment that is slow to answer */

static int tell(const struct ctl *ctl, bool on, struct err *e)
{
	__cleanup_json struct json *request = json_new_object(), *answer = NULL;

	json_set(request, "op", json_new_string("drain"));
	json_set(request, "on", json_new_bool(on));
	return daemon_ask(ctl, request, &answer, e);
}

/* Addresses that are still here, as the status has them. */
static int here(const struct ctl *ctl, struct json **ret, struct err *e)
{
	__cleanup_json struct json *request = json_new_object(), *answer = NULL;
	struct json *list = json_new_array();
	const struct json *all;
	int r;

	json_set(request, "op", json_new_string("status"));
	r = daemon_ask(ctl, request, &answer, e);
	all = json_get(answer, "addresses");
	for (size_t i = 0; r == 0 && i < json_len(all); i++) {
		const char *state = "", *address = "";

		json_string(json_get(json_at(all, i), "state"), &state, NULL);
		json_string(json_get(json_at(all, i), "address"), &address, NULL);
		if (strcmp(state, "Local") == 0 || strcmp(state, "Leaving") == 0)
			json_append(list, json_new_string(address));
	}
	*ret = list;
	return r;
}

static void say(const struct ctl *ctl, bool drained, const struct json *left)
{
	__cleanup_json struct json *o = json_new_object();

	if (ctl->json) {
		json_set(o, "drained", json_new_bool(drained));
		json_set(o, "addresses", left ? json_dup(left) : json_new_array());
		ctl_print_json(o);
		return;
	}
	if (!drained)
		puts("this node may have egress addresses again");
	else if (!json_len(left))
		puts("drained: this node has no egress address, and takes none until 'undrain'");
}

static int run_drain(struct ctl *ctl)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
	size_t before = 0;
	struct err e = {0};
	int r = tell(ctl, true, &e);

	for (int ms = 0; r == 0; ms += LOOK_MS) {
		__cleanup_json struct json *left = NULL;

		r = here(ctl, &left, &e);
		if (r == 0 && !json_len(left)) {
			say(ctl, true, left);
			return CTL_OK;
		}
		if (r == 0 && json_len(left) != before)
			fprintf(stderr, "%zu addresses are still here\n", json_len(left));
		before = json_len(left);
		if (r == 0 && ms >= PATIENCE_MS) {
			say(ctl, true, left);
			r = err_set(
				&e, -1,
				"%zu addresses stay: no other node of their gateway lives and may "
				"have them ('sluicectl status' names them)",
				before);
		}
		nanosleep(&pause, NULL);
	}
	return ctl_fail(&e);
}

static int run_undrain(struct ctl *ctl)
{
	struct err e = {0};

	if (tell(ctl, false, &e) < 0)
		return ctl_fail(&e);
	say(ctl, false, NULL);
	return CTL_OK;
}

const struct verb verb_drain = {
	.name = "drain",
	.run = run_drain,
	.help = "drain [OPTION]…\n"
		"hand this node's egress addresses to other gateways\n"
		"\n"
		"Their connections move along; none is cut. The node takes no address until\n"
		"'undrain', over restarts too. Waits until the last address is gone; exit\n"
		"status 1 if one stays because no other node may have it.\n"
		"\n",
};

const struct verb verb_undrain = {
	.name = "undrain",
	.run = run_undrain,
	.help = "undrain [OPTION]…\n"
		"let this node carry egress addresses again\n"
		"\n",
};
