/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon makes of audits, schedules, names, large sets and counters. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "dataplane/programs_tables.h"
#include "reconcile/priv.h"
#include "testkit/netns_fixture.h"
#include "testkit/reconcile_fixture.h"

#define SEEN  "203.0.113.9"
#define AUDIT "  mode: Audit\n"

static struct slu_pod entry(uint32_t ifindex)
{
	struct slu_pod p;

	assert_true(rnode_entry(ifindex, &p));
	return p;
}

static uint32_t decision(uint32_t policy)
{
	uint32_t id;

	return rnode_decision(policy, SEEN, &id);
}

/* Counters of the policy's first n rules. */
static void counters(uint32_t policy, uint32_t n, uint32_t *ret)
{
	struct slu_policy v;
	struct slu_rule rule;

	assert_true(rnode_map_get(BPF_MAP_POLICIES, &policy, &v));
	assert_true(v.n_rules >= n);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = v.first_rule + i;

		assert_true(rnode_map_get(BPF_MAP_RULES, &at, &rule));
		ret[i] = rule.counter;
	}
}

static void audits_beside_what_is_in_force(void **state)
{
	struct slu_pod p;
	uint32_t pod;

	rnode_cluster("n1");
	rnode_policy("web.yaml", POLICY("web", DENY_DOCS) AUDIT);
	pod = rnode_pod("p1", 5, WEB);
	rnode_settle();
	p = entry(pod);
	assert_int_equal(p.policy, 0);
	assert_int_equal(decision(p.audit), SLU_DENY);
	rnode_restart();
	assert_int_equal(rnode_pass(), 0);
	assert_int_equal(rnode_changes(), 0);
	rnode_policy("web.yaml", POLICY("web", DENY_DOCS));
	rnode_settle();
	p = entry(pod);
	assert_int_equal(p.audit, 0);
	assert_int_equal(decision(p.policy), SLU_DENY);
}

static void answers_with_the_audit_too(void **state)
{
	static const char ask[] = "{\"v\":1,\"op\":\"resolve\",\"namespace\":\"default\","
				  "\"name\":\"x\",\"labels\":" WEB
				  ",\"network\":\"n\",\"ifname\":\"eth0\"}";
	__cleanup_json struct json *request = NULL, *answer = NULL;
	const char *kind = "";
	int64_t audit = 0;

	rnode_cluster("n1");
	rnode_policy("web.yaml", POLICY("web", DENY_DOCS) AUDIT);
	rnode_settle();
	assert_int_equal(json_parse(ask, strlen(ask), &request, NULL), 0);
	answer = reconcile_resolve(rnode(), request);
	assert_int_equal(json_string(json_get(answer, "kind"), &kind, NULL), 0);
	assert_string_equal(kind, "free");
	assert_int_equal(json_int(json_get(answer, "audit"), 1, UINT32_MAX, &audit, NULL), 0);
	assert_int_equal(decision((uint32_t)audit), SLU_DENY);
}

#define CONFIG(more)                                                                       \
	"apiVersion: sluice.dev/v1alpha1\nkind: SluiceConfig\nmetadata: {name: default}\n" \
	"spec: {clusterCIDRs: [10.244.0.0/16]" more "}\n"

static uint8_t audit_switch(void)
{
	const uint32_t zero = 0;
	struct slu_config config;

	assert_true(rnode_map_get(BPF_MAP_CONFIG, &zero, &config));
	return config.audit;
}

static void suspends_all_denials_by_one_switch(void **state)
{
	rnode_policy("config.yaml", CONFIG(""));
	rnode_settle();
	assert_int_equal(audit_switch(), 0);
	rnode_policy("config.yaml", CONFIG(", audit: true"));
	rnode_settle();
	assert_int_equal(audit_switch(), 1);
}

static void keeps_a_rules_counter_over_edits_and_restarts(void **state)
{
	uint32_t before[3], after[3], pod;

	rnode_cluster("n1");
	rnode_policy("web.yaml", POLICY("web", DENY_DOCS AS_OFFICE "  - {action: Allow}\n"));
	pod = rnode_pod("p1", 5, WEB);
	rnode_settle();
	counters(entry(pod).policy, 3, before);
	for (int i = 0; i < 3; i++)
		assert_true(before[i] > 0 && before[i] != before[(i + 1) % 3]);
	rnode_policy("web.yaml", POLICY("web", AS_OFFICE DENY_DOCS "  - {action: Allow}\n"));
	rnode_settle();
	counters(entry(pod).policy, 3, after);
	assert_int_equal(after[0], before[1]);
	assert_int_equal(after[1], before[0]);
	assert_int_equal(after[2], before[2]);
	rnode_restart();
	assert_int_equal(rnode_pass(), 0);
	assert_int_equal(rnode_changes(), 0);
}

