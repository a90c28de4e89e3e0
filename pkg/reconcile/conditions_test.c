/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "json/json.h"
#include "reconcile/conditions.h"
#include "reconcile/usage.h"
#include "testkit/policy_fixture.h"

#define T0 "2026-01-31T09:00:00Z"
#define T1 "2026-01-31T10:00:00Z"

#define GATEWAY(name, allowed, range)                                                        \
	"---\n{apiVersion: sluice.dev/v1alpha1, kind: EgressGateway, metadata: {name: " name \
	"},\n"                                                                               \
	"spec: {addresses: [{range: " range "}]" allowed "}}\n"
#define POLICY(rules)                                                                     \
	"---\n{apiVersion: sluice.dev/v1alpha1, kind: EgressPolicy, metadata: {name: p, " \
	"namespace: shop},\nspec: {subject: {podSelector: {}}, rules: [" rules "]}}\n"
#define ALL ", allowedNamespaces: {}"

/* What the policy of these objects is told: "STATUS Reason, STATUS Reason". */
static void told(const char *yaml, const char *expected)
{
	struct policy_fixture f;
	struct doc_set *own = doc_set_new();
	struct object obj = {.more = &object_no_more};
	struct conditions c;
	char text[128];

	policy_fixture_init(&f, yaml, "n1", "eth0 192.0.2.1/24");
	assert_int_equal(f.set->n_policies, 1);
	own->policies = f.set->policies;
	own->n_policies = 1;
	obj.good = doc_item_new(own);
	conditions_of(OBJECTS_POLICIES, &obj, f.set, f.c, &c);
	assert_int_equal(c.n, 2);
	snprintf(text, sizeof(text), "%s %s, %s %s", c.list[0].yes ? "True" : "False",
		 c.list[0].reason, c.list[1].yes ? "True" : "False", c.list[1].reason);
	assert_string_equal(text, expected);
	for (size_t i = 0; i < c.n; i++)
		assert_true(*c.list[i].message);
	conditions_done(&c);
	own->policies = NULL;
	own->n_policies = 0;
	doc_item_free(obj.good);
	policy_fixture_done(&f);
}

