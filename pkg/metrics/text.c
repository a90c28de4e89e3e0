/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/text.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define START_SIZE 16384
#define EXACT	   9007199254740992.0 /* 2^53: whole numbers below it are told as such */

const struct metric_def metric_defs[METRICS_N] = {
#define X(id, name, type, help, ...) \
	[METRIC_##id] = {name, METRIC_TYPE_##type, help, {__VA_ARGS__}},
	SLUICE_METRICS(X)
#undef X
};

struct metrics_text {
	char *buf;
	size_t len, size;
	unsigned int next; /* families before it are told, or have no samples */
};

const char *metric_type_text(enum metric_type type)
{
	return type == METRIC_TYPE_COUNTER ? "counter" : "gauge";
}

struct metrics_text *metrics_text_new(void)
{
	return mem_alloc0(sizeof(struct metrics_text));
}

void metrics_text_free(struct metrics_text *t)
{
	if (!t)
		return;
	free(t->buf);
	free(t);
}

static void add(struct metrics_text *t, const char *s, size_t n)
{
	while (t->len + n + 1 > t->size) {
		t->size = t->size ? 2 * t->size : START_SIZE;
		t->buf = mem_resize(t->buf, t->size, 1);
	}
	memcpy(t->buf + t->len, s, n);
	t->len += n;
	t->buf[t->len] = '\0';
}

static void add_text(struct metrics_text *t, const char *s)
{
	add(t, s, strlen(s));
}

/*
 * Escaped as the format asks; quotes only in labels. It asks for UTF-8, too: what is told here is
 * ASCII wherever it was checked, so anything else becomes a question mark.
 */
static void add_escaped(struct metrics_text *t, const char *s, bool label)
{
	for (; *s; s++) {
		if (*s == '\n')
			add(t, "\\n", 2);
		else if (*s == '\\' || (*s == '"' && label))
			add(t, (const char[]){'\\', *s}, 2);
		else
			add(t, (unsigned char)*s < 0x80 ? s : "?", 1);
	}
}

static void add_value(struct metrics_text *t, double value)
{
	char text[40];

	if (isnan(value))
		snprintf(text, sizeof(text), "NaN");
	else if (isinf(value))
		snprintf(text, sizeof(text), "%sInf", value < 0 ? "-" : "+");
	else if (fabs(value) < EXACT && value == (double)(long long)value)
		snprintf(text, sizeof(text), "%.0f", value == 0 ? 0 : value);
	else
		snprintf(text, sizeof(text), "%.15g", value);
	add_text(t, text);
}

static void add_head(struct metrics_text *t, const struct metric_def *d)
{
	add_text(t, "# HELP ");
	add_text(t, d->name);
	add_text(t, " ");
	add_escaped(t, d->help, false);
	add_text(t, "\n# TYPE ");
	add_text(t, d->name);
	add_text(t, " ");
	add_text(t, metric_type_text(d->type));
	add_text(t, "\n");
}

static void add_labels(struct metrics_text *t, const struct metric_def *d,
		       const char *const labels[METRICS_LABELS])
{
	for (size_t i = 0; i < METRICS_LABELS && d->labels[i]; i++) {
		add_text(t, i ? "," : "{");
		add_text(t, d->labels[i]);
		add_text(t, "=\"");
		add_escaped(t, labels[i] ? labels[i] : "", true);
		add_text(t, "\"");
	}
	if (d->labels[0])
		add_text(t, "}");
}

void metrics_sample(struct metrics_text *t, enum metric m, double value,
		    const char *const labels[METRICS_LABELS])
{
	const struct metric_def *d = &metric_defs[m];
	size_t before = t->len;

	if (m + 1 < t->next) /* its place is over: two of a family apart would be refused */
		return;
	if (m >= t->next)
		add_head(t, d);
	add_text(t, d->name);
	add_labels(t, d, labels);
	add_text(t, " ");
	add_value(t, value);
	add_text(t, "\n");
	if (t->len > METRICS_TEXT_MAX) {
		t->len = before;
		t->buf[before] = '\0';
		return;
	}
	t->next = m + 1;
}

char *metrics_text_take(struct metrics_text *t, size_t *ret_len)
{
	char *text;

	add(t, "", 0);
	text = TAKE(t->buf);
	*ret_len = t->len;
	*t = (struct metrics_text){0};
	return text;
}
