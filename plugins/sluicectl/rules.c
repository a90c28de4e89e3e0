/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All rules in the order in which they are asked, and what each has decided on since it
 * has its counter. A rule that no pod of this node is under is not in the kernel and has
 * none.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bpf/maps.h"
#include "ctl.h"
#include "policy/explain.h"
#include "reconcile/counters.h"
#include "state/numbers.h"
#include "view.h"

DEFINE_CLEANUP(struct bpf_pins *, bpf_pins_close);

#define NAME_LEN (2 * DOC_MAX_NAME + 64)

struct hits {
	struct numbers *numbers;
	struct bpf_pins *pins;
};

static void hits_done(struct hits *h)
{
	numbers_free(h->numbers);
	bpf_pins_close(h->pins);
}

static int dir_unread(const char *state_dir, int code, struct err *e)
{
	if (code == -ENOENT)
		return err_set(e, code, "state folder %s is not there: has sluiced run here?",
			       state_dir);
	return err_sys(e, code, "state folder %s", state_dir);
}

static int hits_open(const struct daemon_conf *conf, struct hits *ret, struct err *e)
{
	__cleanup_close int dir = open(conf->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? dir_unread(conf->state_dir, -errno, e)
			: bpf_pins_open(conf->bpffs, &ret->pins, e);

	if (r == 0)
		r = numbers_load(dir, COUNTERS_FILE, SLU_MAX_COUNTERS, &ret->numbers, e);
	return r;
}

/* One line of either output. counted: the rule has a counter. */
struct row {
	const struct flat_rule *rule;
	bool counted;
	struct slu_hit hit;
	struct slu_event_limit events;
};

static int row_count(const struct hits *h, struct row *row, struct err *e)
{
	__cleanup_free char *name = counter_name(row->rule);
	uint32_t at = numbers_find(h->numbers, name);
	int r;

	if (!at)
		return 0;
	r = bpf_hits(h->pins, at, 1, &row->hit, e);
	if (r == 0)
		r = bpf_event_limits(h->pins, at, 1, &row->events, e);
	row->counted = r == 0;
	return r;
}

static const char *mode_text(const struct flat_rule *r)
{
	return r->policy->audit ? "Audit" : "Enforce";
}

static const char *number(bool known, uint64_t v, char buf[24])
{
	snprintf(buf, 24, "%" PRIu64, v);
	return known ? buf : NULL;
}

static void row_print(struct table *t, const struct row *row)
{
	char name[NAME_LEN], n[4][24];
	const char *cells[] = {policy_step_name(row->rule->step),
			       mode_text(row->rule),
			       flat_rule_name(row->rule, name, sizeof(name)),
			       rule_action_text(row->rule),
			       rule_via_text(row->rule),
			       number(row->counted, row->hit.connections, n[0]),
			       number(row->counted, row->hit.packets, n[1]),
			       number(row->counted, row->hit.bytes, n[2]),
			       number(row->counted, row->events.lost, n[3])};

	table_row(t, cells);
}

static struct json *row_json(const struct row *row, bool hits)
{
	struct doc_src src = flat_rule_src(row->rule);
	struct json *o = json_new_object();
	char name[NAME_LEN];

	json_set(o, "step", json_new_string(policy_step_name(row->rule->step)));
	json_set(o, "mode", json_new_string(mode_text(row->rule)));
	json_set(o, "policy", json_new_string(policy_title(row->rule->policy)));
	json_set(o, "rule", json_new_string(flat_rule_name(row->rule, name, sizeof(name))));
	json_set(o, "action", json_new_string(rule_action_text(row->rule)));
	json_set(o, "via", json_new_string(rule_via_text(row->rule)));
	json_set(o, "file", json_new_string(doc_src_file(&src)));
	json_set(o, "line", json_new_int(doc_src_line(&src)));
	if (!hits)
		return o;
	json_set(o, "inKernel", json_new_bool(row->counted));
	json_set(o, "connections", json_new_int((int64_t)row->hit.connections));
	json_set(o, "packets", json_new_int((int64_t)row->hit.packets));
	json_set(o, "bytes", json_new_int((int64_t)row->hit.bytes));
	json_set(o, "eventsTold", json_new_int((int64_t)row->events.told));
	json_set(o, "eventsLost", json_new_int((int64_t)row->events.lost));
	return o;
}

/* A rule of a document that is several flat ones is shown once. */
static bool is_repeated(const struct flat_rule *rules, size_t i)
{
	return i && rules[i].rule && rules[i].rule == rules[i - 1].rule;
}

struct listing {
	const struct hits *hits; /* NULL: not asked for */
	struct table *table;
	struct json *json; /* or this one */
};

static int tell_policy(const struct view *v, uint32_t policy, uint8_t step, struct listing *l,
		       struct err *e)
{
	size_t n;
	const struct flat_rule *rules = compiled_policy_rules(v->compiled, policy, &n);

	for (size_t i = 0; i < n; i++) {
		struct row row = {.rule = &rules[i]};
		int r;

		if (rules[i].step != step || is_repeated(rules, i))
			continue;
		r = l->hits ? row_count(l->hits, &row, e) : 0;
		if (r < 0)
			return r;
		if (l->json)
			json_append(l->json, row_json(&row, l->hits));
		else
			row_print(l->table, &row);
	}
	return 0;
}

static int tell_all(const struct view *v, struct listing *l, struct err *e)
{
	size_t n = compiled_policy_count(v->compiled);
	int r = 0;

	for (uint8_t step = STEP_ADMIN; step <= STEP_BASELINE; step++)
		for (uint32_t i = 0; r == 0 && i < n; i++)
			r = tell_policy(v, i, step, l, e);
	return r;
}

static int run(struct ctl *ctl)
{
	static const char *const head[] = {"STEP",	  "MODE",    "RULE",  "ACTION",	    "VIA",
					   "CONNECTIONS", "PACKETS", "BYTES", "EVENTS LOST"};
	__cleanup(table_freep) struct table *t = table_new(head, ctl->hits ? 9 : 5);
	__cleanup_json struct json *list = json_new_array();
	__cleanup(hits_done) struct hits h = {0};
	__cleanup(view_done) struct view v = {0};
	struct listing l = {
		.hits = ctl->hits ? &h : NULL, .table = t, .json = ctl->json ? list : NULL};
	struct err e = {0};
	int r = view_open(&ctl->conf, time(NULL), &v, &e);

	if (r == 0 && ctl->hits)
		r = hits_open(&ctl->conf, &h, &e);
	if (r == 0)
		r = tell_all(&v, &l, &e);
	if (r < 0)
		return ctl_fail(&e);
	view_warn(&v, &ctl->conf);
	if (ctl->json)
		ctl_print_json(list);
	else
		table_print(t);
	return CTL_OK;
}

const struct verb verb_rules = {
	.name = "rules",
	.run = run,
	.help = "rules [--hits] [OPTION]…\n"
		"all rules in the order of evaluation, and what each decided\n"
		"\n"
		"  --hits               connections, packets and bytes that each rule decided\n"
		"                       (for the verdict or the identity), and events of `log`\n"
		"                       that were left out because they were too many; - for a\n"
		"                       rule that no pod of this node is under. Needs root\n"
		"\n"
		"Rules outside their schedule are absent, and not listed.\n"
		"\n",
};
