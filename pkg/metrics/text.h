/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Samples of the table as text, in the exposition format of Prometheus 0.0.4
 * (prometheus.io/docs/instrumenting/exposition_formats): PURE. Nothing is counted here: who
 * knows a number says it each time that it is asked for. A family's samples stand together, the
 * families in the order of the table, and so must they be said.
 */
#include <stddef.h>

#include "base/cleanup.h"
#include "metrics/table.h"

#define METRICS_TYPE   "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_LABELS 4
/* Room for 2,048 rules of policies and for 1,024 addresses; what is over it is left out, whole
 * lines. */
#define METRICS_TEXT_MAX (4u << 20)

enum metric {
#define X(id, ...) METRIC_##id,
	SLUICE_METRICS(X)
#undef X
		METRICS_N,
};

enum metric_type { METRIC_TYPE_COUNTER, METRIC_TYPE_GAUGE };

struct metric_def {
	const char *name;
	enum metric_type type;
	const char *help;
	const char *labels[METRICS_LABELS];
};
extern const struct metric_def metric_defs[METRICS_N];
const char *metric_type_text(enum metric_type type);

struct metrics_text;

struct metrics_text *metrics_text_new(void);
void metrics_text_free(struct metrics_text *t);
DEFINE_CLEANUP(struct metrics_text *, metrics_text_free);
/* Appends a sample of family m, with a value for each label that it has; NULL is as "". */
void metrics_sample(struct metrics_text *t, enum metric m, double value,
		    const char *const labels[METRICS_LABELS]);
#define metrics_put(t, m, value, ...)                    \
	metrics_sample((t), METRIC_##m, (double)(value), \
		       (const char *const[METRICS_LABELS]){__VA_ARGS__})
/* The text so far, malloc'd, with a NUL behind it that *ret_len does not count; t is empty then. */
char *metrics_text_take(struct metrics_text *t, size_t *ret_len);
