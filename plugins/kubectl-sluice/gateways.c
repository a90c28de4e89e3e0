/* SPDX-License-Identifier: Apache-2.0 */
/* gateways, of a cluster: every address of every gateway, with what its carrier says of it. */
#include "../sluicectl/gateway_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../sluicectl/text.h"
#include "base/mem.h"
#include "cluster.h"
#include "conditions.h"
#include "policy/doc.h"

struct found {
	struct json *rows, *gateways;
};

static struct json *row_new(const char *gateway, const char *address, const char *state)
{
	struct json *row = json_new_object();

	json_set(row, "gateway", json_new_string(gateway));
	json_set(row, "address", json_new_string(address));
	json_set(row, "node", json_new_string(NULL));
	json_set(row, "state", json_new_string(state));
	return row;
}

static const struct json *entry_find(const struct json *list, const char *address)
{
	for (size_t i = 0; i < json_len(list); i++) {
		const char *its = text_of(json_at(list, i), "address");

		if (its && strcmp(its, address) == 0)
			return json_at(list, i);
	}
	return NULL;
}

static struct json *row_carried(const char *gateway, const struct json *entry)
{
	struct json *row = row_new(gateway, text_of(entry, "address"), "Carried");

	for (size_t i = 0; i < json_len(entry); i++)
		if (strcmp(json_key_at(entry, i), "address") != 0)
			json_set(row, json_key_at(entry, i), json_dup(json_value_at(entry, i)));
	return row;
}

/* Addresses in a row that nobody carries are one line: there may be a thousand of them. */
static void range_add(struct json *rows, const char *gateway, const struct addr_range *range,
		      const struct json *entries)
{
	uint64_t n = addr_range_count(*range), gap = 0;

	for (uint64_t i = 0; i <= n && i <= DOC_MAX_GATEWAY_ADDRS; i++) {
		bool end = i == n || i == DOC_MAX_GATEWAY_ADDRS;
		const struct json *entry =
			end ? NULL : entry_find(entries, addr_str(addr_range_at(*range, i)));

		if ((entry || end) && gap < i) {
			__cleanup_free char *text =
				gap + 1 == i
					? mem_strdup(addr_str(addr_range_at(*range, gap)))
					: mem_printf("%s-%s", addr_str(addr_range_at(*range, gap)),
						     addr_str(addr_range_at(*range, i - 1)));

			json_append(rows, row_new(gateway, text, "Unassigned"));
		}
		if (!entry)
			continue;
		json_append(rows, row_carried(gateway, entry));
		gap = i + 1;
	}
}

static void spec_add(struct json *rows, const char *gateway, const struct json *spec,
		     const struct json *entries)
{
	const struct json *list = json_get(spec, "addresses");

	for (size_t i = 0; i < json_len(list); i++) {
		const char *text = text_of(json_at(list, i), "range"), *why;
		struct addr_range range;

		if (text && addr_range_parse(text, &range, &why) == 0)
			range_add(rows, gateway, &range, entries);
		else
			json_append(rows, row_new(gateway, text, "Invalid"));
	}
	/* addressFrom: there are those that somebody has */
	for (size_t i = 0; !json_len(list) && i < json_len(entries); i++)
		json_append(rows, row_carried(gateway, json_at(entries, i)));
}

static struct json *judged(const struct json *o, const char *type)
{
	const struct json *c = condition_of(o, type);

	return c && !condition_is_stale(o, c) ? json_new_bool(condition_is(c, "True"))
					      : json_new_null();
}

static const char *first_problem(const struct json *o)
{
	static const char *const types[] = {"Accepted", "AddressAssigned", "Ready"};

	for (size_t i = 0; i < 3; i++) {
		const struct json *c = condition_of(o, types[i]);

		if (condition_is(c, "False"))
			return text_of(c, "message");
	}
	return NULL;
}

static void on_gateway(void *data, const struct json *o)
{
	const struct json *status = json_get(o, "status");
	const struct json *last = json_get(status, "lastFailover");
	const struct json *conditions = json_get(status, "conditions");
	const char *name = text_of(json_get(o, "metadata"), "name");
	struct json *g = json_new_object();
	struct found *f = data;

	spec_add(f->rows, name, json_get(o, "spec"), json_get(status, "addresses"));
	json_set(g, "name", json_new_string(name));
	json_set(g, "accepted", judged(o, "Accepted"));
	json_set(g, "ready", judged(o, "Ready"));
	json_set(g, "message", json_new_string(first_problem(o)));
	json_set(g, "lastFailover", last ? json_dup(last) : json_new_null());
	json_set(g, "conditions", conditions ? json_dup(conditions) : json_new_array());
	json_append(f->gateways, g);
}

static void on_begin(void *data)
{
	struct found *f = data;

	json_free(f->rows);
	json_free(f->gateways);
	f->rows = json_new_array();
	f->gateways = json_new_array();
}

static void print(const struct found *f, bool wide)
{
	if (!json_len(f->gateways)) {
		fputs("no gateways\n", stderr);
		return;
	}
	gateway_rows_print(f->rows, wide);
	for (size_t i = 0; i < json_len(f->gateways); i++) {
		const struct json *g = json_at(f->gateways, i);
		__cleanup_free char *failover = failover_text(json_get(g, "lastFailover"));

		if (text_of(g, "message"))
			printf("\n%s: %s\n", text_of(g, "name"), text_of(g, "message"));
		else if (json_type(json_get(g, "accepted")) != JSON_BOOL)
			printf("\n%s: no daemon has judged it yet\n", text_of(g, "name"));
		if (failover)
			printf("\n%s: last failover %s\n", text_of(g, "name"), failover);
	}
}

int cluster_gateways(struct ctl *ctl)
{
	struct found f = {json_new_array(), json_new_array()};
	struct api_ask ask = {.path = API_OURS "egressgateways",
			      .begin = on_begin,
			      .object = on_gateway,
			      .data = &f};
	__cleanup_api struct api *a = NULL;
	__cleanup_json struct json *o = json_new_object();
	struct err e = {0};
	int r = api_open(ctl, &a, &e);

	if (r == 0)
		r = api_ask(a, &ask, 1, &e);
	if (r == 0 && !ctl->json)
		print(&f, ctl->wide);
	json_set(o, "addresses", f.rows);
	json_set(o, "gateways", f.gateways);
	if (r == 0 && ctl->json)
		ctl_print_json(o);
	return r == 0 ? CTL_OK : a ? api_fail(&ask, 1, &e) : ctl_fail(&e);
}
