/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway_list.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "text.h"

static void row_print(struct table *t, const struct json *row, bool wide)
{
	__cleanup_free char *connections = NULL, *ports = NULL;
	const char *cells[9] = {text_of(row, "gateway"), text_of(row, "address"),
				text_of(row, "node"), text_of(row, "state")};
	char since[AGO_MAX];

	if (json_get(row, "connections"))
		connections = mem_printf("%" PRId64, int_of(row, "connections"));
	if (int_of(row, "portsLimit"))
		ports = mem_printf("%" PRId64 "/%" PRId64, int_of(row, "portsUsed"),
				   int_of(row, "portsLimit"));
	cells[4] = since_text(text_of(row, "since"), since);
	if (wide) {
		cells[5] = text_of(row, "from");
		cells[6] = text_of(row, "interface");
		cells[7] = connections;
		cells[8] = ports;
	}
	table_row(t, cells);
}

void gateway_rows_print(const struct json *rows, bool wide)
{
	static const char *const head[] = {"GATEWAY", "ADDRESS", "NODE",	"STATE", "SINCE",
					   "FROM",    "DEVICE",	 "CONNECTIONS", "PORTS"};
	__cleanup(table_freep) struct table *t = table_new(head, wide ? 9 : 5);
	bool first = true;

	for (size_t i = 0; i < json_len(rows); i++)
		row_print(t, json_at(rows, i), wide);
	if (json_len(rows))
		table_print(t);
	for (size_t i = 0; i < json_len(rows); i++) {
		const struct json *row = json_at(rows, i);

		const char *problem = text_of(row, "problem"), *also = text_of(row, "alsoOn");

		if (!problem && !also)
			continue;
		printf("%s%s: %s%s\n", first ? "\n" : "", text_of(row, "address"), problem ?: also,
		       problem ? "" : " has it, too, and lets go");
		first = false;
	}
}

char *failover_text(const struct json *last)
{
	__cleanup_free char *gap = NULL;
	char ago[AGO_MAX];

	if (json_type(last) != JSON_OBJECT)
		return NULL;
	if (json_get(last, "gapMs"))
		gap = mem_printf("%" PRId64 "ms", int_of(last, "gapMs"));
	return mem_printf("%s%sfrom %s to %s %s ago, gap %s", text_of(last, "address") ?: "",
			  text_of(last, "address") ? " " : "", text_of(last, "from") ?: "?",
			  text_of(last, "to") ?: "?",
			  since_text(text_of(last, "at"), ago) ?: "?",
			  gap ?: text_of(last, "gap") ?: "?");
}