static const char *time_text(int64_t t, char buf[32])
{
	time_t v = (time_t)t;
	struct tm tm;

	strftime(buf, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&v, &tm));
	return buf;
}

/* As rnode_settle, but the clock may have changed something in the meantime. */
static void passes(void)
{
	int r;

	do
		r = rnode_pass();
	while (r > 0);
	assert_int_equal(r, 0);
}

/* Passes until then; by the clock, since the rule is. */
static void pass_until(int64_t t)
{
	struct timespec now;

	do {
		passes();
		usleep(20000);
		clock_gettime(CLOCK_REALTIME, &now);
	} while (now.tv_sec < t);
	passes();
}

static void begins_and_ends_a_schedule_in_time(void **state)
{
	int64_t start = time(NULL) + 5, end = start + 5;
	char from[32], to[32];
	__cleanup_free char *yaml = mem_printf(
		POLICY("web", "  - {name: no, action: Deny, schedule: {startAt: '%s', "
			      "endAt: '%s'}}\n"),
		time_text(start, from), time_text(end, to));
	uint32_t pod;

	rnode_cluster("n1");
	rnode_policy("web.yaml", yaml);
	pod = rnode_pod("p1", 5, WEB);
	passes();
	if (time(NULL) < start) { /* on a busy machine it may be late already */
		assert_int_equal(reconcile_edge(rnode()), start);
		assert_int_equal(decision(entry(pod).policy), SLU_ALLOW);
	}
	pass_until(start);
	if (time(NULL) < end) {
		assert_int_equal(reconcile_edge(rnode()), end);
		assert_int_equal(decision(entry(pod).policy), SLU_DENY);
	}
	pass_until(end);
	assert_true(reconcile_edge(rnode()) == INT64_MAX);
	assert_int_equal(decision(entry(pod).policy), SLU_ALLOW);
}

static void finds_names_again_after_a_restart(void **state)
{
	struct slu_policy v;
	struct slu_name_class key;
	uint32_t pod, policy, class;

	rnode_cluster("n1");
	rnode_policy(
		"web.yaml",
		POLICY("web",
		       "  - {action: Allow, to: [{fqdn: api.example.com}]}\n") "  default: "
									       "{action: Deny}\n");
	pod = rnode_pod("p1", 5, WEB);
	rnode_settle();
	policy = entry(pod).policy;
	assert_int_equal(decision(policy), SLU_DENY);
	assert_true(rnode_map_get(BPF_MAP_POLICIES, &policy, &v));
	assert_int_equal(v.flags, SLU_POLICY_NAMES);
	key = (struct slu_name_class){.root = v.root, .name = 1};
	assert_true(rnode_map_get(BPF_MAP_NAME_CLASSES, &key, &class));
	rnode_restart();
	assert_int_equal(rnode_pass(), 0);
	assert_int_equal(rnode_changes(), 0);
	rnode_policy("web.yaml", POLICY("web", DENY_DOCS));
	rnode_settle();
	rnode_settle(); /* settles what was let go */
	assert_false(rnode_map_get(BPF_MAP_NAME_CLASSES, &key, &class));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rnode_setup, rnode_teardown)

static uint32_t epoch(void)
{
	const uint32_t zero = 0;
	uint32_t now;

	assert_true(rnode_map_get(BPF_MAP_EPOCH, &zero, &now));
	return now;
}

/* A daemon that is killed between a policy and the epoch leaves nothing to write to the next. */
static void lets_no_answer_outlive_a_daemon_that_was_killed(void **state)
{
	uint32_t before;

	rnode_cluster("n1");
	rnode_policy("web.yaml", POLICY("web", DENY_DOCS));
	rnode_pod("p1", 5, WEB);
	rnode_settle();
	before = epoch();
	rnode_restart();
	assert_int_equal(rnode_pass(), 0);
	assert_int_equal(rnode_changes(), 0);
	assert_true(epoch() > before);
	before = epoch();
	assert_int_equal(rnode_pass(), 0);
	assert_int_equal(epoch(), before);
}