static void a_policy_is_told_the_worst_that_keeps_it_from_being_as_written(void **state)
{
	static const struct {
		const char *yaml, *told;
	} cases[] = {
		{POLICY("{action: Allow}"), "True Accepted, True InForce"},
		{POLICY("{via: {gateway: a}}"), "False MissingGateway, False NotAccepted"},
		{GATEWAY("a", ALL, "192.0.2.9") POLICY("{via: {gateway: a}}"),
		 "True Accepted, True InForce"},
		{GATEWAY("a", "", "192.0.2.9") POLICY("{via: {gateway: a}}, {via: {gateway: b}}"),
		 "False NotPermitted, False NotAccepted"},
		{GATEWAY("a", ALL ", nodeSelector: {matchLabels: {no: one}}", "192.0.2.9")
			 POLICY("{via: {gateway: a}}"),
		 "True Accepted, False NoOwner"},
		{POLICY("{action: Deny, to: [{destination: {name: bank}}]}"),
		 "False MissingDestination, False NotAccepted"},
		{"---\n{apiVersion: sluice.dev/v1alpha1, kind: EgressPolicy, metadata: {name: p, "
		 "namespace: shop},\nspec: {subject: {services: [s]}, rules: [{action: Deny}]}}\n",
		 "True Accepted, False MissingService"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		told(cases[i].yaml, cases[i].told);
}

static void what_was_refused_is_invalid_whatever_else_it_lacks(void **state)
{
	const struct object_more more = {
		.refused = (char[]){"EgressPolicy shop/p: spec.rules: expected array"}};
	struct object obj = {.more = &more};
	struct conditions c;

	conditions_of(OBJECTS_POLICIES, &obj, NULL, NULL, &c);
	assert_string_equal(c.list[0].reason, "Invalid");
	assert_string_equal(c.list[0].message, more.refused);
	conditions_done(&c);
	conditions_of(OBJECTS_DESTINATIONS, &obj, NULL, NULL, &c);
	assert_int_equal(c.n, 1);
	assert_string_equal(c.list[0].reason, "Invalid");
	conditions_done(&c);
}

/* status as it is written for one condition; NULL: nothing is to be written. */
static char *written(bool yes, const char *message, int64_t generation, const char *there,
		     const char *now)
{
	struct conditions c = {.n = 1};
	__cleanup_json struct json *j = NULL;

	c.list[0] = (struct condition){"Accepted", yes ? "Accepted" : "Invalid", yes,
				       mem_strdup(message)};
	j = conditions_status(&c, generation, there, now);
	conditions_done(&c);
	return j ? json_emit(j, 0) : NULL;
}

static void a_condition_is_written_when_it_says_something_else(void **state)
{
	__cleanup_free char *first = written(false, "a", 1, NULL, T0), *other = NULL, *later = NULL,
			    *taken_back = NULL;

	assert_non_null(first);
	assert_non_null(strstr(first, "\"lastTransitionTime\":\"" T0 "\""));
	assert_null(written(false, "a", 1, first, T1));
	other = written(false, "b", 1, first, T1); /* it is as it was, for another reason */
	assert_non_null(strstr(other, "\"lastTransitionTime\":\"" T0 "\""));
	later = written(false, "b", 2, other, T1);
	assert_non_null(strstr(later, "\"observedGeneration\":2"));
	assert_non_null(strstr(later, T0));
	taken_back = written(true, "b", 2, later, T1);
	assert_non_null(strstr(taken_back, "\"status\":\"True\""));
	assert_non_null(strstr(taken_back, "\"lastTransitionTime\":\"" T1 "\""));
	assert_null(written(true, "b", 2, taken_back, T1));
}

static void an_owner_tells_of_its_own_addresses_alone(void **state)
{
	struct address_told list[] = {{.addr = addr_of("192.0.2.8"), .announced = true},
				      {.addr = addr_of("192.0.2.9"), .announced = true}};
	const struct addresses_told both = {list, 2, NULL}, one = {list, 1, NULL},
				    nothing = {NULL, 0, NULL};
	__cleanup_json struct json *j = addresses_status(&both, "n1", NULL, T0), *moved = NULL,
				   *none = NULL, *scarce = NULL, *twice = NULL, *single = NULL;
	__cleanup_free char *there = json_emit(j, 0);
	char **beyond;
	size_t n;

	assert_null(addresses_status(&both, "n1", there, T1));
	list[1].ports = USAGE_PORTS / 2; /* no news */
	assert_null(addresses_status(&both, "n1", there, T1));
	list[1].ports = USAGE_PORTS - 1;
	scarce = addresses_status(&both, "n1", there, T1);
	assert_non_null(scarce);
	assert_null(addresses_status(&nothing, "n2", there, T1));
	list[1].ports = 0;
	list[1].also = "n2";
	twice = addresses_status(&both, "n1", there, T1);
	free(there);
	there = json_emit(twice, 0);
	assert_non_null(strstr(there, "\"alsoOn\":\"n2\""));
	assert_null(addresses_status(&both, "n1", there, T1));
	list[1].also = NULL;
	single = addresses_status(&both, "n1", there, T1);
	assert_null(json_get(json_at(json_get(single, "addresses"), 1), "alsoOn"));
	moved = addresses_status(&one, "n1", there, T1);
	assert_int_equal(json_len(json_get(moved, "addresses")), 1);
	n = addresses_beyond(j, moved, "n1", &beyond);
	assert_int_equal(n, 1);
	assert_string_equal(beyond[0], "192.0.2.9");
	addresses_beyond_done(beyond, n);
	none = addresses_status(&nothing, "n1", there, T1);
	assert_non_null(none);
	assert_int_equal(json_len(json_get(none, "addresses")), 0);
}

static void a_gateway_is_summed_up_in_a_line(void **state)
{
	char text[] = "{\"spec\":{\"addresses\":[{\"range\":\"192.0.2.8\"},{\"range\":"
		      "\"2001:db8::/125\"}]}}";
	char from[] = "{\"spec\":{\"addressFrom\":{\"interface\":\"eth1\"}}}";
	char there[] = "{\"addresses\":[{\"address\":\"192.0.2.8\",\"node\":\"n2\"},{\"address\":"
		       "\"192.0.2.9\",\"node\":\"n1\"},{\"address\":\"192.0.2.10\",\"node\":"
		       "\"n2\"}]}";
	struct object_more more = {.text = text, .status = there};
	struct object obj = {.more = &more};
	struct conditions c = {.summary = gateway_summary(&obj)};
	__cleanup_json struct json *first = conditions_status(&c, 1, there, T0);
	__cleanup_free char *was = json_emit(first, 0), *bare = NULL;

	assert_non_null(strstr(was, "\"summary\":{\"addresses\":\"192.0.2.8,2001:db8::/125\","
				    "\"nodes\":\"n1,n2\"}"));
	assert_null(conditions_status(&c, 1, was, T1));
	json_free(c.summary);
	more = (struct object_more){.text = from};
	c.summary = gateway_summary(&obj);
	bare = json_emit(c.summary, 0);
	assert_string_equal(bare, "{\"addresses\":\"eth1\"}");
	conditions_done(&c);
}

static void a_long_list_says_how_many_more(void **state)
{
	__cleanup_free char *text = mem_strdup("{\"spec\":{\"addresses\":[");
	struct object_more more = {0};
	struct object obj = {.more = &more};
	__cleanup_json struct json *j = NULL;
	const char *s;

	for (int i = 0; i < 200; i++) {
		char *longer = mem_printf("%s%s{\"range\":\"192.0.2.%d\"}", text, i ? "," : "", i);

		free(text);
		text = longer;
	}
	more.text = mem_printf("%s]}}", text);
	j = gateway_summary(&obj);
	free(more.text);
	assert_int_equal(json_string(json_get(j, "addresses"), &s, NULL), 0);
	assert_true(strlen(s) < 128);
	assert_non_null(strstr(s, "192.0.2.0,192.0.2.1,"));
	assert_non_null(strstr(s, ",+19"));
}

static bool in_force(void *data, const char *node, const char *address)
{
	return strcmp(node, "gone") != 0 && strcmp(address, "192.0.2.9") != 0;
}

static void entries_of_who_is_gone_are_taken_back_in_its_name(void **state)
{
#define ENTRY(address, node) "{\"address\":\"192.0.2." address "\",\"node\":\"" node "\"}"
	static const char there[] = "{\"addresses\":[" ENTRY("7", "n1") "," ENTRY(
		"8", "gone") "],\"lastFailover\":{\"to\":\"gone\"}}",
			  past[] = "{\"addresses\":[" ENTRY("7", "n1") "," ENTRY(
				  "9", "n1") "," ENTRY("8",
						       "n2") "],\"lastFailover\":{\"to\":\"n2\"}}",
			  fine[] = "{\"addresses\":[" ENTRY("7", "n1") "]}";
	__cleanup_free char *node = NULL, *other = NULL, *text = NULL, *rest = NULL;
	__cleanup_json struct json *j = gateway_without_gone(there, in_force, NULL, &node),
				   *k = gateway_without_gone(past, in_force, NULL, &other);

	assert_string_equal(node, "gone");
	text = json_emit(j, 0);
	assert_string_equal(text, "{\"addresses\":[],\"lastFailover\":{\"to\":\"gone\"}}");
	assert_string_equal(other, "n1"); /* one of its two is no address of the gateway any more */
	rest = json_emit(k, 0);
	assert_string_equal(rest, "{\"addresses\":[" ENTRY("7", "n1") "]}");
	assert_null(gateway_without_gone(fine, in_force, NULL, NULL));
	assert_null(gateway_without_gone(NULL, in_force, NULL, NULL));
}

static void the_last_failover_is_told_by_who_took_over_last(void **state)
{
	char from[] = "dead";
	struct takeover mine = {.from = from, .at_ms = 1769850000000, .gap_ms = 360};
	const struct addresses_told told = {NULL, 0, &mine}, silent = {NULL, 0, NULL};
	__cleanup_json struct json *j = addresses_status(&told, "n1", NULL, T0), *later = NULL;
	__cleanup_free char *there = json_emit(j, 0), *now = NULL;

	assert_non_null(strstr(there, "\"at\":\"2026-01-31T09:00:00Z\",\"gap\":\"360ms\","
				      "\"from\":\"dead\",\"to\":\"n1\""));
	assert_null(addresses_status(&told, "n1", there, T1));
	assert_null(addresses_status(&silent, "n1", there, T1)); /* started again */
	mine.at_ms -= 1000; /* an earlier one, of another node */
	assert_null(addresses_status(&told, "n2", there, T1));
	mine.at_ms += 5000;
	later = addresses_status(&told, "n2", there, T1);
	now = json_emit(later, 0);
	assert_non_null(strstr(now, "\"to\":\"n2\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_policy_is_told_the_worst_that_keeps_it_from_being_as_written),
		cmocka_unit_test(what_was_refused_is_invalid_whatever_else_it_lacks),
		cmocka_unit_test(a_condition_is_written_when_it_says_something_else),
		cmocka_unit_test(an_owner_tells_of_its_own_addresses_alone),
		cmocka_unit_test(a_gateway_is_summed_up_in_a_line),
		cmocka_unit_test(a_long_list_says_how_many_more),
		cmocka_unit_test(entries_of_who_is_gone_are_taken_back_in_its_name),
		cmocka_unit_test(the_last_failover_is_told_by_who_took_over_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
