/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ctl.h"
#include "text.h"

struct table {
	char **cells; /* row by row, the head first */
	size_t columns, n;
};

const char *ctl_name = "sluicectl";

void ctl_warn(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", ctl_name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

int ctl_fail(const struct err *e)
{
	ctl_warn("%s", e->msg);
	return CTL_FAILED;
}

void ctl_print_json(const struct json *j)
{
	__cleanup_free char *text = json_emit(j, 2);

	puts(text);
}

struct table *table_new(const char *const *head, size_t columns)
{
	struct table *t = mem_alloc0(sizeof(*t));

	t->columns = columns;
	table_row(t, head);
	return t;
}

void table_row(struct table *t, const char *const *cells)
{
	for (size_t i = 0; i < t->columns; i++) {
		MEM_GROW(t->cells, t->n);
		t->cells[t->n++] = mem_strdup(cells[i] && *cells[i] ? cells[i] : "-");
	}
}

void table_print(const struct table *t)
{
	__cleanup_free size_t *width = mem_alloc0(t->columns * sizeof(*width));

	for (size_t i = 0; i < t->n; i++) {
		size_t len = text_width(t->cells[i]);

		if (len > width[i % t->columns])
			width[i % t->columns] = len;
	}
	for (size_t i = 0; i < t->n; i++) {
		if (i % t->columns == t->columns - 1)
			printf("%s\n", t->cells[i]);
		else
			printf("%s%*s", t->cells[i],
			       (int)(width[i % t->columns] - text_width(t->cells[i])) + 2, "");
	}
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}