static void counts_the_epoch_up_for_each_policy_it_exchanges(void **state)
{
	static const char *const files[] = {"a.yaml", "b.yaml", "c.yaml"};
	static const char *const labels[] = {"{\"app\":\"a\"}", "{\"app\":\"b\"}",
					     "{\"app\":\"c\"}"};
	uint32_t before;
	char text[512];

	rnode_cluster("n1");
	for (int edit = 0; edit < 2; edit++) {
		before = edit ? epoch() : 0;
		for (int i = 0; i < 3; i++) {
			snprintf(text, sizeof(text),
				 "apiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\n"
				 "metadata: {name: %c, namespace: default}\nspec:\n"
				 "  subject: {podSelector: {matchLabels: {app: %c}}}\n"
				 "  rules: [{action: Deny, to: [{cidr: 198.51.100.%d/32}]}]\n",
				 'a' + i, 'a' + i, edit);
			rnode_policy(files[i], text);
			if (!edit)
				rnode_pod(files[i], 5 + i, labels[i]);
		}
		rnode_settle();
	}
	assert_true(epoch() - before >= 3);
}

/* 200 rules, each with ports of its own and prefixes that overlap those of others. */
static char *too_large(void)
{
	char *text = NULL;
	size_t len;
	FILE *s = open_memstream(&text, &len);
	uint32_t x = 1;

	fputs("apiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\n"
	      "metadata: {name: web, namespace: default}\n"
	      "spec:\n  subject: {podSelector: {matchLabels: {app: web}}}\n  rules:\n",
	      s);
	for (int i = 0; i < 200; i++) {
		fprintf(s, "  - {action: Allow, ports: [{protocol: TCP, port: %d}", i + 1);
		for (int k = 1; k < 60; k++)
			fprintf(s, ", {protocol: TCP, port: %d}", i + 1 + 400 * k);
		fputs("], to: [{cidr: 20.0.0.0/32}", s);
		for (int k = 0; k < 100; k++) {
			x = x * 1664525 + 1013904223;
			fprintf(s, ", {cidr: %u.%u.0.0/16}", 20 + (x >> 31), x >> 23 & 255);
		}
		fputs("]}\n", s);
	}
	fclose(s);
	return text;
}

static char *ports_of_its_own(void)
{
	char *text = NULL;
	size_t len;
	FILE *s = open_memstream(&text, &len);

	fputs(POLICY("web", "  - {action: Deny, to: [{cidr: 198.51.100.0/24}], ports: ["), s);
	for (int i = 1; i < 40; i++)
		fprintf(s, "{protocol: TCP, port: %d}, ", 2 * i);
	fputs("{protocol: UDP, port: 9}]}\n", s);
	fclose(s);
	return text;
}

static void a_policy_that_is_too_large_stops_no_other(void **state)
{
	__cleanup_free char *large = too_large();
	struct slu_pod web, other;
	uint32_t pod, beside;

	rnode_cluster("n1");
	rnode_policy("web.yaml", POLICY("web", DENY_DOCS));
	pod = rnode_pod("p1", 5, WEB);
	beside = rnode_pod("p2", 6, "{\"app\":\"api\"}");
	rnode_settle();
	web = entry(pod);
	assert_int_equal(decision(web.policy), SLU_DENY);
	rnode_policy("web.yaml", large);
	rnode_policy("api.yaml", "apiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\n"
				 "metadata: {name: api, namespace: default}\n"
				 "spec:\n  subject: {podSelector: {matchLabels: {app: api}}}\n"
				 "  rules: [{action: Deny, to: [{cidr: 203.0.113.0/24}]}]\n");
	assert_int_equal(rnode_pass(), -E2BIG);
	assert_int_equal(rnode_pass(), -E2BIG);
	other = entry(beside);
	assert_int_equal(decision(other.policy), SLU_DENY);
	/* what was there before stays in force */
	web = entry(pod);
	assert_int_equal(decision(web.policy), SLU_DENY);
	rnode_policy("web.yaml", POLICY("web", "  - {action: Allow}\n"));
	rnode_settle();
	web = entry(pod);
	assert_int_equal(decision(web.policy), SLU_ALLOW);
}

static struct space *ranges(void)
{
	return &rnode()->tables->spaces[PLACE_RANGE];
}

/* n places are left in the map "ranges", as the daemon knows it. */
static void leave_ranges(uint32_t n)
{
	struct space *s = ranges();

	space_mark(s, s->next + n, s->size - s->next - n);
}

