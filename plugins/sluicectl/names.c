/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel has learned from the answers that pods got: addresses by pattern. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "bpf/maps.h"
#include "ctl.h"
#include "reconcile/names.h"

DEFINE_CLEANUP(struct bpf_pins *, bpf_pins_close);

struct known {
	const char *pattern;
	struct addr addr;
	uint32_t seconds;
};

struct view {
	char **patterns; /* by id; NULL: no rule has it any more */
	uint32_t n_patterns;
	struct known *known;
	size_t n;
	uint64_t counts[SLU_NAMES_MAX];
};

static void view_done(struct view *v)
{
	for (uint32_t i = 0; i < v->n_patterns; i++)
		free(v->patterns[i]);
	free(v->patterns);
	free(v->known);
}

static void pattern_put(struct view *v, uint32_t id, char *text)
{
	while (v->n_patterns <= id) {
		MEM_GROW(v->patterns, v->n_patterns);
		v->patterns[v->n_patterns++] = NULL;
	}
	free(v->patterns[id]);
	v->patterns[id] = text;
}

static int patterns_read(struct bpf_pins *pins, struct view *v, struct err *e)
{
	__cleanup_free struct slu_name *keys = NULL;
	__cleanup_free struct slu_pattern *values = NULL;
	size_t n = 0;
	int r = bpf_map_dump(pins, BPF_MAP_PATTERNS, (void **)&keys, (void **)&values, &n, e);

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (!keys[i].text[0])
			continue;
		if (values[i].exact)
			pattern_put(v, values[i].exact, names_text(&keys[i], false));
		if (values[i].below)
			pattern_put(v, values[i].below, names_text(&keys[i], true));
	}
	return r;
}

static int known_read(struct bpf_pins *pins, struct view *v, struct err *e)
{
	__cleanup_free struct slu_named_key *keys = NULL;
	__cleanup_free struct slu_named *values = NULL;
	struct timespec now;
	size_t n = 0;
	int r = bpf_map_dump(pins, BPF_MAP_NAMED, (void **)&keys, (void **)&values, &n, e);

	clock_gettime(CLOCK_BOOTTIME, &now);
	for (size_t i = 0; r == 0 && i < n * SLU_MAX_NAMES_AT; i++) {
		uint32_t id = values[i / SLU_MAX_NAMES_AT].at[i % SLU_MAX_NAMES_AT].name;
		uint32_t until = values[i / SLU_MAX_NAMES_AT].at[i % SLU_MAX_NAMES_AT].until;

		if (!id || id >= v->n_patterns || !v->patterns[id] || until <= now.tv_sec)
			continue;
		MEM_GROW(v->known, v->n);
		v->known[v->n++] = (struct known){
			.pattern = v->patterns[id],
			.addr = slu_addr_get(keys[i / SLU_MAX_NAMES_AT].addr),
			.seconds = until - (uint32_t)now.tv_sec,
		};
	}
	return r;
}

static int known_cmp(const void *a, const void *b)
{
	const struct known *x = a, *y = b;
	int c = strcmp(x->pattern, y->pattern);

	c = c ? c : addr_cmp(x->addr, y->addr);
	return c ? c : (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

/* What several namespaces know stands there once, with the longest time. */
static void known_unite(struct view *v)
{
	size_t n = 0;

	if (v->n)
		qsort(v->known, v->n, sizeof(*v->known), known_cmp);
	for (size_t i = 0; i < v->n; i++)
		if (!n || v->known[n - 1].pattern != v->known[i].pattern ||
		    addr_cmp(v->known[n - 1].addr, v->known[i].addr) != 0)
			v->known[n++] = v->known[i];
	v->n = n;
}

static int view_read(const char *bpffs, struct view *v, struct err *e)
{
	__cleanup(bpf_pins_closep) struct bpf_pins *pins = NULL;
	int r = bpf_pins_open(bpffs, &pins, e);

	if (r == 0)
		r = patterns_read(pins, v, e);
	if (r == 0)
		r = known_read(pins, v, e);
	if (r == 0)
		r = bpf_name_counts(pins, v->counts, e);
	known_unite(v);
	return r;
}

static void print_table(const struct view *v)
{
	static const char *const head[] = {"NAME", "ADDRESS", "HOLDS FOR"};
	static const char *const counts_head[] = {"COUNT", "NUMBER", "MEANING"};
	__cleanup(table_freep) struct table *t = table_new(head, 3);
	__cleanup(table_freep) struct table *c = table_new(counts_head, 3);
	bool counted = false;

	for (size_t i = 0; i < v->n; i++) {
		char seconds[32];
		const char *cells[] = {v->known[i].pattern, addr_str(v->known[i].addr), seconds};

		snprintf(seconds, sizeof(seconds), "%" PRIu32 " s", v->known[i].seconds);
		table_row(t, cells);
	}
	for (size_t i = 0; i < SLU_NAMES_MAX; i++) {
		char number[32];
		const char *cells[] = {names_count_name((unsigned int)i), number,
				       names_count_text((unsigned int)i)};

		snprintf(number, sizeof(number), "%" PRIu64, v->counts[i]);
		if (!v->counts[i])
			continue;
		table_row(c, cells);
		counted = true;
	}
	if (v->n)
		table_print(t);
	else
		puts("no address is known under any name of a rule");
	if (counted) {
		puts("");
		table_print(c);
	}
}

static void print_json(const struct view *v)
{
	__cleanup_json struct json *o = json_new_object();
	struct json *list = json_new_array(), *numbers = json_new_object();

	for (size_t i = 0; i < v->n; i++) {
		struct json *row = json_new_object();

		json_set(row, "name", json_new_string(v->known[i].pattern));
		json_set(row, "address", json_new_string(addr_str(v->known[i].addr)));
		json_set(row, "seconds", json_new_int(v->known[i].seconds));
		json_append(list, row);
	}
	for (size_t i = 0; i < SLU_NAMES_MAX; i++)
		json_set(numbers, names_count_name((unsigned int)i),
			 json_new_int((int64_t)v->counts[i]));
	json_set(o, "names", list);
	json_set(o, "counts", numbers);
	ctl_print_json(o);
}

static int run(struct ctl *ctl)
{
	struct view v = {0};
	struct err e = {0};
	int r = view_read(ctl->conf.bpffs, &v, &e);

	if (r == 0 && ctl->json)
		print_json(&v);
	else if (r == 0)
		print_table(&v);
	view_done(&v);
	if (r == 0)
		return CTL_OK;
	err_wrap(&e, "cannot read the names");
	return ctl_fail(&e);
}

const struct verb verb_names = {
	.name = "names",
	.run = run,
	.help = "names [OPTION]…\n"
		"addresses known for the names in rules, and for how long\n"
		"\n"
		"Needs root. They are learned from what dns.resolvers answer pods of this node.\n"
		"\n",
};