static void a_policy_without_room_stops_no_other(void **state)
{
	__cleanup_free char *large = ports_of_its_own();
	uint32_t pod, beside, fresh, used;
	struct slu_pod web;

	rnode_cluster("n1");
	rnode_policy("web.yaml", POLICY("web", DENY_DOCS));
	pod = rnode_pod("p1", 5, WEB);
	beside = rnode_pod("p2", 6, "{\"app\":\"api\"}");
	fresh = rnode_pod("p3", 7, "{\"app\":\"web\",\"more\":\"1\"}");
	rnode_settle();
	leave_ranges(20);
	used = ranges()->used;
	rnode_policy("web.yaml", large);
	rnode_policy("api.yaml", POLICY("api", DENY_DOCS));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(rnode_pass(), -ENOSPC);
		assert_non_null(strstr(rnode_error(), "default/web"));
		assert_non_null(strstr(rnode_error(), "map ranges"));
		web = entry(beside);
		assert_int_equal(decision(web.policy), SLU_DENY);
		web = entry(pod); /* what was there before stays in force */
		assert_int_equal(decision(web.policy), SLU_DENY);
		assert_int_equal(ranges()->used, used); /* the one beside shares what is there */
	}
	/* a pod that gets it together with something else has nothing of its own to keep the id */
	rnode_policy("more.yaml", "apiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\n"
				  "metadata: {name: more}\n"
				  "spec:\n  subject: {podSelector: {matchLabels: {more: '1'}}}\n"
				  "  rules: [{action: Allow, to: [{cidr: 203.0.113.7/32}]}]\n");
	assert_int_equal(rnode_pass(), -ENOSPC);
	web = entry(fresh);
	assert_int_equal(decision(web.policy), SLU_DENY);
	rnode_restart(); /* the map is as empty as it is */
	rnode_settle();
	web = entry(pod);
	assert_int_equal(decision(web.policy), SLU_ALLOW);
}

#define NAMED_POLICY(name, to)                                       \
	"apiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\n"      \
	"metadata: {name: " name ", namespace: default}\nspec:\n"    \
	"  subject: {podSelector: {matchLabels: {app: " name "}}}\n" \
	"  default: {action: Deny}\n  rules: [{action: Allow, to: [" to "]}]\n"

/* Names of before, which no policy has any more; n are left. */
static void leave_patterns(uint32_t n)
{
	struct slu_pattern v = {0};
	struct bpf_pins *pins = NULL;
	struct slu_name key;
	struct err e = {0};

	expect_ok(bpf_pins_open(rnode_conf()->bpffs, &pins, &e), &e);
	for (v.exact = 1; v.exact < SLU_MAX_PATTERNS - n; v.exact++) {
		key = (struct slu_name){.text = ""};
		snprintf(key.text, sizeof(key.text), "tset.%u", v.exact);
		expect_ok(bpf_map_set(pins, BPF_MAP_PATTERNS, &key, &v, &e), &e);
	}
	key = (struct slu_name){.text = ""};
	expect_ok(bpf_map_set(pins, BPF_MAP_PATTERNS, &key, &v, &e), &e);
	bpf_pins_close(pins);
}

static void a_policy_whose_names_find_no_room_stops_no_other(void **state)
{
	uint32_t web, api;

	rnode_cluster("n1");
	rnode_policy("web.yaml", NAMED_POLICY("web", "{cidr: 192.0.2.7/32}"));
	web = rnode_pod("p1", 5, WEB);
	api = rnode_pod("p2", 6, "{\"app\":\"api\"}");
	rnode_settle();
	leave_patterns(3);
	rnode_restart();
	rnode_policy("web.yaml", NAMED_POLICY("web", "{fqdn: a.example}, {fqdn: b.example}"));
	rnode_policy("api.yaml", NAMED_POLICY("api", "{fqdn: c.example}, {fqdn: d.example}"));
	assert_int_equal(rnode_pass(), -ENOSPC);
	assert_non_null(strstr(rnode_error(), "default/api"));
	assert_non_null(strstr(rnode_error(), "map patterns"));
	assert_null(strstr(rnode_error(), "default/web"));
	assert_int_equal(decision(entry(web).policy), SLU_DENY);
	assert_int_equal(rnode()->n_refusals, 1);
	assert_string_equal(rnode()->refusals[0].name, "api");
	/* what nobody has any more makes room, without an edit */
	for (int i = 0; i < 5 && rnode_pass() != 0; i++)
		;
	assert_int_equal(rnode_pass(), 0);
	assert_int_equal(rnode()->n_refusals, 0);
	assert_int_equal(decision(entry(api).policy), SLU_DENY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(audits_beside_what_is_in_force),
		TEST(answers_with_the_audit_too),
		TEST(suspends_all_denials_by_one_switch),
		TEST(keeps_a_rules_counter_over_edits_and_restarts),
		TEST(begins_and_ends_a_schedule_in_time),
		TEST(finds_names_again_after_a_restart),
		TEST(lets_no_answer_outlive_a_daemon_that_was_killed),
		TEST(counts_the_epoch_up_for_each_policy_it_exchanges),
		TEST(a_policy_that_is_too_large_stops_no_other),
		TEST(a_policy_without_room_stops_no_other),
		TEST(a_policy_whose_names_find_no_room_stops_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
